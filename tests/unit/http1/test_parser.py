"""What llhttp refuses gets a code that says what was wrong, and the connection ends."""

from __future__ import annotations

import httptools
import pytest

from gateway.errors import FAULTS
from gateway.http1.parser import parser_refusal


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (httptools.HttpParserInvalidMethodError("Invalid method encountered"), "method_unknown"),
        (httptools.HttpParserInvalidURLError("Invalid char in url path"), "path_malformed"),
        (httptools.HttpParserError("Duplicate Content-Length"), "request_framing"),
        (httptools.HttpParserError("Transfer-Encoding can't be present with Content-Length"), "request_framing"),
        (httptools.HttpParserError("Invalid character in chunk size"), "request_framing"),
        (httptools.HttpParserError("Invalid HTTP version"), "request_version"),
        (httptools.HttpParserError("Pause on PRI/Upgrade"), "request_version"),
        (httptools.HttpParserError("something new"), "request_malformed"),
    ],
)
def test_what_the_parser_refuses_has_a_code_that_closes(error: Exception, code: str) -> None:
    assert parser_refusal(error).code == code
    assert FAULTS[code].close
