"""Annotations: environments, overrides, bounds, and that an unknown word never widens anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from gateway import config
from gateway.engine.sources.annotations import MAX_ITEMS, Said, read_annotations
from gateway.engine.sources.complaints import TOLD
from gateway.engine.sources.entities import read_entity
from policy.facts import Instance, Source
from tests.support.catalogs import PREFIX, entity, environments

BASE = {"environments": "prod", "host": "a.example.com", "upstream": "http://10.0.0.1:8080"}


def said(
    changes: Mapping[str, str | None] | None = None, *names: str, bounds: Mapping[str, config.Environment] | None = None
) -> Said:
    annotations = {key: text for key, text in {**BASE, **(changes or {})}.items() if text is not None}
    reading = read_entity(
        entity("Component", "shop/a", annotations=annotations), lambda path: Source("f.yaml", 1), PREFIX
    )
    assert reading.entity is not None
    return read_annotations(reading.entity, bounds or environments(*(names or ("dev", "prod"))), "door.example.com")


def test_nothing_is_exposed_without_the_annotation_environments() -> None:
    assert said({"environments": None}).exposures == ()


def test_env_stands_for_the_environment_and_a_suffix_overrides_one() -> None:
    found = said(
        {"environments": "dev, prod", "host": "a.{env}.example.com", "host.prod": "a.example.com", "path": "/{env}"}
    )
    assert [(each.environment, each.host, each.prefix) for each in found.exposures] == [
        ("dev", "a.dev.example.com", "/dev"),
        ("prod", "a.example.com", "/prod"),
    ]
    assert found.faults == ()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("host", ""), ("host", "https://a.example.com"), ("host", "a.example.com:443"), ("host", "a.example.com/x"),
        ("host", "a.evil.com"), ("host", "example.com"), ("host", "*.example.com"), ("host", "door.example.com"),
        ("host", "a_b.example.com"), ("host", "evilexample.com"),
        ("upstream", ""), ("upstream", "ftp://10.0.0.1"), ("upstream", "http://192.168.0.1"), ("upstream", "http://127.0.0.1"),
        ("upstream", "http://169.254.169.254"), ("upstream", "unix:control"), ("upstream", "http://u:p@10.0.0.1"),
        ("upstream", "http://10.0.0.1/path"), ("upstream", "http://evil.com"), ("upstream", "http://0x7f000001"),
        ("upstream", "http://10.1"), ("upstream", "http://10.0.0.1:0"), ("upstream", "http://10.0.0.1:99999"),
        ("upstream", "http://10.0.0.1, http://evil.com"), ("upstream", "http://[::ffff:127.0.0.1]"),
        ("path", "a"), ("path", "/a//b"), ("path", "/../a"), ("path", "/%2e%2e/a"), ("path", "/a?b"), ("path", "/a/**"),
    ],
)  # fmt: skip
def test_an_exposure_outside_what_it_may_be_is_not_published(key: str, value: str) -> None:
    found = said({key: value})
    assert found.exposures == ()
    assert found.broken == {"prod"}
    assert any(fault.severity == "error" for fault in found.faults)


def test_a_broken_environment_leaves_the_other_alone() -> None:
    found = said({"environments": "dev,prod", "host.dev": "a.evil.com"})
    assert [each.environment for each in found.exposures] == ["prod"]
    assert found.broken == {"dev"}


def test_upstreams_are_kept_in_one_spelling() -> None:
    found = said({"upstream": "http://10.0.0.1:8080/, https://A.internal , http://10.0.0.1:8080"})
    assert found.exposures[0].upstreams == ("http://10.0.0.1:8080", "https://a.internal")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("acces", "everyone"), ("host.qa", "b.example.com"), ("access.prod", "everyone"), ("options", "strip-prefixes"),
        ("allow-groups", "a b"), ("allow-consumers", "group:default/a"), ("environments", "prod,qa"),
        ("paths", "GET a"), ("public", "FETCH /a"), ("paths", "GET /a/**/b"), ("max-duration", "4h"),
        ("approvers", "component:default/x"),
    ],
)  # fmt: skip
def test_an_unknown_word_is_reported_and_left_out(key: str, value: str) -> None:
    found, plain = said({key: value}), said()
    assert [fault.severity for fault in found.faults] == ["warning"]
    assert found.faults[0].source.entity == "component:shop/a"
    assert (found.exposures, found.access, found.options) == (plain.exposures, plain.access, plain.options)
    assert (found.allow_groups, found.allow_consumers, found.declared) == ((), (), ())


def test_an_unknown_access_is_read_as_the_narrowest() -> None:
    assert said({"access": "evryone"}).access == "owners"
    assert said({"access": "everyone"}).access == "everyone"
    assert said().access == ""


def test_bare_refs_mean_the_own_namespace() -> None:
    found = said({"allow-groups": "a, default/b", "allow-consumers": "c"})
    assert found.allow_groups == ("group:default/b", "group:shop/a")
    assert found.allow_consumers == ("component:shop/c",)


def test_client_ids_are_kept_per_environment() -> None:
    assert said({"client-id": "x", "client-id.prod": "y"}).client_ids == {"": "x", "prod": "y"}


@pytest.mark.parametrize("nothing", ["", " ", "y\nz"])
def test_a_client_id_that_one_environment_empties_is_none_there(nothing: str) -> None:
    found = said({"client-id": "x", "client-id.prod": nothing})
    assert found.client_ids == {"": "x", "prod": ""}
    assert bool(found.faults) == bool(nothing.strip())
    assert said({"client-id": nothing}).client_ids == {}


def test_operations_beside_the_definition() -> None:
    found = said({"paths": "get /assets/**, GET /", "public": "POST /hooks"})
    assert [(each.method, each.template, each.public) for each in found.declared] == [
        ("GET", "/assets/**", False), ("GET", "/", False), ("POST", "/hooks", True),
    ]  # fmt: skip


def test_a_component_per_environment_names_that_one_environment() -> None:
    own = {"environment": "prod", "instance-of": "component:shop/base"}
    assert [each.environment for each in said(own).exposures] == ["prod"]
    contradicting = said({**own, "environments": "dev,prod"})
    assert contradicting.exposures == ()
    assert contradicting.broken == {"dev", "prod"}
    assert said({**own, "environments": None}).exposures == ()


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        (None, ()),
        ("refuse", ()),
        ("upstream", ("upstream",)),
        ("https://shop.example.com", ("https://shop.example.com",)),
        ("HTTPS://Shop.Example.com:443, http://127.0.0.1:3000", ("http://127.0.0.1:3000", "https://shop.example.com")),
        ("https://shop.example.com:8443", ("https://shop.example.com:8443",)),
    ],
)
def test_cors_is_origins_in_the_spelling_of_browsers(text: str | None, origins: tuple[str, ...]) -> None:
    found = said({"cors": text})
    assert found.cors == origins
    assert not found.faults


@pytest.mark.parametrize(
    "text",
    ["*", "null", "shop.example.com", "https://shop.example.com/", "https://shop.example.com/path", "ftp://a.test",
     "https://*.example.com", "https://user@shop.example.com", "https://a.test upstream"],
)  # fmt: skip
def test_what_is_no_origin_lets_nobody_in_and_is_told(text: str) -> None:
    found = said({"cors": text})
    assert found.cors == ()
    assert [fault.severity for fault in found.faults] == ["warning"]
    assert "`cors`" in found.faults[0].message


def test_a_word_among_origins_is_told_and_the_origins_stay() -> None:
    found = said({"cors": "upstream, https://shop.example.com"})
    assert found.cors == ("https://shop.example.com",)
    assert len(found.faults) == 1


@pytest.mark.parametrize("outside", ["192.0.2.1", "0.0.0.0", "127.0.0.1", "169.254.169.254", "::1", "224.0.0.1"])
def test_addresses_lie_inside_the_networks_of_the_environment(outside: str) -> None:
    """An owner never has the operator's devices take an address that is not theirs to give."""
    for key in ("virtual-address", "addresses"):
        found = said({key: outside})
        assert (found.virtual_addresses, found.addresses) == ({}, {})
        assert [fault.severity for fault in found.faults] == ["warning"]
        assert found.exposures == said().exposures
    assert said({"virtual-address": "10.9.9.9"}).virtual_addresses == {"prod": "10.9.9.9"}


