"""Where sign-ins are kept: whole or not at all, one writer at a time, for this user alone, for twelve hours."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.errors import StateError, Unauthorized
from gateway.laptop.keeping import LONGEST_S, Keeper, SignIn
from gateway.laptop.places import Place
from gateway.laptop.tokens import token_for

PLACE = Place("door.example.com", 443)
NOW = 1_800_000_000
KEPT = SignIn(
    "door.example.com", 443, "", "sso", "https://sso.example.com", "laptop", ("openid",), {}, (".apps.example.com",),
    NOW, "access-token", NOW + 300, NOW + 240, "refresh-token",
)  # fmt: skip


@pytest.fixture
def keeper(tmp_path: Path) -> Keeper:
    return Keeper(tmp_path, keyring=False)


def test_what_is_kept_is_read_again(keeper: Keeper) -> None:
    assert keeper.read(PLACE) is None
    assert keeper.places() == []
    kept = keeper.write(KEPT, new=True)
    assert keeper.read(PLACE) == kept
    assert replace(kept, mark="") == KEPT
    assert keeper.places() == [PLACE]
    worded = keeper.write(replace(kept, mfa_acr_values=("two",)))
    assert keeper.read(PLACE) == worded
    keeper.forget(PLACE)
    assert keeper.read(PLACE) is None


def test_secrets_are_in_no_words(keeper: Keeper) -> None:
    assert "access-token" not in repr(KEPT)
    assert "refresh-token" not in repr(KEPT)


def test_a_write_that_fails_leaves_what_was_there(keeper: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = keeper.write(KEPT, new=True)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(StateError, match="no space left"):
        patch.setattr(os, "fsync", full)
        keeper.write(replace(kept, refresh="newer"))
    assert keeper.read(PLACE) == kept
    assert [each.name for each in keeper._folder.iterdir()] == ["door.example.com_443.json"]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"host": "other", "port": 443}', '{"host": "door.example.com", "port": 443}']
)
def test_a_file_that_is_none_of_ours_is_as_good_as_none(keeper: Keeper, text: str) -> None:
    keeper.write(KEPT, new=True)
    keeper._file(PLACE).write_text(text)
    assert keeper.read(PLACE) is None


def test_a_link_is_not_followed(keeper: Keeper, tmp_path: Path) -> None:
    keeper.write(KEPT, new=True)
    moved = keeper._file(PLACE).rename(tmp_path / "elsewhere")
    keeper._file(PLACE).symlink_to(moved)
    with pytest.raises(StateError, match="cannot read"):
        keeper.read(PLACE)


def test_a_folder_that_others_may_enter_is_closed(tmp_path: Path) -> None:
    folder = tmp_path / "stagedoor" / "sign-ins"
    folder.mkdir(parents=True, mode=0o755)
    Keeper(tmp_path, keyring=False).write(KEPT, new=True)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_one_holds_the_lock_at_a_time(keeper: Keeper) -> None:
    inside, most = 0, 0

    def enter() -> None:
        nonlocal inside, most
        for _ in range(50):
            with keeper.lock(PLACE):
                inside += 1
                most = max(most, inside)
                inside -= 1

    threads = [threading.Thread(target=enter) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


@pytest.mark.parametrize("now", [NOW + LONGEST_S, NOW + 10 * LONGEST_S, NOW - 3600])
def test_after_twelve_hours_it_is_over_whatever_its_tokens_say(keeper: Keeper, now: int) -> None:
    """And before it began, too: a clock that was set back brings nothing back."""
    keeper.write(replace(KEPT, access_until=NOW + 10**9, renew_at=NOW + 10**9), new=True)
    assert token_for(keeper, PLACE, None, "", lambda: NOW + LONGEST_S - 1).access == "access-token"
    with pytest.raises(Unauthorized, match="stagedoor login"):
        token_for(keeper, PLACE, None, "", lambda: now)
    assert keeper.places() == []


def test_without_a_refresh_token_it_ends_with_the_access_token(keeper: Keeper) -> None:
    keeper.write(replace(KEPT, refresh=""), new=True)
    assert token_for(keeper, PLACE, None, "", lambda: NOW + 299).access == "access-token"
    with pytest.raises(Unauthorized, match="no refresh token"):
        token_for(keeper, PLACE, None, "", lambda: NOW + 300)


def test_tokens_of_an_earlier_sign_in_are_not_those_of_a_later_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyring = pytest.importorskip("keyring")
    held: dict[str, str] = {}
    monkeypatch.setattr(keyring, "get_password", lambda _service, name: held.get(name))
    monkeypatch.setattr(keyring, "set_password", lambda _service, name, text: held.update({name: text}))
    keeper = Keeper(tmp_path)
    keeper.write(KEPT, new=True)
    earlier = dict(held)
    kept = keeper.write(replace(KEPT, issuer="https://other.example.com"), new=True)
    assert kept.kept == "keyring"
    assert keeper.read(PLACE) == kept
    held |= earlier
    assert keeper.read(PLACE) is None


def test_a_keyring_that_fails_costs_no_sign_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keyring = pytest.importorskip("keyring")

    def locked(*_: str) -> None:
        raise RuntimeError("the collection is locked")

    for name in ("get_password", "set_password", "delete_password"):
        monkeypatch.setattr(keyring, name, locked)
    keeper = Keeper(tmp_path)
    kept = keeper.write(KEPT, new=True)
    assert kept.kept == "file"
    assert keeper.read(PLACE) == kept
    keeper._replace(PLACE, keeper._file(PLACE).read_bytes().replace(b'"kept": "file"', b'"kept": "keyring"'))
    with pytest.raises(StateError, match="the collection is locked"):
        keeper.read(PLACE)
