"""Listeners as wholes, and beside the devices in front of them: what works and is wrong is refused, and says why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway import config, config_load
from gateway.config.devices import Bigip, BigipEnvironment, Devices
from gateway.config_load.listeners import listener_faults
from policy.facts import Source
from tests.support.catalogs import settings

PEERS = ("10.20.0.2/32",)
TLS = config.ListenerTls("door.pem", "door.key", "ca.pem")


def faults(
    folder: Path, *listeners: config.Listener, devices: tuple[Bigip, ...] = ()
) -> list[tuple[tuple[str | int, ...], str]]:
    """Where each is, and what it says."""
    places: list[tuple[str | int, ...]] = []

    def locate(path: object) -> Source:
        places.append(tuple(path))  # type: ignore[arg-type]  # a sequence of keys
        return Source("stagedoor.yaml", len(places))

    found = listener_faults(settings(folder, listeners=listeners, devices=Devices(devices)), locate)
    assert all(each.suggestion for each in found)
    return [(places[each.source.line - 1], each.message) for each in found]


def listener(address: str = "0.0.0.0:8443", name: str = "main", **changes: object) -> config.Listener:
    return config.Listener(name, address, **changes)  # type: ignore[arg-type]  # a test may change any field


@pytest.mark.parametrize(
    ("changes", "key", "said"),
    [
        ({"proxy_protocol": True}, "proxy_protocol", "`proxy_protocol` is read from `trusted_peers` alone"),
        (
            {"proxy_protocol": True, "trusted_peers": PEERS, "tls": TLS, "client_certificate_header": "x-client-cert"},
            "client_certificate_header", "behind `proxy_protocol` every field is the client's own",
        ),
        (
            {"proxy_protocol": True, "trusted_peers": PEERS, "tls": TLS, "direct": True},
            "direct", "`direct` has no peer in between",
        ),
        ({"tls": TLS, "trusted_peers": PEERS, "client_certificate_header": "via"}, "client_certificate_header",
         "`via` has another meaning"),
    ],
)  # fmt: skip
def test_what_would_be_believed_though_nobody_vouches_is_refused(
    tmp_path: Path, changes: dict[str, Any], key: str, said: str
) -> None:
    ((place, message),) = faults(tmp_path, listener(**changes))
    assert place == ("listeners", 0, key)
    assert message.startswith(f"listener `main`: {said}")


def test_listeners_that_mean_something_are_accepted(tmp_path: Path) -> None:
    pool = listener(proxy_protocol=True, trusted_peers=PEERS, bigip=True, tls=TLS)
    fields = listener("0.0.0.0:8444", "fields", trusted_peers=PEERS, tls=TLS, client_certificate_header="sslclientcert")
    health = listener("0.0.0.0:8081", "health", health_only=True)
    trusted = listener("0.0.0.0:8082", "more-health", health_only=True, trusted_peers=PEERS, tls=TLS)
    assert faults(tmp_path, pool, fields, health, trusted) == []


@pytest.mark.parametrize("key", ["bigip", "proxy_protocol", "direct", "client_certificate_header"])
def test_a_listener_for_health_alone_has_nothing_beside_it(tmp_path: Path, key: str) -> None:
    changes = {key: "x-client-cert" if key == "client_certificate_header" else True}
    odd = listener("0.0.0.0:8081", "health", health_only=True, **changes)
    ((place, message),) = faults(tmp_path, listener(), odd)
    assert place == ("listeners", 1, key)
    assert "answers monitors alone" in message


def test_a_node_that_answers_monitors_alone_is_none(tmp_path: Path) -> None:
    ((place, message),) = faults(tmp_path, listener(health_only=True))
    assert place == ("listeners",)
    assert "no service can be reached" in message


# === beside a device ===


def device(*environments: tuple[str, bool], members: tuple[str, ...] = ("192.0.2.21:8443",)) -> Bigip:
    """Each environment with whether it sends PROXY headers; else it has OneConnect."""
    made = tuple(BigipEnvironment(name, proxy_protocol=proxied) for name, proxied in environments)
    return Bigip("edge", ("https://192.0.2.1",), "admin", "password", members=members, environments=made)


PROXIED: dict[str, Any] = {"proxy_protocol": True, "trusted_peers": PEERS}


def test_an_address_said_once_per_connection_and_shared_connections_exclude_each_other(tmp_path: Path) -> None:
    """With OneConnect, the first client's address would be everybody's."""
    one = device(("prod", True), ("dev", False))
    ((place, message),) = faults(tmp_path, listener(**PROXIED), devices=(one,))
    assert place == ("devices", "bigip", 0, "environments", "dev")
    assert message.startswith("BIG-IP `edge`: `dev`: it shares connections (OneConnect), and listener `main`")
    assert "every client would have the first one's" in message
    assert faults(tmp_path, listener(**PROXIED), devices=(device(("prod", True)),)) == []
    assert faults(tmp_path, listener(), devices=(device(("prod", False)),)) == []


def test_a_header_that_nobody_reads_would_end_every_connection(tmp_path: Path) -> None:
    ((place, message),) = faults(tmp_path, listener(), devices=(device(("prod", True)),))
    assert place == ("devices", "bigip", 0, "environments", "prod")
    assert "would refuse every connection" in message


@pytest.mark.parametrize(
    ("addresses", "members", "blamed"),
    [
        (("0.0.0.0:8443", "0.0.0.0:8444"), ("192.0.2.21:8444",), ()),
        (("0.0.0.0:8443", "0.0.0.0:8444"), ("192.0.2.21:8443",), ("first",)),
        (("192.0.2.20:8443", "192.0.2.21:8443"), ("192.0.2.21:8443",), ()),
        (("192.0.2.21:8443", "192.0.2.22:8443"), ("192.0.2.21:8443", "192.0.2.31:8443"), ("first",)),
        (("[2001:db8::1]:8443", "0.0.0.0:9"), ("[2001:DB8:0::1]:8443",), ("first",)),
        (("10.0.0.1:8443", "0.0.0.0:9"), ("192.0.2.21:8443",), ("first",)),
    ],
)
def test_only_the_listeners_that_are_its_members_matter(
    tmp_path: Path, addresses: tuple[str, str], members: tuple[str, ...], blamed: tuple[str, ...]
) -> None:
    """The one at a member's very address; where there is none, those on its port: it may be another node's address."""
    first, second = listener(addresses[0], "first", **PROXIED), listener(addresses[1], "second")
    found = faults(tmp_path, first, second, devices=(device(("prod", False), members=members),))
    assert tuple(name for name in ("first", "second") if any(f"`{name}`" in said for _, said in found)) == blamed


def test_the_port_for_health_is_nobodys_member(tmp_path: Path) -> None:
    health = listener("0.0.0.0:8081", "health", health_only=True)
    one = device(("prod", True), members=("192.0.2.21:8443", "192.0.2.21:8081"))
    assert faults(tmp_path, listener(**PROXIED), health, devices=(one,)) == []


# === as the file says it ===

FILE = """\
listeners:
  - {name: pool, address: "10.20.0.11:8443", bigip: true, proxy_protocol: true, trusted_peers: [10.20.0.2/32]}
  - {name: health, address: "10.20.0.11:8081", health_only: true}
environments: {prod: {hosts: [.example.com], upstreams: [10.0.0.0/8]}}
catalog: {files: [catalog]}
access_policy: access.yaml
state: {folder: state}
"""


def test_the_file_says_so_key_by_key_and_a_fault_has_its_line(tmp_path: Path) -> None:
    (tmp_path / "access.yaml").write_text("version: 1\n")
    file = tmp_path / "stagedoor.yaml"
    file.write_text(FILE)
    pool, health = config_load.load(file, {}).listeners
    assert (pool.proxy_protocol, pool.bigip, pool.health_only) == (True, True, False)
    assert (health.proxy_protocol, health.health_only) == (False, True)
    again = config.decode(config.encode(config_load.load(file, {})))
    assert again.listeners == (pool, health)
    file.write_text(FILE.replace(", trusted_peers: [10.20.0.2/32]", ""))
    with pytest.raises(config_load.ConfigFaults) as raised:
        config_load.load(file, {})
    (said,) = str(raised.value).splitlines()
    assert "stagedoor.yaml:2: listener `pool`: `proxy_protocol` is read from `trusted_peers` alone" in said