def test_where_a_big_ip_serves_the_environment_its_networks_count_for_an_address_of_its_own() -> None:
    """And where it has none, nobody has one; `addresses` are where the service runs, and lie in `upstreams`."""
    for networks, expected in ((("10.200.0.0/24",), {"prod": "10.200.0.9"}), ((), {}), (("10.201.0.0/24",), {})):
        bounds = {"prod": replace(environments("prod")["prod"], virtual_networks=networks)}
        found = said({"virtual-address": "10.200.0.9", "addresses": "10.9.0.1"}, bounds=bounds)
        assert found.virtual_addresses == expected
        assert found.addresses == {"prod": ("10.9.0.1",)}
        assert ["outside the networks" in fault.message for fault in found.faults] == [True] * (not expected)


@pytest.mark.parametrize("zone", ["5", "0", "`x`", "eth0 y"])
def test_an_address_says_no_zone(zone: str) -> None:
    """A BIG-IP takes what stands behind a `%` for another of its route domains: there it would be another address, or
    under another name the one that somebody else has."""
    listed = ("2001:db8::/64",)
    bounds = {"prod": replace(environments("prod")["prod"], virtual_networks=listed, upstreams=listed)}
    plain = said({"virtual-address": "2001:db8::9"}, bounds=bounds)
    assert plain.virtual_addresses == {"prod": "2001:db8::9"}
    for text in (f"2001:db8::9%{zone}", f"2001:db8::9%{zone}/128"):
        found = said({"virtual-address": text, "addresses": text}, bounds=bounds)
        assert (found.virtual_addresses, found.addresses) == ({}, {})
        assert sum("is no address" in fault.message for fault in found.faults) >= 2


