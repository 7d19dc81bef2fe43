"""What a firewall answered, and what that means for whoever asked.

The envelope's status has three values, refusals come with HTTP 200 too, the vendor's table of codes is not what devices
do, and a page of the web interface may stand where XML was asked for. So an answer is judged by everything that it has:
the HTTP status, the envelope's status, its code, its words. What is not known is no success. Documents are read without
DTD and entities, up to a size; texts of a device are hostile, and shown only by `Client.shown`.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, Literal, NamedTuple
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

MOST_ELEMENTS: Final = 300_000
MOST_ATTRIBUTES: Final = 300_000  # some 100 MB, once parsed
MOST_MESSAGES: Final = 1000
ENTRIES: Final = "msg/line/uid-response/payload"  # where an answer goes through what failed
# Where devices put their words, the most telling place first.
_WORDS: Final = (
    f"{ENTRIES}/*/entry", "msg/line/line", "msg/line", "result/msg/line", "result/msg", "msg",
    "result/job/details/line", "response/msg/line", "response",
)  # fmt: skip
_LATER: Final = (
    "timed out while getting config lock", "another commit/validate is in progress", "a commit is in progress",
)  # fmt: skip

Form = Literal["xml", "empty", "page", "other"]


class Meaning(Enum):
    GOOD = 1
    NOTHING = 2  # there is no such thing, which a reader may have expected
    LATER = 3  # nothing was done: somebody else is at work
    DOUBT = 4  # perhaps something was done
    KEY = 5  # the key is not known here
    RIGHT = 6  # the key's administrator may not do this
    NO = 7
    PARTLY = 8  # of a User-ID message: entries that the answer goes through failed, all others took effect


class Answer(NamedTuple):
    """``status`` is "" where no envelope came; ``root`` is the envelope."""

    http: int
    form: Form
    status: str = ""
    code: str = ""
    messages: tuple[str, ...] = ()
    root: Element | None = None

    @property
    def result(self) -> Element | None:
        return None if self.root is None else self.root.find("result")


def answer_of(http: int, content_type: str, raw: bytes) -> Answer:
    """``raw`` as it came. Raises nothing: what cannot be read has no envelope."""
    if not raw.strip():
        return Answer(http, "empty")
    if is_page(content_type, raw[:256]):
        return Answer(http, "page")
    if raw.count(b"<") > 2 * MOST_ELEMENTS:
        return Answer(http, "other", messages=(f"more than {MOST_ELEMENTS:,} elements",))
    if raw.count(b"=") > MOST_ATTRIBUTES:
        return Answer(http, "other", messages=(f"more than {MOST_ATTRIBUTES:,} attributes",))
    try:
        root = fromstring(raw, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError):  # LookupError: an encoding nobody knows
        root = None
    return envelope_of(http, root)


def is_page(content_type: str, head: bytes) -> bool:
    return content_type == "text/html" or head.lstrip().lower().startswith((b"<!doctype html", b"<html"))


def envelope_of(http: int, root: Element | None) -> Answer:
    """``root``: of the document, None where it is no whole one."""
    if root is None:
        return Answer(http, "other", messages=("no whole XML document",))
    if root.tag != "response":
        return Answer(http, "other", messages=("another document than a response",))
    return Answer(http, "xml", root.get("status", ""), root.get("code", ""), messages_of(root), root)


def messages_of(root: Element) -> tuple[str, ...]:
    """The envelope's words, from the first place that has some."""
    for path in _WORDS:
        found = [text for each in root.findall(path)[:MOST_MESSAGES] if (text := _text_of(each))]
        if found:
            return tuple(found)
    return ()


def _text_of(element: Element) -> str:
    said = element.get("message") or "".join(element.itertext())
    return " ".join(said.split())


def meaning_of(answer: Answer) -> Meaning:
    if 300 <= answer.http < 400:
        return Meaning.NO
    if answer.form != "xml":
        return Meaning.NO if answer.form == "page" and answer.http < 500 else Meaning.DOUBT
    if answer.http == 403 or answer.code in ("403", "22"):
        return Meaning.KEY
    if answer.http >= 500:
        return Meaning.DOUBT
    if answer.status == "unauth" or answer.code == "16":
        return Meaning.RIGHT
    if answer.http >= 400:
        return Meaning.NO
    if answer.status == "success":
        return Meaning.NOTHING if answer.code == "7" else Meaning.GOOD
    if answer.root is not None and answer.root.find(f"{ENTRIES}/*/entry") is not None:
        return Meaning.PARTLY
    said = " ".join(answer.messages).lower()
    if any(each in said for each in _LATER):
        return Meaning.LATER
    return Meaning.NOTHING if answer.code == "7" or said == "no such node" else Meaning.NO
