"""Upgrades on real sockets: what becomes a tunnel, what goes through it unchanged, and when it ends."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway import counters
from gateway.config import Environment, Rate, ServiceSettings, Timeouts, encode
from gateway.door.framing import EARLY_BYTES
from gateway.identity.issuers import LEEWAY_S
from tests.integration.conftest import request, token
from tests.support.door import RunningDoor, running_door, settings_for, until
from tests.support.small_catalog import publish, publish_small_catalog, small_catalog
from tests.support.switching import SWITCHING, UPGRADE, Side, SwitchingService, asks
from tests.support.wire import Client

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
ECHO = "component:default/echo"


@pytest.fixture
def service() -> Iterator[SwitchingService]:
    made = SwitchingService()
    yield made
    made.close()


def environments(**changes: object) -> dict[str, Environment]:
    services = {ECHO: ServiceSettings(**changes)}  # type: ignore[arg-type]  # spelled so that a test names any field
    return {"prod": Environment("prod", hosts=(".test",), upstreams=("127.0.0.0/8",), services=services)}


@pytest.fixture
def door(tmp_path: Path, service: SwitchingService) -> Iterator[RunningDoor]:
    state = tmp_path / "state"
    settings = settings_for(state, environments=environments(upgrades=("x-lines",)))
    with running_door(
        state, publish=lambda folder: publish_small_catalog(folder, service.url), settings=settings
    ) as running:
        yield running


def opened(door: RunningDoor, service: SwitchingService, **how: object) -> tuple[Side, Side]:
    """A tunnel: the client's side and the service's."""
    client = asks(door.port, **how)  # type: ignore[arg-type]  # as `asks` takes it
    service.met.append(client)  # closed with the service
    there = service.meet()
    there.send(SWITCHING)
    assert client.read_head().startswith(b"HTTP/1.1 101 ")
    return client, there


def finish(client: Side, there: Side) -> None:
    """The client leaves, and the service follows."""
    client.sock.close()
    assert there.has_ended()
    there.sock.close()


def count(door: RunningDoor, place: int) -> int:
    return door.thread.call(lambda: door.door.values[place])


def ended_by(door: RunningDoor, place: int) -> bool:
    return count(door, counters.TUNNELS_ENDED + place) == 1 and count(door, counters.TUNNELS_OPEN) == 0


def last_record(door: RunningDoor, tunnels: int = 1) -> dict[str, object]:
    """Of so many tunnels that have ended, the second record of the last one."""
    return door.records(2 * tunnels)[-1]


# === what becomes a tunnel ===


def test_an_upgrade_that_is_permitted_becomes_a_tunnel_with_the_callers_identity(
    door: RunningDoor, service: SwitchingService
) -> None:
    client, there = opened(door, service)
    sent = there.head.lower()
    assert b"\r\nconnection: upgrade\r\nupgrade: websocket" in sent
    assert b"\r\nsec-websocket-key: dghlihnhbxbszsbub25jzq==" in sent
    assert b"\r\nx-stagedoor-user: user:default/jane" in sent
    assert b"\r\nsec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=" in client.head.lower()
    assert b"x-request-id" in client.head.lower()
    assert b"content-length" not in client.head.lower()
    client.send(b"GET / HTTP/1.1\r\n\r\n\x00\xff")
    assert there.read(20) == b"GET / HTTP/1.1\r\n\r\n\x00\xff"
    there.send(b"\x81\x02hi")
    assert client.read(4) == b"\x81\x02hi"


def test_without_a_permit_no_byte_reaches_the_service(door: RunningDoor, service: SwitchingService) -> None:
    for how, status in (({"sub": None}, b"401"), ({"sub": "joe", "host": "team.test"}, b"403")):
        with asks(door.port, glued=b"\x81\x02hi", **how) as client:
            assert client.read_head().split()[1] == status
    service.listening.settimeout(0.1)
    with pytest.raises(TimeoutError):
        service.accept()


def test_bytes_glued_to_either_head_arrive_in_order_and_before_what_follows(
    door: RunningDoor, service: SwitchingService
) -> None:
    early = b"GET /second HTTP/1.1\r\nHost: echo.test\r\n\r\n"
    with asks(door.port, glued=early) as client:
        client.send(b"third")
        there = service.meet()
        assert there.is_silent(), "nothing may go up before the service has agreed"
        there.send(SWITCHING + b"first words")
        client.read_head()
        assert client.read(11) == b"first words"
        client.send(b"fourth")
        assert there.read(len(early) + 11) == early + b"thirdfourth"
        finish(client, there)
    assert last_record(door)["bytes_in"] == len(early) + 11
    assert len(door.records(2)) == 2, "what came early was never read as a request"


def test_a_protocol_that_operators_name_is_let_through_and_others_are_ignored(
    door: RunningDoor, service: SwitchingService
) -> None:
    lines = b"Connection: Upgrade\r\nUpgrade: X-Lines\r\n"
    with asks(door.port, lines=lines) as client:
        there = service.meet()
        assert b"Upgrade: x-lines" in there.head
        there.send(b"HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: x-lines\r\n\r\nhello")
        client.read_head()
        assert client.read(5) == b"hello"
    for other in (b"x-other", b"h2c", b"websocket, x-lines", b"websocket/13", b""):
        with asks(door.port, lines=b"Connection: Upgrade\r\nUpgrade: " + other + b"\r\n") as client:
            there = service.meet()
            assert b"upgrade" not in there.head.lower()
            there.send(OK)
            assert client.read_head().startswith(b"HTTP/1.1 200 ")
            there.sock.close()


@pytest.mark.parametrize(
    ("lines", "method"),
    [
        (UPGRADE.replace(b"Connection: Upgrade\r\n", b""), "GET"),
        (UPGRADE.replace(b"Connection: Upgrade", b"Connection: keep-alive"), "GET"),
        (UPGRADE.replace(b"Connection: Upgrade", b"Connection: close, Upgrade"), "GET"),
        (UPGRADE, "POST"),
        (UPGRADE, "DELETE"),
        (UPGRADE, "HEAD"),
    ],
    ids=["no connection", "not named", "closes", "POST", "DELETE", "HEAD"],
)
def test_what_is_no_clear_wish_for_a_tunnel_is_plain_http(
    door: RunningDoor, service: SwitchingService, lines: bytes, method: str
) -> None:
    with Side(socket.create_connection(("127.0.0.1", door.port), 5)) as client:
        client.send(request("/live", method=method, lines=lines))
        there = service.meet()
        assert b"\nupgrade" not in there.head.lower()
        there.send(SWITCHING)  # which nobody asked for now
        assert client.read_head().startswith(b"HTTP/1.1 502 ")
    assert count(door, counters.TUNNELS_OPENED) == 0


# === what the service may answer ===


@pytest.mark.parametrize("status", [200, 403, 426])
def test_another_answer_is_an_ordinary_one_and_what_came_behind_is_the_next_request(
    door: RunningDoor, service: SwitchingService, status: int
) -> None:
    """The wish for an upgrade smuggles nothing: those bytes meet the same decision as any request."""
    inner = request("/inner", host="team.test", sub="joe")
    with asks(door.port, glued=inner) as client:
        there = service.meet()
        offer = b"Upgrade: websocket\r\nConnection: upgrade\r\n"
        there.send(b"HTTP/1.1 %d No\r\nContent-Length: 2\r\n%b\r\nno" % (status, offer))
        assert client.read_head().split()[1] == b"%d" % status
        assert client.read(2) == b"no"
        assert client.read_head().startswith(b"HTTP/1.1 403 "), "joe is not of the team"
        client.read(int(client.head.lower().split(b"content-length: ")[1].split()[0]))
        client.send(request("/again"))
        assert there.read_head().startswith(b"GET /again "), "the connection is as good as before"
        there.send(OK)
        assert client.read_head().startswith(b"HTTP/1.1 200 ")
    assert [record["path"] for record in door.records(3)] == ["/live", "/inner", "/again"]
    assert all("tunnel" not in record for record in door.records(3))


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: x-lines\r\n\r\n",
        b"HTTP/1.1 101 Go\r\nConnection: Upgrade\r\n\r\n",
        b"HTTP/1.1 101 Go\r\nUpgrade: websocket\r\n\r\n",
        b"HTTP/1.0 101 Go\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: x\r\n\r\n",
    ],
    ids=["another protocol", "no protocol", "no connection", "HTTP/1.0", "length", "chunked", "two protocols"],
)
def test_a_101_that_does_not_say_what_was_asked_is_no_answer(
    door: RunningDoor, service: SwitchingService, answer: bytes
) -> None:
    with asks(door.port) as client:
        there = service.meet()
        there.send(answer + b"stray")
        assert client.read_head().startswith(b"HTTP/1.1 502 ")
        assert there.was_reset() or there.has_ended()
    assert count(door, counters.TUNNELS_OPENED) == 0
    assert "tunnel" not in door.records(1)[0]


def test_interim_answers_may_come_before_the_101(door: RunningDoor, service: SwitchingService) -> None:
    with asks(door.port) as client:
        there = service.meet()
        there.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + SWITCHING + b"x")
        assert client.read_head().startswith(b"HTTP/1.1 103 ")
        assert client.read_head().startswith(b"HTTP/1.1 101 ")
        assert client.read(1) == b"x"


def test_a_service_that_switches_and_leaves_at_once(door: RunningDoor, service: SwitchingService) -> None:
    with asks(door.port) as client:
        there = service.meet()
        there.send(SWITCHING + b"bye")
        there.sock.close()
        client.read_head()
        assert client.read(3) == b"bye"
        assert client.has_ended()
    assert last_record(door)["tunnel"] == "upstream"


def test_a_tunnel_in_line_behind_earlier_requests_opens_in_its_turn(
    door: RunningDoor, service: SwitchingService
) -> None:
    with Side(socket.create_connection(("127.0.0.1", door.port), 5)) as client:
        client.send(request("/one") + request("/live", lines=UPGRADE) + b"early")
        there = service.meet()
        assert there.head.startswith(b"GET /one ")
        there.send(OK)
        there.read_head()
        assert there.head.startswith(b"GET /live ")
        there.send(SWITCHING)
        assert client.read_head().startswith(b"HTTP/1.1 200 ")
        assert client.read(2) == b"ok"
        assert client.read_head().startswith(b"HTTP/1.1 101 ")
        assert there.read(5) == b"early"


def test_a_client_that_leaves_before_the_101_has_its_request_cancelled(
    door: RunningDoor, service: SwitchingService
) -> None:
    with asks(door.port, glued=b"early") as client:
        there = service.meet()
    assert client.sock.fileno() == -1
    assert there.was_reset() or there.has_ended()
    assert door.records(1)[0]["reason"] == "client_gone"


def test_what_comes_before_the_101_is_held_in_bounded_memory(door: RunningDoor, service: SwitchingService) -> None:
    with asks(door.port) as client:
        there = service.meet()
        client.sock.settimeout(0.3)
        taken = 0
        with pytest.raises(TimeoutError):
            while taken < 64 << 20:
                taken += client.sock.send(b"e" * 65536)
        held = door.thread.call(lambda: [len(each.early) for part in door.door._slices for each in part])
        assert EARLY_BYTES < sum(held) <= EARLY_BYTES + 256 * 1024
        client.sock.settimeout(5)
        there.send(SWITCHING)
        client.read_head()
        assert there.read(taken) == b"e" * taken


# === what goes through ===


def pump(side: Side, size: int) -> threading.Thread:
    def run() -> None:
        piece = b"\xa5" * (1 << 18)
        for _ in range(size // len(piece)):
            side.sock.sendall(piece)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("downwards", [True, False], ids=["down", "up"])
def test_a_slow_reader_holds_its_writer_back_and_loses_nothing(
    door: RunningDoor, service: SwitchingService, downwards: bool
) -> None:
    client, there = opened(door, service)
    writer, reader = (there, client) if downwards else (client, there)
    size = 48 << 20
    thread = pump(writer, size)
    taken = 0

    def moved() -> int:
        place = "bytes_out" if downwards else "bytes_in"
        tunnels = door.door.tunnels
        return door.thread.call(lambda: sum(int(getattr(each, place)) for part in tunnels._slices for each in part))

    before = -1
    while moved() != before:  # the buffers of both kernels and the door fill up
        before = moved()
        time.sleep(0.2)
    assert before < size / 2, "the writer was not held back"
    buffered = door.thread.call(
        lambda: [
            transport.get_write_buffer_size()
            for part in door.door.tunnels._slices
            for each in part
            for transport in (each.client, each.upstream)
        ]
    )
    assert max(buffered) < 1 << 20
    while taken < size:
        taken += len(reader.sock.recv(1 << 20))
    thread.join(5)
    assert taken == size


def test_much_both_ways_at_once(door: RunningDoor, service: SwitchingService) -> None:
    client, there = opened(door, service)
    size = 32 << 20
    threads = [pump(client, size), pump(there, size)]
    taken = {"up": 0, "down": 0}

    def drain(name: str, side: Side) -> None:
        while taken[name] < size:
            taken[name] += len(side.sock.recv(1 << 20))

    threads.append(threading.Thread(target=drain, args=("up", there), daemon=True))
    threads[-1].start()
    drain("down", client)
    for thread in threads:
        thread.join(10)
    assert taken == {"up": size, "down": size}
    finish(client, there)
    record = last_record(door)
    assert (record["bytes_in"], record["bytes_out"]) == (size, size)


def test_each_direction_ends_by_itself(door: RunningDoor, service: SwitchingService) -> None:
    client, there = opened(door, service)
    client.send(b"question").sock.shutdown(socket.SHUT_WR)
    assert there.read(8) == b"question"
    assert there.has_ended()
    there.send(b"answer")
    assert client.read(6) == b"answer"
    there.sock.close()
    assert client.has_ended()
    assert last_record(door)["tunnel"] == "client"

    client, there = opened(door, service)
    there.send(b"last words").sock.shutdown(socket.SHUT_WR)
    assert client.read(10) == b"last words"
    assert client.has_ended()
    client.send(b"thanks")
    assert there.read(6) == b"thanks"
    client.sock.close()
    assert there.has_ended()
    assert last_record(door, 2)["tunnel"] == "upstream"


def test_a_reset_is_passed_on_as_a_reset(door: RunningDoor, service: SwitchingService) -> None:
    for first in (True, False):
        client, there = opened(door, service)
        gone, left = (there, client) if first else (client, there)
        gone.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        gone.sock.close()
        assert left.was_reset()
    assert [record["tunnel"] for record in door.records(4)] == ["opened", "upstream", "opened", "client"]


def test_the_last_words_before_a_reset_arrive(door: RunningDoor, service: SwitchingService) -> None:
    for _ in range(10):
        client, there = opened(door, service)
        there.send(b"last words")
        there.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        assert client.read(10) == b"last words"
        there.sock.close()
        assert client.was_reset()


def test_the_connections_of_a_tunnel_are_used_for_nothing_else(door: RunningDoor, service: SwitchingService) -> None:
    client, there = opened(door, service)
    with Client(door.port) as other:
        other.send(request("/plain"))
        plain = service.meet()
        assert plain.head.startswith(b"GET /plain ")
        plain.send(OK)
        assert other.answer().status == 200
    finish(client, there)
    until(lambda: count(door, counters.UPSTREAM_OPEN) <= 1)  # the plain one idles
    until(lambda: door.thread.call(lambda: door.door._clients) == 0)
    assert count(door, counters.TUNNELS_OPEN) == 0


# === when it ends ===


def test_a_tunnel_leaves_two_records_of_one_request(door: RunningDoor, service: SwitchingService) -> None:
    client, there = opened(door, service, target="/live?secret=x")
    (first,) = door.records(1)
    assert (first["status"], first["tunnel"]) == (101, "opened")
    assert (first["decision"], first["reason"]) == ("permit", "owner")
    client.send(b"12345")
    there.read(5)
    there.send(b"123")
    client.read(3)
    finish(client, there)
    second = last_record(door)
    assert (second["bytes_in"], second["bytes_out"], second["tunnel"]) == (5, 3, "client")
    assert second["duration_us"] > first["duration_us"]
    changing = {"seq", "bytes_in", "bytes_out", "duration_us", "tunnel"}
    assert {key: value for key, value in first.items() if key not in changing} == {
        key: value for key, value in second.items() if key not in changing
    }
    assert "secret" not in str(door.records(2))
    assert ended_by(door, counters.BY_CLIENT)
    assert (count(door, counters.REQUEST_BYTES), count(door, counters.RESPONSE_BYTES)) == (5, 3)


def ends_within_two_seconds(act: object, *sides: Side) -> None:
    began = time.monotonic()
    act()  # type: ignore[operator]  # a function
    for side in sides:
        assert side.has_ended()
    assert time.monotonic() - began < 2.0


def test_a_subject_that_is_denied_is_cut_off_and_others_are_not(door: RunningDoor, service: SwitchingService) -> None:
    client, there = opened(door, service)
    others = opened(door, service, sub="joe")
    door.control.denied = ["user:default/jane"]
    ends_within_two_seconds(door.control.publish, client, there)
    others[0].send(b"still")
    assert others[1].read(5) == b"still"
    record = last_record(door, 1) if len(door.records(3)) == 3 else {}
    assert (record["tunnel"], record["decision"], record["reason"]) == ("permit", "refusal", "denied")
    assert record["snapshot"] == door.door.snapshot.version
    assert count(door, counters.TUNNELS_ENDED + counters.BY_PERMIT) == 1


def test_whoever_leaves_the_team_leaves_its_tunnels(door: RunningDoor, service: SwitchingService) -> None:
    client, there = opened(door, service, host="team.test")
    everyones = opened(door, service)
    publish_small_catalog(door.state, service.url, jane_in_team=False)
    ends_within_two_seconds(door.follow_base, client, there)
    everyones[0].send(b"still")
    assert everyones[1].read(5) == b"still"
    assert door.records(3)[-1]["reason"] == "no_rule"


def test_a_service_that_is_unpublished_takes_its_tunnels_along(door: RunningDoor, service: SwitchingService) -> None:
    client, there = opened(door, service)
    catalog = small_catalog(service.url)
    rest = {ref: each for ref, each in catalog.services.items() if ref != ECHO}
    publish(door.state, replace(catalog, services=rest))
    ends_within_two_seconds(door.follow_base, client, there)
    assert last_record(door)["reason"] == "host_unknown"


def test_a_key_that_leaves_the_issuers_set_ends_what_it_vouched_for(
    door: RunningDoor, service: SwitchingService
) -> None:
    client, there = opened(door, service)
    ends_within_two_seconds(lambda: door.control.publish(test=()), client, there)
    record = last_record(door)
    assert (record["tunnel"], record["reason"]) == ("token", "token_key_unknown")


def test_an_edit_that_concerns_nobody_ends_nothing(door: RunningDoor, service: SwitchingService) -> None:
    client, there = opened(door, service, host="team.test")
    publish_small_catalog(door.state, service.url, "http://127.0.0.1:9")
    door.follow_base()
    door.control.publish()
    until(lambda: not door.door.tunnels._walking)
    client.send(b"still")
    assert there.read(5) == b"still"
    finish(client, there)
    assert last_record(door)["snapshot"] == door.door.snapshot.version, "the decision that stood at the end"


def test_a_token_ends_its_tunnel(door: RunningDoor, service: SwitchingService) -> None:
    ends = int(time.time()) + 600
    lines = UPGRADE + b"Authorization: Bearer " + token(exp=ends) + b"\r\n"
    client, there = opened(door, service, sub=None, lines=lines)
    door.skip_to(ends + LEEWAY_S - 1)
    client.send(b"on")
    assert there.read(2) == b"on"
    door.skip_to(ends + LEEWAY_S)
    assert client.has_ended()
    assert there.has_ended()
    record = last_record(door)
    assert (record["tunnel"], record["reason"], record["decision"]) == ("token", "token_expired", "refusal")


def test_a_reload_that_takes_a_protocol_or_an_issuer_away_ends_its_tunnels(
    door: RunningDoor, service: SwitchingService
) -> None:
    def reload(**changes: object) -> None:
        settings = replace(door.door.settings, **changes)  # type: ignore[arg-type]  # fields of Settings
        (door.state / "settings").write_bytes(encode(settings))
        door.tell("settings settings")

    lines = b"Connection: Upgrade\r\nUpgrade: x-lines\r\n"
    with asks(door.port, lines=lines) as client:
        there = service.meet()
        there.send(SWITCHING.replace(b"websocket", b"x-lines"))
        client.read_head()
        plain = opened(door, service)
        ends_within_two_seconds(lambda: reload(environments=environments()), client, there)
        plain[0].send(b"still")
        assert plain[1].read(5) == b"still"
        strict = tuple(replace(each, audiences=("other",)) for each in door.door.settings.issuers)
        ends_within_two_seconds(lambda: reload(issuers=strict), *plain)
    assert [record["reason"] for record in door.records(4)[2:]] == ["operation_unknown", "token_issuer"]


def with_timeouts(tmp_path: Path, service: SwitchingService, **changes: float) -> object:
    state = tmp_path / "state"
    settings = settings_for(state, timeouts=Timeouts(**changes))
    return running_door(state, publish=lambda folder: publish_small_catalog(folder, service.url), settings=settings)


@pytest.mark.slow
def test_an_idle_tunnel_ends_and_one_that_is_used_does_not(tmp_path: Path, service: SwitchingService) -> None:
    with with_timeouts(tmp_path, service, tunnel_idle_s=2.0) as door:  # type: ignore[attr-defined]  # a context
        idle, used = opened(door, service), opened(door, service)
        idle[0].sock.settimeout(0.5)
        began = time.monotonic()
        while True:
            used[0].send(b"x")
            assert used[1].read(1) == b"x"
            try:
                assert idle[0].has_ended()
                break
            except TimeoutError:
                assert time.monotonic() - began < 6
        assert time.monotonic() - began > 1.9
        assert idle[1].has_ended()
        assert door.records(3)[-1]["tunnel"] == "idle"


def test_a_half_that_stays_alone_is_not_kept_for_long(tmp_path: Path, service: SwitchingService) -> None:
    with with_timeouts(tmp_path, service, idle_s=0.5) as door:  # type: ignore[attr-defined]  # a context
        client, there = opened(door, service)
        client.sock.shutdown(socket.SHUT_WR)
        assert there.has_ended()
        assert client.has_ended()
        assert last_record(door)["tunnel"] == "idle"


@pytest.mark.slow
def test_whoever_takes_nothing_does_not_keep_an_ended_tunnel(tmp_path: Path, service: SwitchingService) -> None:
    with with_timeouts(tmp_path, service, tunnel_idle_s=0.5, idle_s=0.5) as door:  # type: ignore[attr-defined]  # a context
        client, there = opened(door, service)
        there.sock.settimeout(0.3)
        with pytest.raises(TimeoutError):
            while True:
                there.sock.send(b"x" * 65536)
        assert last_record(door)["tunnel"] == "idle"
        until(lambda: door.thread.call(lambda: door.door._clients) == 0, 8)
        assert client.was_reset()


def test_a_tunnel_lives_through_a_drain_and_is_cut_at_its_end(tmp_path: Path, service: SwitchingService) -> None:
    with with_timeouts(tmp_path, service, drain_finish_s=1.0) as door:  # type: ignore[attr-defined]  # a context
        client, there = opened(door, service)
        began = time.monotonic()
        door.tell("drain")
        until(lambda: door.door.draining)
        client.send(b"still")
        assert there.read(5) == b"still"
        assert client.was_reset()
        assert 0.9 < time.monotonic() - began < 3
        assert there.was_reset() or there.has_ended()
        assert last_record(door)["tunnel"] == "drain"


def test_a_tunnel_is_a_request_under_way_until_it_ends(tmp_path: Path, service: SwitchingService) -> None:
    state = tmp_path / "state"
    settings = settings_for(state)
    settings = replace(settings, limits=replace(settings.limits, principals=Rate(concurrent=1)))
    with running_door(
        state, publish=lambda folder: publish_small_catalog(folder, service.url), settings=settings
    ) as door:
        first = opened(door, service)
        with asks(door.port) as second:
            assert second.read_head().startswith(b"HTTP/1.1 429 ")
        opened(door, service, sub="joe")
        finish(*first)
        door.records(4)
        opened(door, service)


def test_there_are_only_so_many_tunnels(tmp_path: Path, service: SwitchingService) -> None:
    state = tmp_path / "state"
    settings = settings_for(state)
    settings = replace(settings, limits=replace(settings.limits, tunnels=2))
    with running_door(
        state, publish=lambda folder: publish_small_catalog(folder, service.url), settings=settings
    ) as door:
        first, _ = opened(door, service), opened(door, service)
        with asks(door.port) as third:
            assert third.read_head().startswith(b"HTTP/1.1 503 ")
        finish(*first)
        until(lambda: count(door, counters.TUNNELS_OPEN) == 1)
        opened(door, service)
