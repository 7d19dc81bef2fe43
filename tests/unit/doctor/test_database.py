"""The store's database from outside: found as it is, told with its remedy, and never touched."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.config.sign_in import Sessions
from gateway.control.sessions.kept_tokens import KeptTokens, sealed_tokens
from gateway.control.sessions.sealing import Sealer
from gateway.control.store import Store
from gateway.control.store.schema import known_versions
from gateway.doctor.database import database
from gateway.doctor.lines import Line
from gateway.session_key_files import read_session_keys
from tests.support.catalogs import settings
from tests.support.postgres import PASSWORD
from tests.support.stores import KINDS, NOW, Place, server_of, session

NEWEST = known_versions()[-1]


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return Place(tmp_path, server_of(request))


def line_of(place: Place) -> Line:
    said = replace(settings(place.folder), state_folder=str(place.folder), database=place.url)
    (line,) = asyncio.run(database(said))
    assert line.check == "database"
    assert PASSWORD not in str(line)
    return line


async def write(store: Store) -> None:
    await store.sessions.add(session())


def test_an_empty_one_is_well_and_stays_empty(place: Place) -> None:
    line = line_of(place)
    assert line.verdict == "OK" or "fsync" in line.found
    assert "made at the first start" in line.found
    assert not (place.folder / "store.sqlite3").exists()
    assert "made at the first start" in line_of(place).found


def test_its_schema_is_told(place: Place) -> None:
    place.run(write)
    line = line_of(place)
    assert f"schema `{NEWEST}`" in line.found
    assert line.subject.startswith("PostgreSQL 1" if place.url else "SQLite 3.")


def test_it_may_be_asked_beside_a_running_node(place: Place) -> None:
    async def story(store: Store) -> None:
        await write(store)
        said = replace(settings(place.folder), state_folder=str(place.folder), database=place.url)
        (line,) = await database(said)
        assert f"schema `{NEWEST}`" in line.found

    place.run(story)


def test_a_newer_schema_fails_with_the_way_out(place: Place) -> None:
    place.run(write)
    place.sql("UPDATE stagedoor_schema SET version_num = '9999'")
    line = line_of(place)
    assert line.verdict == "FAIL"
    assert "`9999`" in line.found
    assert line.fix == "run the newer Stagedoor"


@pytest.mark.parametrize("place", ["postgres"], indirect=True)
def test_a_server_that_could_lose_what_it_acknowledged_is_told(place: Place) -> None:
    """The tests' own server runs without fsync."""
    line = line_of(place)
    assert line.verdict == "WARN"
    assert "`fsync` is off" in line.found


def test_a_server_that_is_not_there_fails(tmp_path: Path) -> None:
    place = Place(tmp_path, None)
    place.url = "postgresql://stagedoor@127.0.0.1:1/x"
    line = line_of(place)
    assert line.verdict == "FAIL"
    assert "state.database" in line.fix


def test_a_damaged_file_fails_and_what_is_lost_is_said(tmp_path: Path) -> None:
    place = Place(tmp_path, None)
    place.run(write)
    file = tmp_path / "store.sqlite3"
    content = bytearray(file.read_bytes())
    content[4096:] = bytes(len(content) - 4096)
    file.write_bytes(content)
    line = line_of(place)
    assert line.verdict == "FAIL"
    assert "people sign in again" in line.fix
    file.write_bytes(b"something else entirely" * 100)
    assert line_of(place).found == "file is not a database"


def test_keys_that_are_not_those_of_the_other_nodes_are_told(place: Place) -> None:
    """With other keys, each node takes the other's people for nobody."""
    keys = {name: f"k1 {b64encode(bytes([number]) * 32).decode()}\n" for number, name in enumerate(("ours", "theirs"))}
    for name, line in keys.items():
        (place.folder / name).write_text(line)
    sealer = Sealer(read_session_keys(str(place.folder / "theirs")))

    async def write(store: Store) -> None:
        row = session()
        tokens = sealed_tokens(KeptTokens("r", "", "n", NOW), row.sid, sealer)
        await store.sessions.add(replace(row, tokens=tokens))

    place.run(write)
    said = replace(settings(place.folder), state_folder=str(place.folder), database=place.url)
    for name, verdicts in (("theirs", []), ("ours", ["FAIL"])):
        file = str(place.folder / name)
        _, *more = asyncio.run(database(replace(said, sessions=Sessions(keys_file=file))))
        assert [line.verdict for line in more] == verdicts
        assert all("1 of the newest 1 session do not open" in line.found and line.fix for line in more)
