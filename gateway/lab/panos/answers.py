"""What a device says: the XML envelope, the web layer's own bodies, and a refusal as an exception.

Two layers answer. The web layer (credentials, parameters) writes `status = 'error'` with spaces and single quotes and
an HTTP status of its own, with the text at `result/msg`; the management server answers 200 whatever happened, with the
text at `msg/line`. Everything that came in is read without DTD and entities.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element, ParseError, tostring
from xml.sax.saxutils import escape

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

XML: Final = "application/xml"
SUCCEEDED: Final = "command succeeded"
DEEPEST: Final = 100
DIGITS: Final = 20


@dataclass(frozen=True)
class Answer:
    body: bytes
    status: int = 200
    kind: str = XML
    file: str = ""  # of an attachment


class Declined(Exception):
    """The management server's no. ``code``: of the official table; ``unauth`` is the third value of the envelope."""

    def __init__(self, code: int, text: str | list[str], *, envelope: str = "error", identity: str = "") -> None:
        self.lines = [text] if isinstance(text, str) else text
        super().__init__("; ".join(self.lines))
        self.code = code
        self.envelope = envelope
        self.identity = identity  # of the step of a multi-config that failed

    def answer(self) -> Answer:
        lines = [element("line", line) for line in self.lines]
        response = element("response", None, element("msg", None, *lines), status=self.envelope, code=str(self.code))
        if self.identity:
            response.set("id", self.identity)
        return Answer(tostring(response))


class WebDeclined(Exception):
    """The web layer's no, before anything was looked at."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text

    def answer(self) -> Answer:
        said = f"<result><msg>{escape(self.text)}</msg></result>"
        body = f"<response status = 'error' code = '{self.status}'>{said}</response>"
        return Answer(body.encode(), self.status)


def unauthorized() -> Declined:
    """The role lacks the right, or the xpath leads outside /config."""
    return Declined(16, "Unauthorized request", envelope="unauth")


def element(tag: str, text: str | None = None, *children: Element, **attributes: str) -> Element:
    made = Element(tag, attributes)
    made.text = text
    made.extend(children)
    return made


def members(tag: str, values: list[str]) -> Element:
    return element(tag, None, *(element("member", value) for value in values))


def succeeded(*inside: Element, code: int | None = None) -> Answer:
    response = element("response", None, *inside, status="success")
    if code is not None:
        response.set("code", str(code))
    return Answer(tostring(response))


def result(*inside: Element, text: str | None = None, code: int | None = None) -> Answer:
    return succeeded(element("result", text, *inside), code=code)


def said(text: str, code: int | None = None) -> Answer:
    """A message without data."""
    return succeeded(element("msg", text), code=code)


def done() -> Answer:
    return said(SUCCEEDED, 20)


def read(text: str | bytes) -> Element:
    """Raises `Declined` for what is not well-formed, or brings a DTD or entities."""
    try:
        found: Element = fromstring(text, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, RecursionError) as error:
        raise Declined(18, f"malformed request: {type(error).__name__}") from None
    if _is_deeper(found, DEEPEST):
        raise Declined(18, "malformed request: nested too deeply")
    return found


def _is_deeper(root: Element, levels: int) -> bool:
    row = [root]
    for _ in range(levels):
        row = [child for node in row for child in node]
    return bool(row)


def read_several(text: str) -> list[Element]:
    """Elements without one root, as `element=` may hold them. Raises `Declined`."""
    return list(read(f"<several>{text}</several>")) if text.strip() else []


def at(node: Element, path: str) -> str:
    """The text at a path below, "" where there is none."""
    return (node.findtext(path) or "").strip()


def nth(text: str, most: int) -> int:
    """A number from 1 to ``most``, 0 for whatever is none of these."""
    number = int(text) if text.isdecimal() and len(text) < DIGITS else 0
    return number if number <= most else 0


def texts(node: Element, path: str) -> list[str]:
    return [(one.text or "").strip() for one in node.findall(path)]
