"""DNS: names are asked once, and what leads nowhere is said where it matters."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import aiohttp
import pytest

from gateway.doctor.lines import Line
from gateway.doctor.names import central_host, client_connector, issuer_host, upstream_hosts
from gateway.egress import look_ups
from gateway.egress.look_ups import Names
from tests.support.catalogs import settings

ZONE = {
    "door.example.com": ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"],
    "idp.example.com": ["10.0.0.9"],
    "six": ["::1"],
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A name server that knows `ZONE`, and what it was asked."""
    questions: list[str] = []

    def look_up(host: str) -> list[str]:
        questions.append(host)
        if host == "bad name":
            raise UnicodeError("label empty")
        if host not in ZONE:
            raise OSError(-2, "Name or service not known")
        return ZONE[host]

    monkeypatch.setattr(look_ups, "system_look_up", look_up)
    return questions


def only(lines: Sequence[Line]) -> Line:
    (line,) = lines
    assert line.check == "dns"
    return line


def central(folder: Path, host: str) -> Line:
    return only(asyncio.run(central_host(settings(folder, central_host=host), Names())))


def test_a_central_host_is_told_where_it_leads(tmp_path: Path, asked: list[str]) -> None:
    line = central(tmp_path, "door.example.com")
    assert (line.verdict, line.found) == ("OK", "leads to 10.0.0.1, 10.0.0.2, 10.0.0.3 and 1 more")
    assert central(tmp_path, "").verdict == "OK"


def test_a_central_host_that_leads_nowhere_from_here_may_do_so_elsewhere(tmp_path: Path, asked: list[str]) -> None:
    line = central(tmp_path, "nowhere.example.com")
    assert line.verdict == "WARN"
    assert "Name or service not known" in line.found


@pytest.mark.parametrize(
    ("address", "verdict"),
    [("https://idp.example.com/a", "OK"), ("https://127.0.0.1:1/", "OK"), ("https://gone.example.com", "FAIL")],
)
def test_an_issuer_must_be_found(asked: list[str], address: str, verdict: str) -> None:
    assert only(asyncio.run(issuer_host(address, Names()))).verdict == verdict


def test_names_of_services_are_one_line_that_names_those_that_fail(asked: list[str]) -> None:
    hosts = ["idp.example.com", "gone.example.com", "bad name", "10.0.0.1", "[::1]", "", "gone.example.com"]
    line = only(asyncio.run(upstream_hosts(hosts, Names())))
    assert line.verdict == "FAIL"
    assert line.found.startswith("2 of 3 names do not resolve: bad name (it is no name), gone.example.com (Name or")
    assert only(asyncio.run(upstream_hosts(["six"], Names()))).found == "all 1 names resolve"
    assert only(asyncio.run(upstream_hosts(["10.0.0.1"], Names()))).verdict == "OK"


def test_a_name_is_asked_once_whoever_wants_to_know(asked: list[str]) -> None:
    async def scene() -> None:
        known = Names()
        await asyncio.gather(issuer_host("https://idp.example.com", known), upstream_hosts(["idp.example.com"], known))
        connector = client_connector(known)
        assert isinstance(connector, aiohttp.TCPConnector)
        (found,) = await connector._resolve_host("idp.example.com", 443)
        assert (found["host"], found["port"]) == ("10.0.0.9", 443)
        await connector.close()

    asyncio.run(scene())
    assert asked == ["idp.example.com"]
