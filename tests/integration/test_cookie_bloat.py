"""Promises to somebody whose browser holds more cookies than fit into a request, as any host of their site can make it:
they see a page that says what to do, on every host, and no service and nobody else notices."""

from __future__ import annotations

import pytest

from tests.integration.conftest import request
from tests.support.door import RunningDoor
from tests.support.upstream import Upstream
from tests.support.wire import Client, Got

WANTED = b"Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\nSec-Fetch-Mode: navigate\r\n"


def bloated(door: RunningDoor, host: str, kilobytes: int, wanted: bytes) -> Got:
    """The answer to a page's request with so many cookies, which a browser sends behind everything else."""
    tossed = b"; ".join(b"c%d=%b" % (number, b"x" * 4000) for number in range(kilobytes // 4))
    with Client(door.port, 30) as client:
        client.send(request(host=host, sub=None, lines=wanted + b"Cookie: " + tossed + b"\r\n"))
        return client.answer()


@pytest.mark.parametrize("kilobytes", [36, 64, 240])
@pytest.mark.parametrize("host", ["echo.test", "nowhere.test"])
def test_a_person_is_shown_what_to_do(golden_door: RunningDoor, host: str, kilobytes: int) -> None:
    got = bloated(golden_door, host, kilobytes, WANTED)
    assert (got.status, got.headers["content-type"]) == (431, "text/html; charset=utf-8")
    assert b"Delete the cookies of this site in your browser" in got.body
    assert b'<a href="/">Start again</a>' in got.body
    assert "clear-site-data" not in got.headers, "whoever could bring this about would sign people out of all hosts"
    assert "set-cookie" not in got.headers


@pytest.mark.parametrize("kilobytes", [36, 64])
def test_a_program_is_told_by_code(golden_door: RunningDoor, kilobytes: int) -> None:
    got = bloated(golden_door, "echo.test", kilobytes, b"Accept: */*\r\n")
    assert (got.status, got.code) == (431, "request_head_too_large")


def test_what_fits_reaches_the_service_and_everybody_else_is_served(
    golden_door: RunningDoor, golden_upstream: Upstream
) -> None:
    bloated(golden_door, "echo.test", 64, WANTED)
    with Client(golden_door.port, 30) as client:
        cookies = b"; ".join(b"c%d=%b" % (number, b"x" * 4000) for number in range(7))
        assert client.send(request("/fits", lines=b"Cookie: " + cookies + b"\r\n")).answer().status == 200
    assert [seen.target for seen in golden_upstream.seen] == ["/fits"]


def test_other_heads_without_a_reading_are_answered_with_a_page_too(golden_door: RunningDoor) -> None:
    with Client(golden_door.port, 30) as client:
        got = client.send(request("/a//b", sub=None, lines=WANTED)).answer()
    assert (got.status, got.headers["content-type"]) == (400, "text/html; charset=utf-8")
    assert b"The path has more than one reading" in got.body
