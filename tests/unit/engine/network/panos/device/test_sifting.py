"""Answers that are larger than anything that should lie in memory: sifted while they come, hostile ones left."""

from __future__ import annotations

import asyncio
import tracemalloc
from xml.etree.ElementTree import Element, tostring

import pytest
from hypothesis import given
from hypothesis.strategies import integers, lists, sampled_from

from gateway.engine.network.faults import Rejected
from gateway.engine.network.panos.device import sifting
from gateway.engine.network.panos.device.answers import Answer, Meaning, meaning_of
from gateway.engine.network.panos.device.sifting import HELD_BYTES, PIECE_BYTES, Sifting

XML = "application/xml"
BEFORE, AFTER = b'<response status="success" code="19"><result total-count="1"><rules>', b"</rules></result></response>"


class Names:
    """Keeps the entries whose names are wanted."""

    def __init__(self, *wanted: str) -> None:
        self._wanted = wanted
        self.begun = 0

    def begin(self) -> None:
        self.begun += 1
        self.seen: list[str] = []
        self.kept: list[str] = []

    def wants(self, name: str) -> bool:
        self.seen.append(name)
        return name in self._wanted

    def take(self, entry: Element) -> None:
        self.kept.append(tostring(entry, "unicode"))


def sifted(names: Names, *pieces: bytes, http: int = 200, kind: str = XML) -> Answer:
    async def main() -> Answer:
        sifting = Sifting(names, "fw")
        for piece in pieces:
            await sifting.feed(piece)
        return await sifting.answer(http, kind)

    return asyncio.run(main())


@given(
    cuts=lists(integers(0, 400), max_size=8),
    named=lists(sampled_from(["sd-a", "b&amp;c", "d"]), max_size=6),
    below=sampled_from([(BEFORE, AFTER), (b'<response status="success"><result>', b"</result></response>")]),
)
def test_wherever_an_answer_is_cut_into_pieces_every_name_is_seen_and_what_is_wanted_comes_whole(
    cuts: list[int], named: list[str], below: tuple[bytes, bytes]
) -> None:
    """Also an entry within an entry is none of its own."""
    inner = "<to><entry name='sd-a'>é</entry></to>"
    body = below[0] + "".join(f"<entry name='{name}' uuid='u'>{inner}</entry>" for name in named).encode() + below[1]
    places = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})
    names = Names("sd-a", "b&c")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sifting, "PIECE_BYTES", 16)
        answer = sifted(names, *(body[start:end] for start, end in zip(places, places[1:], strict=False)))
    told = [name.replace("&amp;", "&") for name in named]
    assert names.seen == told
    assert names.kept == [
        f'<entry name="{name.replace("&", "&amp;")}" uuid="u"><to><entry name="sd-a">é</entry></to></entry>'
        for name in told if name != "d"
    ]  # fmt: skip
    assert meaning_of(answer) is Meaning.GOOD and answer.root is not None
    assert answer.root.find(".//entry") is None, "entries are nobody's after they were handed over"


@pytest.mark.parametrize(
    ("body", "kind", "meaning"),
    [
        (b"", XML, Meaning.DOUBT),
        (b"<html>log in</html>", XML, Meaning.NO),
        (b"<response status='success'/>", "text/html", Meaning.NO),
        (BEFORE + b"<entry name='a'/>", XML, Meaning.DOUBT),
        (b"<config/>", XML, Meaning.DOUBT),
        (b'<!DOCTYPE r [<!ENTITY a "aaaa">]><response status="success">&a;</response>', XML, Meaning.DOUBT),
        (b'<?xml version="1.0" encoding="klingon"?><response status="success"/>', XML, Meaning.DOUBT),
        (b'<response status="error"><msg><line>No such node</line></msg></response>', XML, Meaning.NOTHING),
        (b'<response status="unauth" code="16"><msg><line>no</line></msg></response>', XML, Meaning.RIGHT),
    ],
    ids=["empty", "page", "called a page", "half", "another", "entities", "encoding", "nothing", "no right"],
)
def test_what_is_no_list_means_what_it_means_anywhere(body: bytes, kind: str, meaning: Meaning) -> None:
    assert meaning_of(sifted(Names(), body, kind=kind)) is meaning


@pytest.mark.parametrize(
    ("pieces", "why"),
    [
        ([BEFORE, b"<entry name='sd-a'>", *[b"x" * PIECE_BYTES] * 80], "more than 8 MiB in one entry"),
        ([BEFORE, b"<entry name='sd-a'>", *[b"<a b='c'/>" * 10_000] * 10], "more than 8 MiB in one entry"),
        ([b"<response><msg>", *[b"<line/>" * 10_000] * 10], "more than 8 MiB in one entry, or outside"),
        ([BEFORE, b"<entry name='", *[b"x" * PIECE_BYTES] * 80], "more than 8 MiB without an element"),
        ([BEFORE, b"<entry name='other'>", *[b"<a>" * 100]], "more than 64 levels"),
        ([BEFORE, b"<entry name='other'/>" * 20], "more than 10 entries"),
    ],
    ids=["long text", "many elements", "a large envelope", "a name without end", "deep", "many entries"],
)
def test_what_is_larger_than_anything_that_is_read_is_refused_while_it_comes(
    pieces: list[bytes], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sifting, "MOST_ENTRIES", 10)
    with pytest.raises(Rejected, match=f"fw answers with {why}"):
        sifted(Names("sd-a"), *pieces)


def test_what_nobody_wants_takes_no_memory() -> None:
    """Five megabytes; their number makes no difference."""
    entry = b"<entry name='other'><source>" + b"<member>10.0.0.0/8</member>" * 90 + b"</source></entry>"
    piece = entry * (PIECE_BYTES // len(entry))
    names = Names()

    async def main() -> tuple[Answer, int]:
        sifting = Sifting(names, "fw")
        await sifting.feed(BEFORE)
        await sifting.feed(piece)
        tracemalloc.start()
        for _ in range(40):
            await sifting.feed(piece)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        await sifting.feed(AFTER)
        return await sifting.answer(200, XML), peak

    answer, peak = asyncio.run(main())
    assert meaning_of(answer) is Meaning.GOOD
    assert peak < HELD_BYTES // 4


def test_each_try_begins_anew() -> None:
    names = Names("a")
    sifted(names, BEFORE + b"<entry name='a'/><entry")
    sifted(names, BEFORE + b"<entry name='a'/>" + AFTER)
    assert names.begun == 2 and names.seen == ["a"]
