"""Who may open a tunnel from a browser, and whose tunnels end when their issuer, or their certificate, says so."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway import config
from policy.facts import Catalog
from tests.support.client_authority import SERVER_AUTH, ClientAuthority, client_context, dns
from tests.support.door import ISSUER, RunningDoor, running_door, settings_for, until
from tests.support.small_catalog import POLICY, publish, service, small_catalog
from tests.support.switching import SWITCHING, UPGRADE, Side, SwitchingService, asks
from tests.support.tokens import claims
from tests.support.wire import Client

OPEN_TO_ALL = {
    **POLICY,
    "rules": [
        {"allow": "anyone", "to": {"service": ["component:default/echo", "component:default/listed"]}, "in": ["prod"],
         "operations": ["GET /live"], "because": "A public feed."},
    ],
}  # fmt: skip
SHOP = "https://shop.example.com"
OPAQUE = "2YotnFZFEjr1zCsicMWpAA"


@pytest.fixture
def switching() -> Iterator[SwitchingService]:
    made = SwitchingService()
    yield made
    made.close()


def catalog(url: str) -> Catalog:
    small = small_catalog(url)
    listed = service("listed", (url,), "everyone", cors=(SHOP,))
    return Catalog(small.people, small.teams, {**small.services, listed.ref: listed})


@pytest.fixture
def door(tmp_path: Path, switching: SwitchingService) -> Iterator[RunningDoor]:
    state = tmp_path / "state"
    trusting = config.Listener("main", "127.0.0.1:0", trusted_peers=("127.0.0.1/32",))
    with running_door(
        state,
        publish=lambda folder: publish(folder, catalog(switching.url), OPEN_TO_ALL),
        settings=settings_for(state, listeners=(trusting,)),
    ) as running:
        yield running


# === whose page asks ===


def asked(door: RunningDoor, switching: SwitchingService, origin: bytes, **how: object) -> bytes:
    """The status of an upgrade that a page of this origin asks for."""
    field = b"Origin: " + origin + b"\r\n" if origin else b""
    lines = UPGRADE + field + how.pop("more", b"")  # type: ignore[operator]  # further lines
    with asks(door.port, lines=lines, **how) as client:  # type: ignore[arg-type]  # as `asks` takes it
        switching.listening.settimeout(0.3)
        try:
            there = switching.meet()
            there.send(SWITCHING)
        except TimeoutError:
            pass
        head = client.read_head()
        return head.split()[1]


@pytest.mark.parametrize(
    ("origin", "more", "status"),
    [
        (b"", b"", b"101"),
        (b"http://echo.test", b"", b"101"),
        (b"https://echo.test", b"X-Forwarded-Proto: https\r\n", b"101"),
        (b"http://echo.test", b"X-Forwarded-Proto: https\r\n", b"403"),
        (b"https://evil.example", b"", b"403"),
        (b"https://echo.test.evil.example", b"", b"403"),
        (b"null", b"", b"403"),
    ],
)
def test_without_a_token_only_a_page_of_the_host_itself_may_ask(
    door: RunningDoor, switching: SwitchingService, origin: bytes, more: bytes, status: bytes
) -> None:
    assert asked(door, switching, origin, sub=None, more=more) == status
    if status == b"403":
        assert door.records(1)[0]["reason"] == "origin_refused"
        assert switching.met == [], "no byte reached the service"


def test_a_listed_origin_may_ask_where_it_is_listed(door: RunningDoor, switching: SwitchingService) -> None:
    shop = SHOP.encode()
    assert asked(door, switching, shop, sub=None, host="listed.test") == b"101"
    assert asked(door, switching, shop, sub=None, host="echo.test") == b"403"
    assert asked(door, switching, b"https://evil.example", sub=None, host="listed.test") == b"403"


def test_a_bearer_token_is_proof_enough_whatever_the_origin(door: RunningDoor, switching: SwitchingService) -> None:
    assert asked(door, switching, b"https://evil.example", sub="jane") == b"101"


# === what an issuer says meanwhile ===


@pytest.fixture
def asking_door(tmp_path: Path, switching: SwitchingService) -> Iterator[RunningDoor]:
    """One whose issuer is asked about opaque tokens."""
    state = tmp_path / "state"
    issuer = replace(ISSUER, introspection=config.Introspection("door", "/nowhere"))
    with running_door(
        state,
        publish=lambda folder: publish(folder, catalog(switching.url)),
        settings=settings_for(state, issuers=(issuer,)),
    ) as running:
        yield running


def word(**changes: object) -> str:
    now = int(time.time())
    return json.dumps(claims(**({"active": True, "exp": now + 600, "iat": now - 5, "scope": "openid"} | changes)))


def opaque_tunnel(door: RunningDoor, switching: SwitchingService) -> tuple[Side, Side]:
    client = asks(door.port, sub=None, lines=UPGRADE + b"Authorization: Bearer " + OPAQUE.encode() + b"\r\n")
    switching.met.append(client)
    there = switching.meet()
    there.send(SWITCHING)
    client.read_head()
    return client, there


@pytest.mark.slow
def test_an_opaque_token_is_asked_about_again_while_its_tunnel_is_open_and_ends_it_when_revoked(
    asking_door: RunningDoor, switching: SwitchingService
) -> None:
    control = asking_door.control
    control.words[OPAQUE] = word(), 120
    client, there = opaque_tunnel(asking_door, switching)
    for number in (2, 3):
        asking_door.skip_to(control.word_ends)
        control.words[OPAQUE] = word(), 120 * number
        until(lambda number=number: len(control.asked) >= number)  # type: ignore[misc]  # a default binds it
    client.send(b"still")
    assert there.read(5) == b"still"
    control.words[OPAQUE] = '{"active": false}', 600
    asking_door.skip_to(control.word_ends)
    assert client.has_ended()
    assert there.has_ended()
    record = asking_door.records(2)[-1]
    assert (record["tunnel"], record["reason"]) == ("token", "token_inactive")
    assert OPAQUE not in str(asking_door.records(2))


def test_an_issuer_that_cannot_be_asked_ends_the_tunnel(asking_door: RunningDoor, switching: SwitchingService) -> None:
    asking_door.control.words[OPAQUE] = word(), 120
    client, _ = opaque_tunnel(asking_door, switching)
    asking_door.control.answers = False
    asking_door.skip_to(asking_door.control.word_ends)
    until(lambda: len(asking_door.control.asked) == 2)
    asking_door.skip_to(asking_door.door.now + 5)  # the question is given up
    client.sock.settimeout(30)
    assert client.has_ended()
    record = asking_door.records(2)[-1]
    assert (record["tunnel"], record["reason"]) == ("token", "issuer_unavailable")


# === a program's certificate ===


def test_a_programs_tunnel_ends_with_the_authorities_of_its_certificate(
    tmp_path: Path, switching: SwitchingService
) -> None:
    clients, others, servers = (ClientAuthority(name, now=time.time()) for name in ("clients", "others", "servers"))
    (tmp_path / "servers.pem").write_bytes(servers.own.pem)
    (tmp_path / "clients.pem").write_bytes(clients.own.pem)
    served = servers.leaf(dns("echo.test"), uses=(SERVER_AUTH,)).write(tmp_path, "door")
    listener = config.Listener(
        "main", "127.0.0.1:0", config.ListenerTls(*served, str(tmp_path / "clients.pem")), direct=True
    )
    state = tmp_path / "state"
    small = small_catalog(switching.url)
    orders = service("orders", (), "owners", client_ids={"": "dns:orders.example"})
    known = Catalog(small.people, small.teams, {**small.services, orders.ref: orders})
    with running_door(
        state, publish=lambda folder: publish(folder, known), settings=settings_for(state, listeners=(listener,))
    ) as door:
        files = clients.leaf(dns("orders.example")).write(tmp_path, "orders")
        raw = Client(door.port)
        context = client_context(str(tmp_path / "servers.pem"), files)
        with Side(context.wrap_socket(raw.sock, server_hostname="echo.test")) as client:
            client.send(b"GET /live HTTP/1.1\r\nHost: echo.test\r\n" + UPGRADE + b"\r\n")
            there = switching.meet()
            assert b"X-Stagedoor-User: component:default/orders" in there.head
            there.send(SWITCHING)
            client.read_head()
            client.send(b"hello")
            assert there.read(5) == b"hello"
            (tmp_path / "clients.pem").write_bytes(others.own.pem)
            (state / "settings").write_bytes(config.encode(door.door.settings))
            door.tell("settings settings")
            assert there.has_ended()
        record = door.records(2)[-1]
        assert (record["tunnel"], record["reason"]) == ("permit", "identity_required")