@pytest.mark.parametrize("wide", ["10.0.0.0/7", "0.0.0.0/0", "::/0", "10.255.255.0/23, 11.0.0.0/24"])
def test_a_network_lies_inside_as_a_whole(wide: str) -> None:
    assert "10.0.0.0/7" not in said({"addresses": wide}).addresses.get("prod", ())
    assert said({"addresses": f"{wide}, 10.1.0.0/16"}).addresses["prod"] == ("10.1.0.0/16",)


def test_addresses_may_differ_by_environment_and_only_where_it_is_published() -> None:
    found = said({"environments": "dev,prod", "virtual-address": "10.0.0.9", "virtual-address.dev": "10.0.0.8"})
    assert found.virtual_addresses == {"dev": "10.0.0.8", "prod": "10.0.0.9"}
    assert said({"virtual-address.dev": "10.0.0.8"}).virtual_addresses == {}


def test_what_is_said_of_temporary_access_is_kept() -> None:
    found = said({"approvers": "sre, user:jane", "max-duration": "PT4H"})
    assert (found.approvers, found.longest_s) == (("group:shop/sre", "user:shop/jane"), 14400)


def test_an_instance_names_another_component_and_its_own_environment() -> None:
    found = said({"environment": "prod", "instance-of": "base"})
    assert found.instance == Instance("component:shop/base", "prod", agreed=False)
    for wrong in ({}, {"environment": "prod", "instance-of": "a"}, {"environment": "prod", "instance-of": "b, c"}):
        refused = said({"instance-of": "base", **wrong})
        assert refused.instance is None
        assert [fault.severity for fault in refused.faults] == ["warning"]


def test_a_component_of_one_environment_calls_there_alone() -> None:
    found = said({"environment": "prod", "client-id": "x"})
    assert found.client_ids == {"dev": "", "prod": "x"}
    assert said({"environment": "prod", "client-id": "x", "client-id.dev": "y"}).client_ids == {"dev": "y", "prod": "x"}


def test_a_service_may_ask_for_the_signed_word_about_a_caller() -> None:
    found = said({"options": "assertion, strip-prefix"})
    assert found.options == {"assertion", "strip-prefix"}
    assert list(found.faults) == []


@pytest.mark.parametrize("key", ["allow-groups", "allow-consumers", "approvers", "options", "paths", "public", "cors"])
def test_a_list_without_end_is_cut_and_told_in_a_few_words(key: str) -> None:
    """It would delay everybody else's revocations: each word is looked up, told and remembered."""
    found = said({key: ",".join(f"GET /x{number} y" for number in range(30_000))})
    assert [each.environment for each in found.exposures] == ["prod"]
    assert len(found.faults) <= TOLD + 1
    assert f"`{key}` has 30,000 entries: those after {MAX_ITEMS:,} are left out" in found.faults[0].message
    assert len(found.faults[-1].message) < 200
    assert max(map(len, (found.allow_groups, found.allow_consumers, found.declared, found.cors))) <= MAX_ITEMS


def test_environments_and_upstreams_without_end_are_cut_too() -> None:
    found = said({"environments": "prod," + ",".join(f"e{number}" for number in range(30_000))})
    assert [each.environment for each in found.exposures] == ["prod"]
    assert len(found.faults) == TOLD + 1
    many = said({"upstream": ",".join(f"http://10.0.{number // 250}.{number % 250}" for number in range(30_000))})
    assert many.broken == {"prod"}
    assert any("more than 64 upstreams" in fault.message for fault in many.faults)


def test_keys_without_end_are_told_in_a_few_words() -> None:
    found = said({f"key{number}": "x" for number in range(20_000)})
    assert len(found.faults) == TOLD + 1
    assert [each.environment for each in found.exposures] == ["prod"]
