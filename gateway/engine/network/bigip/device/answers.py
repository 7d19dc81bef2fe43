"""What a device answered, and what that means for whoever asked.

iControl answers in JSON, in HTML while its parts restart, and in pieces of either when it is cut off; the status alone
is not enough. Four meanings follow: it is an answer; nothing was done, so ask again later; perhaps something was
done, so look before anything is sent again; no. Texts of a device are hostile: they are shown short, printable and
without anything that looks like a token.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Any, Final, Literal, NamedTuple

import orjson

from gateway.engine.network.transport.texts import LONGEST

DEEPEST: Final = 64  # levels of JSON
MOST_VALUES: Final = 600_000  # of JSON: parsed, a small one takes a hundred bytes
_WORDED: Final = ("message", "errorMessage")  # the second in some of AS3's refusals to show a declaration
NO_TENANT: Final = ("not found in declaration", "declaration in specified path not found")
_TITLE: Final = re.compile(r"<title[^>]*>([^<]{1,200})|<h1[^>]*>([^<]{1,200})", re.IGNORECASE)

Form = Literal["json", "empty", "html", "other"]


class Meaning(Enum):
    GOOD = 1
    LATER = 2  # nothing was done
    DOUBT = 3  # perhaps it was done
    NO = 4


class Answer(NamedTuple):
    """``body`` is None where there was none, or what came is no JSON."""

    status: int
    body: Any = None
    form: Form = "json"
    text: str = ""  # of what is no JSON: a title, or how it begins

    @property
    def members(self) -> dict[str, Any]:
        """The body's members, none where it is no object."""
        return self.body if isinstance(self.body, dict) else {}


def answer_of(status: int, raw: bytes) -> Answer:
    """``raw`` as it came. JSON counts whatever the content type says: devices are careless about it."""
    stripped = raw.lstrip()
    if not stripped:
        return Answer(status, None, "empty")
    if stripped[:1] == b"<":
        text = stripped[:4096].decode("utf-8", "replace")
        found = _TITLE.search(text)
        return Answer(status, None, "html", (found[1] or found[2]) if found else "a page")
    if sum(map(raw.count, (b"[", b"{", b","))) > MOST_VALUES:
        return Answer(status, None, "other", f"more than {MOST_VALUES:,} values")
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return Answer(status, None, "other", stripped[:LONGEST].decode("utf-8", "replace"))
    return Answer(status, body) if _is_shallow(body) else Answer(status, None, "other", "nested without end")


def _is_shallow(body: Any) -> bool:
    """Deeper than any device's, it would break whoever walks through it later."""
    level = [body]
    for _ in range(DEEPEST):
        level = [
            each
            for value in level
            if isinstance(value, dict | list)
            for each in (value.values() if isinstance(value, dict) else value)
        ]
        if not level:
            return True
    return False


def meaning_of(answer: Answer) -> Meaning:
    """Of any answer but 401, which is about the token."""
    if 200 <= answer.status < 300:
        return Meaning.GOOD if answer.form in ("json", "empty") else Meaning.DOUBT
    if is_locked(answer) or is_not_registered(answer):
        return Meaning.LATER
    if answer.status >= 500 or answer.status == 408:  # 408 is AS3's framework giving up on work that goes on
        return Meaning.DOUBT
    return Meaning.NO


def is_locked(answer: Answer) -> bool:
    """AS3 works for somebody else, or has too much waiting."""
    said = message_of(answer).lower()
    return answer.status == 503 and ("operation in progress" in said or "configuration operations" in said)


def is_not_registered(answer: Answer) -> bool:
    """AS3 is not there, or not yet after a start. The vendor writes `not registered` and `no registered`."""
    return answer.status == 404 and "public uri path no" in message_of(answer).lower()


def is_missing(answer: Answer) -> bool:
    """The device itself says that there is no such thing; a page of somebody else's says nothing."""
    return answer.status == 404 and answer.form == "json" and not is_not_registered(answer)


def is_no_tenant(answer: Answer) -> bool:
    """AS3 speaks otherwise of a tenant that its declaration lacks than where it holds no declaration at all."""
    words = message_of(answer).lower()
    return is_missing(answer) and any(each in words for each in NO_TENANT)


def has_too_many_tokens(answer: Answer) -> bool:
    return answer.status == 400 and "maximum active login tokens" in message_of(answer).lower()


def message_of(answer: Answer) -> str:
    """All that the answer says in words, as it came."""
    said = [word for part in parts_of(answer) for word in (*map(part.get, _WORDED), *_list(part.get("errors")))]
    for result in results_of(answer):
        said += [result.get("message"), result.get("response")]
    words = [each for each in said if isinstance(each, str) and each]
    return "; ".join(dict.fromkeys(words)) or answer.text


def results_of(answer: Answer) -> list[dict[str, Any]]:
    """The results of a declaration, those of several declarations (207) joined."""
    return [each for part in parts_of(answer) for each in _list(part.get("results")) if isinstance(each, dict)]


def parts_of(answer: Answer) -> list[dict[str, Any]]:
    """The answer, and those of each of several declarations (207) in it."""
    members = answer.members
    return [members, *(each for each in _list(members.get("items")) if isinstance(each, dict))]


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
