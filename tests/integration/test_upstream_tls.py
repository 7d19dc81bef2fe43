"""TLS towards upstreams: verified always, refused with a reason, resumed where that is safe, reloaded with care."""

from __future__ import annotations

import os
import shutil
import ssl
import threading
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import orjson
import pytest

from gateway.config import ServiceSettings, Settings, Timeouts, UpstreamTls, encode
from tests.integration.conftest import request
from tests.integration.test_upstream_faults import CUT, WHOLE, Seen, seen_by, sends, then
from tests.support.authority import DAY, Authority
from tests.support.door import RunningDoor, running_door, settings_for, until
from tests.support.faulty import Faulty, Line, answer, faulty
from tests.support.small_catalog import publish_small_catalog
from tests.support.wire import Client

NAME = "payments.internal"


@dataclass
class Ground:
    """Two authorities, the right one and another, and the settings that trust the right one."""

    folder: Path
    ours: Authority
    theirs: Authority

    def settings(self, tls: UpstreamTls | None = None, **changes: object) -> Settings:
        state = self.folder / "state"
        tls = tls or UpstreamTls(ca=str(self.ours.ca), server_name=NAME)
        settings = settings_for(state, timeouts=Timeouts(response_s=2, drain_finish_s=1), **changes)
        service = {"component:default/echo": ServiceSettings(tls=tls)}
        return replace(settings, environments={"prod": replace(settings.environments["prod"], services=service)})

    def server(self, files: tuple[Path, Path], client_ca: Path | None = None) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*files)
        if client_ca is not None:
            context.load_verify_locations(client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path, Authority(tmp_path, "ours"), Authority(tmp_path, "theirs"))


def door_before(upstream: Faulty, settings: Settings) -> AbstractContextManager[RunningDoor]:
    state = Path(settings.state_folder)
    return running_door(state, publish=lambda folder: publish_small_catalog(folder, upstream.url), settings=settings)


def events(captured: pytest.CaptureFixture[bytes], name: str) -> list[dict[str, object]]:
    lines = captured.readouterr().err.splitlines()
    return [event for line in lines if line.startswith(b"{") and (event := orjson.loads(line))["event"] == name]


@pytest.mark.parametrize(
    ("kind", "public", "full"),
    [
        ("expired", "tls: certificate has expired", "certificate has expired"),
        ("early", "tls: certificate is not valid yet", "not yet valid"),
        ("another name", "tls: certificate is for another name", NAME),
        ("self-signed", "tls: certificate is self-signed", "self-signed"),
        ("another authority", "tls: certificate is signed by an authority that is not trusted here", "issuer"),
        ("for clients", "tls: certificate is not for a server", "purpose"),
    ],
)
def test_a_certificate_that_is_not_right_is_refused_and_the_log_says_whose_and_why(
    ground: Ground, capfdbinary: pytest.CaptureFixture[bytes], kind: str, public: str, full: str
) -> None:
    files = {
        "expired": lambda: ground.ours.leaf("leaf", NAME, begins=-2 * DAY, ends=-DAY),
        "early": lambda: ground.ours.leaf("leaf", NAME, begins=DAY, ends=2 * DAY),
        "another name": lambda: ground.ours.leaf("leaf", "orders.internal"),
        "self-signed": lambda: ground.ours.leaf("leaf", NAME, self_signed=True),
        "another authority": lambda: ground.theirs.leaf("leaf", NAME),
        "for clients": lambda: ground.ours.leaf("leaf", NAME, client=True),
    }[kind]()
    with (
        faulty(tls=ground.server(files)) as upstream,
        door_before(upstream, ground.settings()) as door,
        Client(door.port) as client,
    ):
        got = client.send(request()).answer()
        assert (got.status, got.code) == (502, "upstream_connect")
        assert got.problem["detail"] == public
        assert NAME not in str(got.problem)
        assert door.records(1)[0]["reason"] == "upstream_connect"
        (event,) = events(capfdbinary, "endpoint_failing")
        assert (event["endpoint"], event["exposure"]) == (upstream.url, "component:default/echo@prod")
        assert full in str(event["why"])
        assert upstream.handshakes == [], "no request reached it"


def test_without_settings_the_systems_authorities_and_the_urls_host_count(ground: Ground) -> None:
    files = ground.ours.leaf("leaf", "127.0.0.1")
    with faulty(tls=ground.server(files)) as upstream:
        with door_before(upstream, ground.settings(UpstreamTls())) as door, Client(door.port) as client:
            assert client.send(request()).answer().problem["detail"].endswith("is not trusted here")
        tls = UpstreamTls(ca=str(ground.ours.ca))
        with door_before(upstream, ground.settings(tls)) as door, Client(door.port) as client:
            assert client.send(request()).answer().status == 200


