"""Answers that are larger than anything that should lie in memory: sifted while they come, hostile ones left."""

from __future__ import annotations

import asyncio
import threading
import tracemalloc
from typing import Any
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
        ([BEFORE, b"<entry name='", *[b"x" * PIECE_BYTES] * 80], "more than 256 KiB of markup at once"),
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


# === hostile ===


def test_all_that_is_kept_of_an_answer_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many entries that look like ours, each of them small, and names alone."""
    monkeypatch.setattr(sifting, "KEPT_BYTES", 1024 * 1024)
    entry = b"<entry name='sd-a'><d>" + b"x" * 1000 + b"</d></entry>"
    with pytest.raises(Rejected, match="fw answers with more than 1 MiB of names and entries of ours"):
        sifted(Names("sd-a"), BEFORE, *[entry * 100] * 10, AFTER)
    with pytest.raises(Rejected, match="fw answers with more than 1 MiB of names and entries of ours"):
        sifted(Names(), BEFORE, *["<entry name='{}'/>".format("n" * 500 + "😀").encode() * 100] * 8, AFTER)
    sifted(Names(), BEFORE, *[entry * 100] * 20, AFTER)


def test_a_name_that_is_longer_than_any_is_refused() -> None:
    with pytest.raises(Rejected, match="fw answers with a name of more than 1,024 letters"):
        sifted(Names(), BEFORE, b"<entry name='" + b"x" * 2000 + b"'/>", AFTER)


@pytest.mark.parametrize(
    ("opened", "filling"),
    [(b"<entry name='other'><a ", b"a%d=''\n"), (b"<entry name='other'><!--", b"%d"), (b"<?hello ", b"%d")],
    ids=["attributes", "a comment", "an instruction"],
)
def test_markup_without_end_is_refused_before_it_costs_memory(opened: bytes, filling: bytes) -> None:
    """A parser holds it whole, and what it makes of a million attributes keeps everybody waiting."""
    pieces = [b"".join(filling % (number * 10_000 + each) for each in range(10_000)) for number in range(10)]
    with pytest.raises(Rejected, match="fw answers with more than 256 KiB of markup at once"):
        sifted(Names(), BEFORE, opened, *pieces)


@pytest.mark.parametrize(
    "entry", [b"<entry name='o'><a%d/></entry>", b"<entry name='o'><a b%d=''/></entry>"], ids=["elements", "attributes"]
)
def test_names_of_elements_that_nobody_has_ever_seen_are_refused(entry: bytes) -> None:
    """A parser remembers every one of them, wanted or not."""
    pieces = [b"".join(entry % (number * 10_000 + each) for each in range(10_000)) for number in range(20)]
    with pytest.raises(Rejected, match="fw answers with more kinds of elements than any device has"):
        sifted(Names(), BEFORE, *pieces)


def test_a_long_text_of_what_nobody_wants_is_passed_over() -> None:
    """A rule of others may say whatever it likes."""
    names = Names("sd-a")
    answer = sifted(names, BEFORE, b"<entry name='other'><d>", *[b"x" * PIECE_BYTES] * 80,
                    b"</d></entry><entry name='sd-a'/>", AFTER)  # fmt: skip
    assert meaning_of(answer) is Meaning.GOOD and names.kept == ['<entry name="sd-a" />']


def test_what_is_too_large_is_refused_also_where_the_parser_tells_of_it_at_the_end() -> None:
    """Newer ones put off what a piece left unfinished."""

    async def main() -> None:
        sifting: Any = Sifting(Names(), "fw")
        parser = sifting._parser
        kept: list[bytes] = []

        class PuttingOff:
            feed = staticmethod(kept.append)

            @staticmethod
            def close() -> Element:
                parser.feed(b"".join(kept))
                root: Element = parser.close()
                return root

        sifting._parser = PuttingOff
        await sifting.feed(BEFORE + b"<entry name='other'>" + b"<a>" * 100)
        await sifting.answer(200, XML)

    with pytest.raises(Rejected, match="more than 64 levels"):
        asyncio.run(main())


def test_a_try_that_is_given_up_has_stopped_before_the_next_one_begins() -> None:
    """Else names of two answers would be one list."""
    going, may_end = threading.Event(), threading.Event()

    class Slow(Names):
        def wants(self, name: str) -> bool:
            going.set()
            assert may_end.wait(20)
            return super().wants(name)

    async def main() -> list[str]:
        names = Slow()
        first = Sifting(names, "fw")
        feeding = asyncio.create_task(first.feed(BEFORE + b"<entry name='old'/>" + b" " * PIECE_BYTES))
        await asyncio.to_thread(going.wait, 20)
        feeding.cancel()
        asyncio.get_running_loop().call_later(0.1, may_end.set)
        with pytest.raises(asyncio.CancelledError):
            await feeding
        second = Sifting(names, "fw")
        await second.feed(BEFORE + b"<entry name='new'/>" + AFTER)
        await second.answer(200, XML)
        return names.seen

    assert asyncio.run(main()) == ["new"]


WELL = "<response status='success'>"
A, B = "<entry name='a'/>", "<entry name='b'/>"
DOUBTFUL = {
    "two lists": f"{WELL}<result><rules>{A}</rules><rules>{B}</rules></result></response>",
    "two results": f"{WELL}<result><rules>{A}</rules></result><result><rules>{B}</rules></result></response>",
    "two depths": f"{WELL}<result>{A}<rules>{B}</rules></result></response>",
    "two answers": f"{WELL}<result/></response>{WELL}<result/></response>",
    "two states": "<response status='success' status='error'><result/></response>",
    "two names": f"{WELL}<result><rules><entry name='a' name='b'/></rules></result></response>",
    "less than there is": f"{WELL}<result total-count='3' count='2'>{A}{B}</result></response>",
    "not there, yet there": f"<response status='error' code='7'><result>{A}</result></response>",
    "nothing, and something": f"<response status='success' code='7'><result>{A}</result></response>",
    "no result": "<response status='success' code='20'><msg>command succeeded</msg></response>",
    "a namespace": f"{WELL}<result><rules xmlns='u'>{A}</rules></result></response>",
    "another level": f"{WELL}<result><rules><more>{A}</more></rules></result></response>",
    "cut off within": f"{WELL}<result><rules>{A}</rules></result>",
}
BYTES = {
    "no UTF-8": WELL.encode() + b"<result><rules><entry name='\xff'/></rules></result></response>",
    "half a letter": WELL.encode() + b"<result><rules><entry name='\xc3'/></rules></result></response>",
    "compressed": b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
}


@pytest.mark.parametrize(
    "body", [*(each.encode() for each in DOUBTFUL.values()), *BYTES.values()], ids=[*DOUBTFUL, *BYTES]
)
def test_an_answer_that_cannot_be_meant_is_doubt(body: bytes) -> None:
    assert meaning_of(sifted(Names("a"), body)) is Meaning.DOUBT


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1", "utf-8"])
def test_the_encodings_that_xml_has_are_read_however_the_pieces_fall(encoding: str) -> None:
    said = encoding if encoding != "utf-8-sig" else "utf-8"
    entry = "<entry name='sd-ä'><d><![CDATA[<entry name='b'/>]]><!-- <entry name='c'/> --></d></entry>"
    text = f"<?xml version='1.0' encoding='{said}'?>{BEFORE.decode()}{entry}{AFTER.decode()}"
    body = text.encode(encoding)
    names = Names("sd-ä")
    answer = sifted(names, *(body[place : place + 7] for place in range(0, len(body), 7)))
    assert meaning_of(answer) is Meaning.GOOD
    assert names.seen == ["sd-ä"] and "&lt;entry name='b'/&gt;" in names.kept[0]
