"""What DNS answers, over real sockets: all addresses with their time, absence told from silence, and nobody's lies."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from dns import message, rcode
from dns.message import Message

from gateway.engine.network.whereabouts import name_servers
from gateway.engine.network.whereabouts.name_servers import NO_SUCH_NAME, REST, SILENCE, Heard, NameServers
from tests.support.name_server import NameServer, Record, answering

PAY = "pay.internal"
TRUTH = [(60, "A", "10.0.0.1")]


def asked(
    tmp_path: Path, host: str, prepare: Callable[[NameServer], object], *, more: str = "",
    then: Callable[[NameServer], Awaitable[object]] | None = None,
) -> Heard:  # fmt: skip
    """What is heard of ``host``. ``more``: of resolv.conf."""

    async def scene() -> Heard:
        async with NameServer() as server:
            prepare(server)
            heard = await NameServers(_resolv_conf(tmp_path, more), server.port).ask(host)
            if then is not None:
                await then(server)
            return heard

    return asyncio.run(scene())


def _resolv_conf(tmp_path: Path, more: str = "") -> Path:
    path = tmp_path / "resolv.conf"
    path.write_text(f"nameserver 127.0.0.1\n{more}\n")
    return path


def knowing(*records: Record, name: str = PAY) -> Callable[[NameServer], object]:
    return lambda server: server.records.update({name: list(records)})


def test_all_addresses_of_both_kinds_are_heard_and_the_shortest_time(tmp_path: Path) -> None:
    known = knowing((300, "A", "10.0.0.1"), (300, "A", "10.0.0.2"), (77, "AAAA", "2001:DB8:0::1"))
    assert asked(tmp_path, PAY, known) == Heard(frozenset({"10.0.0.1", "10.0.0.2", "2001:db8::1"}), 77)


def test_a_name_of_ipv6_alone_is_heard(tmp_path: Path) -> None:
    assert asked(tmp_path, PAY, knowing((9, "AAAA", "2001:db8::1"))) == Heard(frozenset({"2001:db8::1"}), 9)


def test_of_a_chain_of_aliases_the_shortest_time_counts(tmp_path: Path) -> None:
    def known(server: NameServer) -> None:
        server.records = {
            PAY: [(600, "CNAME", "blue.internal.")],
            "blue.internal": [(20, "CNAME", "n1.internal.")],
            "n1.internal": [(900, "A", "10.0.0.1")],
        }

    assert asked(tmp_path, PAY, known) == Heard(frozenset({"10.0.0.1"}), 20)


def test_an_answer_too_long_for_a_datagram_is_fetched_whole(tmp_path: Path) -> None:
    everyone = [f"10.0.1.{number}" for number in range(60)]
    seen: list[str] = []

    async def then(server: NameServer) -> None:
        seen.extend(protocol for _, kind, protocol in server.asked if kind == "A")

    known = knowing(*((60, "A", address) for address in everyone))
    assert asked(tmp_path, PAY, known, then=then) == Heard(frozenset(everyone), 60)
    assert seen == ["udp", "tcp"]


def test_an_answer_beyond_all_measure_is_none(tmp_path: Path) -> None:
    known = knowing(*((60, "A", f"10.{number // 250}.0.{number % 250}") for number in range(600)))
    heard = asked(tmp_path, PAY, known)
    assert heard == Heard(silent=frozenset({4}))


@pytest.mark.parametrize(
    "records",
    [{}, {PAY: [(60, "TXT", '"words"')]}, {PAY: [(60, "CNAME", "gone.internal.")]}],
    ids=["no such name", "no address", "an alias of nothing"],
)
def test_absence_is_an_answer(tmp_path: Path, records: dict[str, list[Record]]) -> None:
    assert asked(tmp_path, PAY, lambda server: server.records.update(records)) == NO_SUCH_NAME


@pytest.mark.parametrize("failure", [rcode.SERVFAIL, rcode.REFUSED, rcode.NOTIMP])
def test_a_server_that_fails_has_not_answered(
    tmp_path: Path, failure: rcode.Rcode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(name_servers, "LIFETIME_S", 0.3)
    assert asked(tmp_path, PAY, lambda server: server.failing.update({PAY: failure})) == SILENCE


def test_a_server_that_is_silent_is_waited_for_a_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(name_servers, "LIFETIME_S", 0.3)
    begun_s = time.monotonic()
    assert asked(tmp_path, PAY, lambda server: server.silent.add(PAY)) == SILENCE
    assert time.monotonic() - begun_s < 10 * 0.3


def test_silence_about_one_kind_is_told_from_there_being_none(tmp_path: Path) -> None:
    def known(server: NameServer) -> None:
        server.records[PAY] = [*TRUTH, (60, "AAAA", "2001:db8::1")]
        server.failing[(PAY, "AAAA")] = rcode.SERVFAIL

    assert asked(tmp_path, PAY, known) == Heard(frozenset({"10.0.0.1"}), 60, frozenset({6}))


def test_aliases_in_a_circle_are_no_answer(tmp_path: Path) -> None:
    def known(server: NameServer) -> None:
        server.records = {PAY: [(60, "CNAME", "a.internal.")], "a.internal": [(60, "CNAME", f"{PAY}.")]}

    assert asked(tmp_path, PAY, known) == SILENCE


LIE = "10.66.66.66"
LIES = {
    "another id": answering(LIE, shift=1),
    "another question": answering(LIE, name="other.internal."),
    "no message": lambda _: b"\x00" * 5,
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_passed_over_for_the_truth(tmp_path: Path, lie: str) -> None:
    def known(server: NameServer) -> None:
        server.records[PAY], server.lies = TRUTH, [LIES[lie]]

    assert asked(tmp_path, PAY, known) == Heard(frozenset({"10.0.0.1"}), 60)


def test_an_answer_from_another_port_is_passed_over(tmp_path: Path) -> None:
    def known(server: NameServer) -> None:
        server.records[PAY], server.strays = TRUTH, [answering(LIE)]

    assert asked(tmp_path, PAY, known) == Heard(frozenset({"10.0.0.1"}), 60)


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_over_tcp_is_no_answer(tmp_path: Path, lie: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(name_servers, "LIFETIME_S", 0.3)

    def known(server: NameServer) -> None:
        server.records[PAY] = [(60, "A", f"10.0.1.{number}") for number in range(60)]
        server.false_streams = [LIES[lie]]

    assert asked(tmp_path, PAY, known) == Heard(silent=frozenset({4}))


def test_the_same_answer_from_the_server_itself_would_count(tmp_path: Path) -> None:
    """The lies above are passed over for what is false in them."""

    def known(server: NameServer) -> None:
        server.records[PAY], server.lies = TRUTH, [answering(LIE)]

    assert asked(tmp_path, PAY, known) == Heard(frozenset({LIE}), 60)


def test_short_names_are_looked_for_where_the_system_says(tmp_path: Path) -> None:
    known = knowing(*TRUTH, name="pay.corp.test")
    assert asked(tmp_path, "pay", known, more="search other.test corp.test") == Heard(frozenset({"10.0.0.1"}), 60)


def test_where_one_server_fails_the_next_is_asked(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text("nameserver 127.0.0.1\nnameserver 127.0.0.2\n")

    async def scene() -> Heard:
        async with NameServer() as first, NameServer("127.0.0.2", first.port) as second:
            first.failing[PAY], second.records[PAY] = rcode.SERVFAIL, TRUTH
            return await NameServers(path, first.port).ask(PAY)

    assert asyncio.run(scene()) == Heard(frozenset({"10.0.0.1"}), 60)


def test_servers_that_are_silent_leave_time_for_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(name_servers, "LIFETIME_S", 1.2)
    path = tmp_path / "resolv.conf"
    path.write_text("".join(f"nameserver 127.0.0.{number}\n" for number in (1, 2, 3)) + "options timeout:30\n")

    async def scene() -> Heard:
        async with (
            NameServer() as first, NameServer("127.0.0.2", first.port) as second,
            NameServer("127.0.0.3", first.port) as third,
        ):  # fmt: skip
            first.silent.add(PAY)
            second.silent.add(PAY)
            third.records[PAY] = TRUTH
            return await NameServers(path, first.port).ask(PAY)

    assert asyncio.run(scene()) == Heard(frozenset({"10.0.0.1"}), 60)


@pytest.mark.parametrize(
    "line", ["nameserver nowhere", "nameserver", "search a..b", "options ndots:many timeout:0", "domain .", "\xff\xfe"]
)
def test_a_line_that_means_nothing_spoils_no_other(tmp_path: Path, line: str) -> None:
    assert asked(tmp_path, PAY, knowing(*TRUTH), more=line) == Heard(frozenset({"10.0.0.1"}), 60)


def test_an_address_of_ipv4_in_one_of_ipv6_is_the_one_that_doors_connect_to(tmp_path: Path) -> None:
    assert asked(tmp_path, PAY, knowing((60, "AAAA", "::ffff:10.0.0.1"))).addresses == {"10.0.0.1"}


def test_long_answers_are_read_one_by_one_with_a_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are, most of the loop's time is others'."""
    reads: list[tuple[float, float]] = []

    def from_wire(wire: bytes) -> Message:
        begun_s = time.perf_counter()
        answer = message.from_wire(wire)
        reads.append((begun_s, time.perf_counter()))
        return answer

    monkeypatch.setattr(name_servers, "from_wire", from_wire)
    hosts = [f"n{number}.internal" for number in range(8)]

    async def scene() -> list[Heard]:
        async with NameServer() as server:
            for host in hosts:
                server.records[host] = [(0, "A", f"10.1.0.{number}") for number in range(200)]
            asker = NameServers(_resolv_conf(tmp_path), server.port)
            return await asyncio.gather(*map(asker.ask, hosts))

    assert {len(heard.addresses) for heard in asyncio.run(scene())} == {200}
    assert len(reads) == len(hosts)
    for (begun_s, ended_s), (next_s, _) in zip(reads, reads[1:], strict=False):
        assert next_s - ended_s >= (ended_s - begun_s) * (REST - 0.5)


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".internal", ".".join(["long"] * 60)])
def test_what_is_no_name_is_asked_of_nobody(tmp_path: Path, host: str) -> None:
    async def then(server: NameServer) -> None:
        assert server.asked == []

    assert asked(tmp_path, host, knowing(*TRUTH), then=then) == NO_SUCH_NAME


@pytest.mark.parametrize("text", ["", "nameserver nowhere\n", None], ids=["empty", "wrong", "missing"])
def test_a_system_without_name_servers_has_silence(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "resolv.conf"
    if text is not None:
        path.write_text(text)

    async def scene() -> Heard:
        return await NameServers(path).ask(PAY)

    assert asyncio.run(scene()) == SILENCE


def test_other_name_servers_are_taken_up_without_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(name_servers, "READ_AGAIN_S", 0.0)
    path = tmp_path / "resolv.conf"

    async def scene() -> tuple[Heard, Heard]:
        async with NameServer() as server:
            server.records[PAY] = TRUTH
            asker = NameServers(path, server.port)
            before = await asker.ask(PAY)
            _resolv_conf(tmp_path)
            return before, await asker.ask(PAY)

    assert asyncio.run(scene()) == (SILENCE, Heard(frozenset({"10.0.0.1"}), 60))
