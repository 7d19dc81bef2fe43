"""Promises about the overlay: numbers only grow, every change is announced once, and it survives a restart."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from gateway.control.overlay import ENDED_KEPT_S, FILE, Overlay
from gateway.link import Message

JWKS = [{"kid": "one", "kty": "EC"}]


def overlay(folder: Path) -> tuple[Overlay, list[Message]]:
    announced: list[Message] = []
    return Overlay(folder, announced.append), announced


def test_each_change_is_announced_with_the_next_number(tmp_path: Path) -> None:
    made, announced = overlay(tmp_path)
    made.put_keys("marlow", "https://idp.example", JWKS, 100)
    made.put_keys("other", "https://other.example", JWKS, 100)
    assert [message["seq"] for message in announced] == [1, 2]
    assert announced[1]["keys"]["marlow"]["jwks"] == JWKS


def test_no_change_is_no_news(tmp_path: Path) -> None:
    made, announced = overlay(tmp_path)
    made.put_keys("marlow", "https://idp.example", JWKS, 100)
    made.put_keys("marlow", "https://idp.example", JWKS, 100)
    made.put_keys("absent", "https://idp.example", (), 100)
    assert len(announced) == 1


def test_an_issuer_without_keys_leaves_the_overlay(tmp_path: Path) -> None:
    made, announced = overlay(tmp_path)
    made.put_keys("marlow", "https://idp.example", JWKS, 100)
    made.put_keys("marlow", "https://idp.example", (), 100)
    assert announced[-1]["keys"] == {}


def test_a_restart_begins_where_the_last_life_ended(tmp_path: Path) -> None:
    first, _ = overlay(tmp_path)
    first.put_keys("marlow", "https://idp.example", JWKS, 100)
    again, announced = overlay(tmp_path)
    assert again.message() == first.message()
    assert announced == []


def test_the_file_is_private(tmp_path: Path) -> None:
    made, _ = overlay(tmp_path)
    made.put_keys("marlow", "https://idp.example", JWKS, 100)
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


def test_a_door_that_saw_more_lifts_the_number(tmp_path: Path) -> None:
    made, announced = overlay(tmp_path)
    made.put_keys("marlow", "https://idp.example", JWKS, 100)
    made.lift(41)
    assert announced[-1]["seq"] == 42
    made.lift(10)
    assert made.seq == 42


def test_keys_of_an_issuer_whose_address_changed_are_forgotten(tmp_path: Path) -> None:
    made, _ = overlay(tmp_path)
    made.put_keys("marlow", "https://idp.example", JWKS, 100)
    made.put_keys("gone", "https://gone.example", JWKS, 100)
    made.keep_issuers({"marlow": "https://elsewhere.example"})
    assert made.keys == {}


def test_a_lost_file_takes_no_key_from_a_door_that_has_some(tmp_path: Path) -> None:
    """There is nothing to tell it yet: it goes on with what it has until an issuer was read again."""
    made, announced = overlay(tmp_path)
    made.lift(41)
    assert (made.seq, announced) == (41, [])
    made.put_keys("marlow", "https://idp.example", JWKS, 100)
    assert [message["seq"] for message in announced] == [42]


STRANGE = [
    {"seq": "7"},
    {"seq": -1},
    {"seq": 2**63},
    {"seq": True},
    {"keys": []},
    {"keys": {"marlow": None}},
    {"keys": {"marlow": {"address": "a", "jwks": [{"kid": "one"}]}}},
    {"keys": {"marlow": {"address": "a", "jwks": {}, "at": 1}}},
    {"keys": {"marlow": {"address": "a", "jwks": ["one"], "at": 1}}},
    {"keys": {"marlow": {"address": "a", "jwks": [], "at": "1"}}},
    {"keys": {"marlow": {"jwks": [], "at": 1}}},
    {"denied": "user:default/jane"},
    {"denied": [1]},
    {"grants": {}},
    {"grants": ["one"]},
]


@pytest.mark.parametrize("change", STRANGE, ids=str)
def test_a_file_of_another_shape_is_an_empty_overlay(tmp_path: Path, change: dict[str, object]) -> None:
    sound = {"version": 1, "seq": 5, "keys": {}, "denied": [], "grants": []}
    (tmp_path / FILE).write_bytes(orjson.dumps(sound))
    assert overlay(tmp_path)[0].seq == 5
    (tmp_path / FILE).write_bytes(orjson.dumps(sound | change))
    made, _ = overlay(tmp_path)
    assert (made.seq, made.keys, made.denied, made.grants) == (0, {}, [], [])


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 5000, b'{"version": 99, "seq": 5}'])
def test_a_damaged_file_is_an_empty_overlay(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    made, _ = overlay(tmp_path)
    assert made.seq == 0
    assert made.keys == {}


def test_a_folder_that_cannot_be_written_does_not_stop_a_change(tmp_path: Path) -> None:
    made, announced = overlay(tmp_path / "absent")
    made.put_keys("marlow", "https://idp.example", JWKS, 100)
    assert announced[-1]["seq"] == 1


# === ended sessions ===


def test_a_session_that_ended_is_told_once_and_for_ten_minutes(tmp_path: Path) -> None:
    made, announced = overlay(tmp_path)
    made.put_ended(["s-1", "s-2"], 1000)
    made.put_ended(["s-2"], 1001)
    assert [message["ended"] for message in announced] == [["s-1", "s-2"]]
    seq = made.seq
    made.put_ended(["s-3"], 1000 + ENDED_KEPT_S + 1)
    assert made.message()["ended"] == ["s-3"]
    assert made.message()["ended_from"] == seq  # who is behind it has missed some


def test_ended_sessions_outlive_control(tmp_path: Path) -> None:
    made, _ = overlay(tmp_path)
    made.put_ended(["s-1"], 1000)
    again, announced = overlay(tmp_path)
    assert again.message() == made.message()
    again.put_ended(["s-1"], 1001)
    assert not announced