def test_an_upstream_that_speaks_no_tls_is_502(ground: Ground) -> None:
    plain = Faulty(then(sends(b"HTTP/1.1 400 Bad\r\n\r\n"), Line.until_gone))
    plain._tls = None
    url = plain.url.replace("http:", "https:")
    state = ground.folder / "state"
    with (
        running_door(
            state, publish=lambda folder: publish_small_catalog(folder, url), settings=ground.settings()
        ) as door,
        Client(door.port) as client,
    ):
        got = client.send(request()).answer()
        assert (got.status, got.code, got.problem["detail"]) == (502, "upstream_connect", "tls: handshake failed")
    plain.close()


def test_an_upstream_that_wants_a_certificate_gets_ours(ground: Ground) -> None:
    files = ground.ours.leaf("leaf", NAME)
    certificate, key = ground.theirs.leaf("door", "door.internal", client=True)
    tls = UpstreamTls(str(ground.ours.ca), str(certificate), str(key), NAME)
    server = ground.server(files, ground.theirs.ca)
    names = []
    server.sni_callback = lambda connection, name, context: names.append(name)
    with (
        faulty(tls=server) as upstream,
        door_before(upstream, ground.settings(tls)) as door,
        Client(door.port) as client,
    ):
        assert client.send(request("/a")).answer().body == b"/a"
    assert names == [NAME], "and it is told whom we want"


