"""What a fault of llhttp means in our words: the part of reading a request that is decided before us.

llhttp tells its faults apart in their text alone. The text chooses between codes that all refuse and all close, so
another wording in a later version can at worst give a broader code.
"""

from __future__ import annotations

from typing import Final

from gateway.errors import Refused

_WORDS: Final = (
    ("request_framing", ("content-length", "transfer-encoding", "chunk")),
    ("request_version", ("invalid http version", "pri/upgrade", "http/2", "for rtsp", "for ice")),
)


def parser_refusal(error: Exception) -> Refused:
    """The refusal for an exception of httptools, known by its class's name: nothing here imports the parser."""
    kind = type(error).__name__
    text = str(error)
    if kind == "HttpParserInvalidMethodError":
        return Refused("method_unknown")
    if kind == "HttpParserInvalidURLError":
        return Refused("path_malformed", text)
    lowered = text.lower()
    for code, words in _WORDS:
        if any(word in lowered for word in words):
            return Refused(code, text)
    return Refused("request_malformed", text)
