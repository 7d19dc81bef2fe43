"""The keys of sessions: kept, changed each month, gone when nothing needs them; what they seal opens nowhere else."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from gateway import config
from gateway.config.sign_in import Sessions
from gateway.control.sessions.kept_tokens import LIMIT_BYTES, KeptTokens, opened_tokens, sealed_tokens
from gateway.control.sessions.keys import FILE, ROTATE_S, KeyRing
from gateway.control.sessions.sealing import Sealer
from gateway.errors import StateError
from tests.support.tokens import NOW

HOUR = 3600.0


class Clock:
    now = NOW


def settings(folder: Path, **sessions: Any) -> config.Settings:
    said = Sessions(**{"absolute_s": HOUR, **sessions})
    return config.Settings((), (), {}, config.Catalog(), "", str(folder), sessions=said)


def kids(ring: KeyRing) -> list[str]:
    return [kid for kid, _ in ring.message()["keys"]]


def test_a_key_is_kept_for_the_next_process_and_for_its_owner_alone(tmp_path: Path) -> None:
    first, second = KeyRing(tmp_path, lambda: NOW), KeyRing(tmp_path, lambda: NOW + 60)
    assert first.settle(settings(tmp_path))
    assert second.settle(settings(tmp_path))
    assert first.message() == second.message()
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    assert not second.settle(settings(tmp_path))  # nothing to tell


def test_a_new_key_comes_each_month_and_old_ones_open_until_nothing_needs_them(tmp_path: Path) -> None:
    clock = Clock()
    ring = KeyRing(tmp_path, lambda: clock.now)
    ring.settle(settings(tmp_path))
    (old,) = kids(ring)
    sealed = ring.sealer.seal("tokens", b"plain", "s-1")
    clock.now = NOW + ROTATE_S
    assert ring.settle(settings(tmp_path))
    assert kids(ring)[1:] == [old]
    assert ring.sealer.open("tokens", sealed, "s-1") == b"plain"
    clock.now = NOW + 2 * ROTATE_S + int(HOUR)
    assert ring.settle(settings(tmp_path))
    assert old not in kids(ring)
    assert ring.sealer.open("tokens", sealed, "s-1") is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 9, "keys": []}', '{"version": 1, "keys": [{"kid": 7}]}'])
def test_a_damaged_file_is_an_end_of_old_sessions_and_no_end_of_the_program(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    ring = KeyRing(tmp_path, lambda: NOW)
    assert ring.settle(settings(tmp_path))
    assert len(kids(ring)) == 1
    assert json.loads((tmp_path / FILE).read_text())["keys"][0]["kid"] == kids(ring)[0]


def test_the_operators_file_goes_before_and_a_broken_one_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"b {b64encode(bytes(range(32))).decode()}\na {b64encode(bytes(32)).decode()}\n")
    ring = KeyRing(tmp_path, lambda: NOW)
    ring.settle(settings(tmp_path, keys_file=str(file)))
    assert kids(ring) == ["b", "a"]
    assert not (tmp_path / FILE).exists()
    file.write_text("nonsense")
    assert not ring.settle(settings(tmp_path, keys_file=str(file)))
    assert kids(ring) == ["b", "a"]
    with pytest.raises(StateError):
        KeyRing(tmp_path, lambda: NOW).settle(settings(tmp_path, keys_file=str(file)))


def test_a_month_that_ends_on_a_full_disk_keeps_the_old_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    ring = KeyRing(tmp_path, lambda: clock.now)
    ring.settle(settings(tmp_path))
    before = kids(ring)
    clock.now = NOW + ROTATE_S

    def full(*_: object) -> None:
        raise StateError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("gateway.control.sessions.keys._write", full)
        assert not ring.settle(settings(tmp_path))
        assert kids(ring) == before
    assert ring.settle(settings(tmp_path))


def test_a_key_that_cannot_be_kept_is_not_used(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="cannot keep"):
        KeyRing(tmp_path / "none", lambda: NOW).settle(settings(tmp_path))


# === sealing ===


def test_what_is_sealed_opens_for_its_use_and_its_owner_alone() -> None:
    sealer, other = Sealer([("a", bytes(32))]), Sealer([("a", bytes(range(32)))])
    sealed = sealer.seal("tokens", b"plain", "s-1")
    assert sealer.open("tokens", sealed, "s-1") == b"plain"
    assert sealer.seal("tokens", b"plain", "s-1") != sealed
    assert b"plain" not in sealed
    for opened in (
        sealer.open("transaction", sealed, "s-1"), sealer.open("tokens", sealed, "s-2"),
        other.open("tokens", sealed, "s-1"), sealer.open("tokens", sealed[:-1], "s-1"),
        sealer.open("tokens", sealed + b"A", "s-1"), sealer.open("tokens", b"2" + sealed[1:], "s-1"),
        sealer.open("tokens", b"", "s-1"), sealer.open("tokens", b"1.a.", "s-1"),
        sealer.open("tokens", b"1.a.AAAA", ""),
    ):  # fmt: skip
        assert opened is None


def test_tokens_come_back_as_they_were_and_a_huge_hint_is_left_out() -> None:
    sealer = Sealer([("a", bytes(32))])
    kept = KeptTokens("refresh", "eyJ", "nonce", NOW, 7)
    assert opened_tokens(sealed_tokens(kept, "s-1", sealer), "s-1", sealer) == kept
    assert opened_tokens(sealed_tokens(kept, "s-1", sealer), "s-2", sealer) is None
    huge = sealed_tokens(kept._replace(id_token="x" * LIMIT_BYTES), "s-1", sealer)
    assert opened_tokens(huge, "s-1", sealer) == kept._replace(id_token="")