def test_an_upstream_that_does_not_get_the_certificate_it_wants_is_502_and_the_log_says_so(
    ground: Ground, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """With TLS 1.3 the refusal comes after the handshake, in place of an answer."""
    files = ground.ours.leaf("leaf", NAME)
    with (
        faulty(tls=ground.server(files, ground.theirs.ca)) as upstream,
        door_before(upstream, ground.settings()) as door,
        Client(door.port) as client,
    ):
        got = client.send(request()).answer()
        assert (got.status, got.code) == (502, "upstream_closed")
        assert "CERTIFICATE_REQUIRED" in str(events(capfdbinary, "endpoint_failing")[0]["why"])


# === sessions ===


def closing(line: Line) -> None:
    """Each answer ends the connection, so each request needs a handshake."""
    line.request()
    line.send(answer(b"x", b"Connection: close"))


def test_a_connection_after_the_first_resumes_its_session(ground: Ground) -> None:
    files = ground.ours.leaf("leaf", NAME)
    with (
        faulty(*[closing] * 4, tls=ground.server(files)) as upstream,
        door_before(upstream, ground.settings()) as door,
        Client(door.port) as client,
    ):
        for _ in range(4):
            assert client.send(request()).answer().body == b"x"
        assert upstream.handshakes == [False, True, True, True]


def test_a_session_is_not_resumed_after_other_settings_were_taken(ground: Ground) -> None:
    files = ground.ours.leaf("leaf", NAME)
    settings = ground.settings()
    with (
        faulty(*[closing] * 4, tls=ground.server(files)) as upstream,
        door_before(upstream, settings) as door,
        Client(door.port) as client,
    ):
        for _ in range(2):
            assert client.send(request()).answer().body == b"x"
        reload(door, settings)
        assert client.send(request()).answer().body == b"x"
        assert upstream.handshakes == [False, True, False]


# === where a body ends ===


@pytest.mark.parametrize("politely", [True, False], ids=["closed by TLS", "cut below TLS"])
def test_a_body_that_ends_with_the_connection_must_be_ended_by_tls_itself(ground: Ground, politely: bool) -> None:
    """RFC 9112, 9.8: without a closure alert somebody else may have cut it."""

    def until_the_end(line: Line) -> None:
        line.request()
        line.send(b"HTTP/1.1 200 OK\r\n\r\nhalf of it")
        if politely:
            line.sock.unwrap()  # type: ignore[attr-defined]  # it is a TLS socket here
        else:
            os.close(line.sock.detach())

    files = ground.ours.leaf("leaf", NAME)
    with (
        faulty(until_the_end, tls=ground.server(files)) as upstream,
        door_before(upstream, ground.settings()) as door,
        Client(door.port) as client,
    ):
        got = seen_by(client.send(request()))
        assert got == Seen(200, b"half of it", WHOLE if politely else CUT)


def test_an_upstream_that_does_not_say_goodbye_holds_up_nobody(ground: Ground) -> None:
    """Its one connection idled too long for a POST, and the upstream never answers the end of TLS."""
    release = threading.Event()

    def deaf(line: Line) -> None:
        line.send(answer(line.request()))
        release.wait(10)

    files = ground.ours.leaf("leaf", NAME)
    settings = ground.settings()
    service = replace(settings.environments["prod"].services["component:default/echo"], connections=1)
    prod = replace(settings.environments["prod"], services={"component:default/echo": service})
    with (
        faulty(deaf, tls=ground.server(files)) as upstream,
        door_before(upstream, replace(settings, environments={"prod": prod})) as door,
        Client(door.port) as client,
    ):
        assert client.send(request("/a")).answer().body == b"/a"
        (endpoint,) = door.thread.call(lambda: door.door.pool.routes["component:default/echo@prod"].endpoints)

        def age() -> None:
            for each in endpoint.idle:
                each.idle_since_s -= 1.5

        door.thread.call(age)
        began_s = time.monotonic()
        assert client.send(request("/b", method="POST", body=b"x")).answer("POST").body == b"/b"
        assert time.monotonic() - began_s < 0.8
        release.set()


# === reload ===


def reload(door: RunningDoor, settings: Settings) -> None:
    """As after SIGHUP; returns once the door has taken or refused them."""
    number = len(list(door.state.glob("settings-test-*.frame")))
    name = f"settings-test-{number}.frame"
    (door.state / name).write_bytes(encode(settings))
    door.thread.call(lambda: door.door._configure(name))


def test_renewed_authorities_count_after_a_reload_and_broken_ones_change_nothing(
    ground: Ground, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    trusted = ground.folder / "trusted.pem"
    shutil.copy(ground.theirs.ca, trusted)
    settings = ground.settings(UpstreamTls(ca=str(trusted), server_name=NAME))
    files = ground.ours.leaf("leaf", NAME)
    with (
        faulty(*[closing] * 4, tls=ground.server(files)) as upstream,
        door_before(upstream, settings) as door,
        Client(door.port) as client,
    ):
        assert client.send(request()).answer().status == 502
        shutil.copy(ground.ours.ca, trusted)
        assert client.send(request()).answer().status == 502, "read again at a reload alone"
        reload(door, settings)
        assert client.send(request()).answer().status == 200

        before = door.door.settings
        for broken in (b"", b"-----BEGIN CERTIFICATE-----\nnot one\n-----END CERTIFICATE-----\n"):
            trusted.write_bytes(broken)
            reload(door, replace(settings, central_host="new.test"))
            assert door.door.settings is before
            assert client.send(request()).answer().status == 200
        trusted.unlink()
        reload(door, settings)
        assert client.send(request()).answer().status == 200
        refused = events(capfdbinary, "settings_refused")
        assert len(refused) == 3
        assert all(str(trusted) in str(event["why"]) for event in refused)


def test_a_renewed_certificate_of_ours_is_shown_after_a_reload(ground: Ground) -> None:
    certificate, key = ground.folder / "ours.pem", ground.folder / "ours.key"
    for path, file in zip((certificate, key), ground.ours.leaf("old", "door.internal", client=True), strict=True):
        shutil.copy(file, path)
    settings = ground.settings(UpstreamTls(str(ground.ours.ca), str(certificate), str(key), NAME))
    files = ground.ours.leaf("leaf", NAME)
    with (
        faulty(tls=ground.server(files, ground.theirs.ca)) as upstream,
        door_before(upstream, settings) as door,
        Client(door.port) as client,
    ):
        assert client.send(request()).answer().status == 502
        for path, file in zip((certificate, key), ground.theirs.leaf("new", "door.internal", client=True), strict=True):
            shutil.copy(file, path)
        reload(door, settings)
        assert client.send(request("/a")).answer().body == b"/a"


def test_a_broken_file_of_one_service_at_the_start_harms_no_other(ground: Ground) -> None:
    settings = ground.settings(UpstreamTls(ca=str(ground.folder / "missing.pem")))
    with (
        faulty(tls=ground.server(ground.ours.leaf("leaf", NAME))) as upstream,
        door_before(upstream, settings) as door,
        Client(door.port) as client,
    ):
        got = client.send(request()).answer()
        assert (got.status, got.problem["detail"]) == (502, "tls: not set up")
        got = client.send(request(host="app.test")).answer()
        assert got.problem["detail"].endswith("not trusted here"), "it has the system's authorities"
        until(lambda: len(door.records(2)) == 2)
