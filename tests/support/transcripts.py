"""Transcripts: one promise of the door towards HTTP each, as what goes over the wire, and the page made of them.

A file begins with ``promise:`` and ``rfc:``, then a line of ten dashes, then the conversation:

    C> line      the client sends this line of a head (CRLF is added)       U< line      the upstream sends it
    U> line      the upstream must receive it                               C< line      the client must receive it
    C>= text     raw bytes of a body, with the escapes \\r \\n \\xHH          U>= U<= C<=  likewise
    C: half      the client ends its sending side                           U: close     the upstream closes
    C< end       the client must see the end of the connection, clean       C< cut       it must see it broken off
    A: key=value …                                                          what the audit record must say

Lines of one mark that follow each other are one step; steps happen in their order. In a head that is expected, the
first line must be the same, every field written must be there once with this value (``U> Host: *``: any value), and
a field written with ``!`` must not be there at all: ``C< !Connection``. After an expected head nothing may follow
that no step expects. ``{token}`` stands for Jane's bearer token; ``app.test`` lets the trailers `X-Checksum` and
`Grpc-Status` through, ``echo.test`` none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parents[1] / "golden" / "transcripts"
PAGE = Path(__file__).parents[2] / "docs" / "http-behaviour.md"
SEPARATOR = "----------"
_LINE = re.compile(r"(?P<mark>[CU][<>]=?|[CUA]:)(?: (?P<text>.*))?")


class Step(NamedTuple):
    """``C>`` and ``U<`` send, ``U>`` and ``C<`` expect; with ``=`` raw bytes; ``C:``, ``U:``, ``A:`` as they say."""

    mark: str
    lines: tuple[str, ...]

    @property
    def raw(self) -> bytes:
        """The bytes of a step that sends or expects them."""
        if self.mark.endswith("="):
            return b"".join(unescaped(line) for line in self.lines)
        return "".join(f"{line}\r\n" for line in self.lines).encode("latin-1")


class Transcript(NamedTuple):
    name: str
    promise: str
    rfc: str
    steps: tuple[Step, ...]


def unescaped(text: str) -> bytes:
    return text.encode("ascii").decode("unicode_escape").encode("latin-1")


def load(path: Path) -> Transcript:
    """Raises `ValueError` with the line that is none of a transcript's."""
    head, _, body = path.read_text("utf-8").partition(f"\n{SEPARATOR}\n")
    fields = dict(line.split(": ", 1) for line in head.splitlines())
    steps: list[Step] = []
    for number, line in enumerate(body.splitlines(), head.count("\n") + 3):
        found = _LINE.fullmatch(line)
        if found is None:
            raise ValueError(f"{path.name}:{number}: `{line}` is no line of a transcript")
        mark, text = found["mark"], found["text"] or ""
        if steps and steps[-1].mark == mark and not mark.endswith(":") and text not in ("end", "cut"):
            steps[-1] = Step(mark, (*steps[-1].lines, text))
        else:
            steps.append(Step(mark, (text,)))
    return Transcript(path.stem, fields["promise"], fields["rfc"], tuple(steps))


def transcripts() -> Iterator[Transcript]:
    yield from map(load, sorted(FOLDER.glob("*.case")))


def matches(expected: tuple[str, ...], head: bytes) -> str:
    """Why a head that came is not the one expected; "" when it is."""
    first, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    if first != expected[0]:
        return f"`{first}` instead of `{expected[0]}`"
    came = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    for line in filter(None, expected[1:]):
        name, _, value = line.removeprefix("!").partition(":")
        values = [text for key, text in came if key == name.lower()]
        if line.startswith("!"):
            if values:
                return f"`{name}: {values[0]}` is there"
            continue
        same = [want.partition(":") for want in expected[1:] if want.lower().startswith(f"{name.lower()}:")]
        wanted = [want.strip() for _, _, want in same]
        if values != wanted and not (wanted == ["*"] and len(values) == 1):
            return f"`{name}` is {values} instead of {wanted}"
    return ""


#: Where the door and the public suites of conformance and smuggling tests differ, and why the door's way was chosen.
BY_CHOICE = (
    (
        "`Content-Length` twice with one value, or `5, 5`",
        "refused, 400; of a service 502",
        "RFC 9110 §8.6 allows to read it as one. Two lines are two chances to read another one.",
    ),
    (
        "`Transfer-Encoding: gzip, chunked`, `identity`, `chunked` twice",
        "refused, 400; of a service 502",
        "The next reader may know another coding than this one.",
    ),
    (
        "Spaces around `;` or `=` in a chunk's extension",
        "refused, 400",
        "RFC 9112 §7.1.1 has them as bad whitespace, and readers differ in where the size ends.",
    ),
    ("A folded line (obs-fold)", "refused, 400; of a service 502", "RFC 9112 §5.2 would also let it be unfolded."),
    (
        "An absolute form whose authority is not the one in `Host`",
        "refused, 400",
        "RFC 9112 §3.2.2 lets the target win; another reader may look at `Host`.",
    ),
    ("HTTP/1.2 and above", "refused, 505", "It may be answered as 1.1; nobody sends it but to find out who does."),
    (
        "HTTP/0.9 for the health path",
        "answered with a head, as everybody is",
        "RFC 1945 §5 wants the text alone. A BIG-IP, which asks so, searches octets and knows no versions.",
    ),
    ("Empty lines before a request", "ignored", "RFC 9112 §2.2. A lone CR or LF is no empty line: refused, 400."),
    (
        "Several spaces between the parts of a request line",
        "refused, 400",
        "RFC 9112 §3 would let them be read as one. Another reader may find an empty target, or none.",
    ),
    (
        "GET, POST and OPTIONS of RTSP/1.x",
        "refused, 400",
        "RFC 9112 §2.3: the version is that of HTTP, and what comes under another name is not ours to answer.",
    ),
    (
        "More bytes behind an answer to HEAD, to 204 or 304",
        "the connection to the service ends",
        "Unless the next request is on its way before they come: nobody can tell those bytes from its answer.",
    ),
    (
        "103 to a client of HTTP/1.1",
        "passed on",
        "It comes only where the service sends it. Python's `http.client`, for one, takes it for the answer.",
    ),
)


def page() -> str:
    """`docs/http-behaviour.md`."""
    lines = [
        "# HTTP behaviour",
        "",
        "What the door does with HTTP/1.1 and 1.0, promise by promise. Each one is a transcript that the tests run",
        "against a serving door, whole and byte by byte. Requests that are refused because they have a second reading",
        "are in `tests/golden/http/refused`, one file each, named after the attack. This page is generated:",
        "`python -m tests.support.transcripts > docs/http-behaviour.md`.",
        "",
        "| promise | by | transcript |",
        "|---|---|---|",
    ]
    for each in transcripts():
        link = f"[{each.name}](../tests/golden/transcripts/{each.name}.case)"
        lines.append(f"| {each.promise} | {each.rfc} | {link} |")
    lines += [
        "",
        "## By choice",
        "",
        "Where public suites of conformance or smuggling tests expect something else, or allow more than one thing:",
        "",
        "| what comes | what happens | why |",
        "|---|---|---|",
        *(f"| {what} | {happens} | {why} |" for what, happens, why in BY_CHOICE),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(page(), end="")
