"""A program that is killed at any moment: nothing that was acknowledged is lost, and nothing is there by half.

A child writes without pause and says each acknowledgement on its stdout, which is a pipe that the kernel keeps. It is
killed with SIGKILL at a moment that nobody chose, again and again, on the same database; then everything is read.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from gateway.control.store import Store
from tests.support.node import ROOT
from tests.support.stores import KINDS, Place, server_of, session

KILLS = 60 if os.environ.get("TESTS") == "all" else 12
LONGEST_LIFE = 60  # writes

WRITER = """
import asyncio, os, sys
from dataclasses import replace
from pathlib import Path
from gateway.control.store import open_store
from tests.support.stores import ACT, NOW, cut, server_of, session

life = int(sys.argv[3])

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

async def write(store, writer):
    for number in range(10_000):
        name = f"{life}-{writer}-{number}"
        row = session(int(f"{life}{writer}{number:05}"), tokens=name.encode() * 500, claims={"n": name * 200})
        await store.sessions.add(row)
        say("added", row.sid)
        assert await store.sessions.replace(replace(row, tokens=b"2" + row.tokens), 1)
        say("replaced", row.sid)
        await store.put_cut(cut(name), replace(ACT, about=name))
        say("cut", name)
        assert await store.sessions.end([row.sid], NOW, "cut", replace(ACT, verb="end", about=row.sid)) == [row.sid]
        say("ended", row.sid)

async def main():
    store = await open_store(sys.argv[1], Path(sys.argv[2]))
    say("open", store.fault or "well")
    await asyncio.gather(*(write(store, writer) for writer in range(1, 4)))

asyncio.run(main())
"""


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return Place(tmp_path, server_of(request))


def killed_writer(place: Place, life: int, after: int) -> list[list[str]]:
    """What it had acknowledged when it was killed: at least ``after`` writes of three writers, and whatever came until
    the signal reached it."""
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, place.url, str(place.folder), str(life)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert writer.stdout is not None
    said = b""
    while said.count(b"\n") <= after:
        said += (more := os.read(writer.stdout.fileno(), 65536))
        assert more, "it ended by itself"
    assert said.startswith(b"open well\n"), said
    writer.send_signal(signal.SIGKILL)
    said += writer.stdout.read()
    writer.stdout.close()
    assert writer.wait() == -signal.SIGKILL
    return [line.split(" ", 1) for line in said.decode().splitlines()[1:]]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_nothing_acknowledged_is_lost_and_nothing_is_half(place: Place) -> None:
    random = Random(4)  # where in a write a kill falls differs from run to run all the same
    said = []
    for life in range(1, KILLS + 1):
        said += killed_writer(place, life, random.randrange(LONGEST_LIFE))
    words = ("added", "replaced", "cut", "ended")
    acknowledged = {word: {name for each, name in said if each == word} for word in words}
    assert len(acknowledged["ended"]) > KILLS // 2, "the writers hardly wrote"

    async def read(store: Store) -> None:
        found = await store.sessions.get(acknowledged["added"])
        living = {each.sid: each for each in await store.sessions.list(limit=10**6)}
        acts = await store.acts(limit=10**6)
        cuts = {each.ref for each in await store.cuts()}
        assert set(found) == acknowledged["added"]
        assert acknowledged["cut"] <= cuts
        assert all(found[sid].ended is not None for sid in acknowledged["ended"])
        for sid in acknowledged["replaced"] - {sid for sid in found if found[sid].ended is not None}:
            assert found[sid].version == 2
        # Each cut and each end has its act, each act its cut or end, and no number is missing.
        assert [each.number for each in acts] == list(range(1, len(acts) + 1))
        assert {each.about for each in acts if each.verb == "cut person"} == cuts
        ended = {each.about for each in acts if each.verb == "end"}
        assert ended.isdisjoint(living)
        assert acknowledged["ended"] <= ended
        for each in living.values():
            name = each.claims["n"][: len(each.claims["n"]) // 200]
            assert each.tokens == b"2" * (each.version - 1) + name.encode() * 500
        await store.sessions.add(session(1))  # and it goes on

    place.run(read)
