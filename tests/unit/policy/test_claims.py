"""Who may claim which place: the operator's lists, and one holder for each host and path."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from policy.claims import (
    NO_TENURE,
    Claim,
    Claimant,
    Incumbent,
    Tenure,
    address_listed,
    claimable,
    holders,
    key_of,
    network_listed,
    residents,
    tenure_of,
)
from tests.support.policy_worlds import exposure, service

HOSTS = (".apps.example.com", "exact.example.com", "*.wild.example.com")
UPSTREAMS = ("10.0.0.0/8", "127.0.0.0/8", ".internal", "exact.host", "fd00::/8")


@pytest.mark.parametrize(
    "host", ["a.apps.example.com", "a.b.apps.example.com", "exact.example.com", "*.wild.example.com"]
)
def test_listed_hosts_may_be_claimed(host: str) -> None:
    assert claimable(replace(exposure("a"), host=host), HOSTS, UPSTREAMS) == ()


@pytest.mark.parametrize(
    "host", ["apps.example.com", "evilapps.example.com", "*.apps.example.com", "b.wild.example.com", ""]
)
def test_a_suffix_is_anchored_and_a_wildcard_is_listed_literally(host: str) -> None:
    (complaint,) = claimable(replace(exposure("a"), host=host), HOSTS, UPSTREAMS)
    assert f"host `{host}` is outside" in complaint


@pytest.mark.parametrize(
    "upstream",
    ["http://10.1.2.3:80", "https://a.internal", "http://EXACT.host/", "http://[fd00::1]:80", "http://127.0.0.1:1",
     "http://[::ffff:10.0.0.1]"],
)  # fmt: skip
def test_listed_upstreams_may_be_claimed(upstream: str) -> None:
    assert claimable(replace(exposure("a"), host=HOSTS[1], upstreams=(upstream,)), HOSTS, UPSTREAMS) == ()


@pytest.mark.parametrize(
    "upstream",
    [
        "http://11.0.0.1", "http://internal", "http://xinternal", "unix:control", "ftp://10.0.0.1", "http://",
        "10.0.0.1",
        "http://10.0.0.1:0", "http://10.0.0.1:99999", "http://u:p@10.0.0.1", "http://10.0.0.1/path", "http://10.0.0.1?q",
        "http://10.0.0.1#f", "http://[::1", "http://169.254.169.254",
    ],
)  # fmt: skip
def test_other_upstreams_may_not(upstream: str) -> None:
    (complaint,) = claimable(replace(exposure("a"), host=HOSTS[1], upstreams=(upstream,)), HOSTS, UPSTREAMS)
    assert f"`{upstream}`" in complaint


def test_every_complaint_at_once_and_what_is_listed() -> None:
    complaints = claimable(replace(exposure("a"), upstreams=()), (), ())
    assert complaints == (
        "host `a.example.com` is outside what `prod` may use: nothing is listed", "no upstream is named"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("address", "listed", "expected"),
    [
        ("127.0.0.1", ("0.0.0.0/0",), False),
        ("127.0.0.1", ("127.0.0.1",), True),
        ("169.254.1.1", ("0.0.0.0/0",), False),
        ("169.254.1.1", ("169.254.0.0/16",), True),
        ("169.254.169.254", ("169.254.0.0/16",), False),
        ("::1", ("::/0",), False),
        ("::ffff:127.0.0.1", ("0.0.0.0/0", "::/0"), False),
        ("0.0.0.0", ("0.0.0.0/0",), False),
        ("224.0.0.1", ("0.0.0.0/0",), False),
        ("10.0.0.1", ("name", "::/0"), False),
    ],
)
def test_the_doors_own_machine_and_metadata_need_more_than_a_wide_network(
    address: str, listed: tuple[str, ...], expected: bool
) -> None:
    assert address_listed(ip_address(address), listed) is expected


def rivals(*names: str) -> list[tuple[object, object]]:
    return [(service(name), replace(exposure(name), host="same.example.com")) for name in names]


def test_of_two_newcomers_nobody_gets_the_place_and_both_are_named() -> None:
    held, faults = holders(rivals("a", "b"), {}, "")  # type: ignore[arg-type]  # pairs of facts
    assert held == []
    assert [fault.source.file for fault in faults] == ["a.yaml", "b.yaml"]
    assert "`component:default/b@prod` claims too" in faults[0].message


def test_the_incumbent_stays_and_the_newcomer_is_named() -> None:
    incumbents = {("same.example.com", "/"): Incumbent("component:default/b@prod")}
    held, faults = holders(rivals("a", "b", "c"), incumbents, "")  # type: ignore[arg-type]  # pairs of facts
    assert [each[0].ref for each in held] == ["component:default/b"]
    assert [fault.source.file for fault in faults] == ["a.yaml", "c.yaml"]
    assert "`component:default/b@prod` holds too" in faults[0].message


def test_the_central_host_is_nobodys() -> None:
    held, faults = holders(rivals("a"), {}, "same.example.com")  # type: ignore[arg-type]  # pairs of facts
    assert held == []
    assert faults[0].message == "host `same.example.com` belongs to stagedoor itself"


def test_one_claimant_holds() -> None:
    held, faults = holders(rivals("a"), {}, "door.example.com")  # type: ignore[arg-type]  # pairs of facts
    assert (len(held), faults) == (1, [])


# === beside others on a host ===


def beside(prefix: str, owner: str, *, common: bool = False) -> tuple[Claim, Claimant]:
    place = replace(exposure("same"), prefix=prefix, common=common)
    return (place.host, prefix), (service(f"at{prefix.replace('/', '-')}", owner=owner), place)


def staying(*held: tuple[Claim, Claimant], old: str = "") -> tuple[list[str], list[str]]:
    """Who stays, and who is refused, by prefix. ``old``: the prefix of who was there."""
    claims = dict(held)
    incumbents = [Incumbent(key_of(each[0].ref, "prod")) for c, each in held if c[1] == old]
    stay, faults = residents(claims, tenure_of(incumbents, ()))
    said = " ".join(fault.message for fault in faults)
    refused = [prefix for _, prefix in claims if f"claims `same.example.com{prefix}`," in said]
    assert len(refused) == len(faults)
    return [prefix for _, prefix in stay], refused


@pytest.mark.parametrize("prefix", ["/", "/board/admin", "/b", "/boards"])
def test_beside_another_team_nobody_gets_a_place_whatever_its_path(prefix: str) -> None:
    """To a browser all of a host is one page's: a longer path takes requests away, a shorter one acts on them."""
    assert staying(beside("/board", "x"), beside(prefix, "y"), old="/board") == (["/board"], [prefix])
    assert staying(beside(prefix, "y"), beside("/board", "x"), old="/board") == (["/board"], [prefix])


def test_those_of_the_team_that_is_there_may_come() -> None:
    assert staying(beside("/board", "x"), beside("/admin", "x"), old="/board") == (["/board", "/admin"], [])


def test_of_newcomers_of_several_teams_nobody_gets_a_place() -> None:
    assert staying(beside("/a", "x"), beside("/b", "x")) == (["/a", "/b"], [])
    assert staying(beside("/a", "x"), beside("/b", "x"), beside("/c", "y")) == ([], ["/a", "/b", "/c"])


def test_two_without_an_owner_are_two_teams() -> None:
    assert staying(beside("/a", ""), beside("/b", "")) == ([], ["/a", "/b"])
    assert staying(beside("/a", ""), beside("/b", ""), old="/a") == (["/a"], ["/b"])


def test_where_the_operator_lets_teams_share_everybody_may_come() -> None:
    shared = beside("/c", "z", common=True)
    assert staying(beside("/a", "x", common=True), shared) == (["/a", "/c"], [])
    assert staying(beside("/a", "x"), shared, old="/a") == (["/a", "/c"], [])
    assert staying(beside("/a", "x"), beside("/b", "y"), shared) == (["/c"], ["/a", "/b"]), "each environment says so"


def test_who_was_there_before_this_was_asked_stays() -> None:
    claims = dict((beside("/a", "x"), beside("/b", "y")))
    incumbents = [Incumbent(key_of(each[0].ref, "prod")) for each in claims.values()]
    assert residents(claims, tenure_of(incumbents, ())) == (claims, [])


def test_who_was_on_the_host_gets_a_place_there_that_a_newcomer_wants_too() -> None:
    wanted = [beside("/v2", "x")[1], (service("new", owner="y"), replace(exposure("same"), prefix="/v2"))]
    own = key_of(wanted[0][0].ref, "prod")
    moved = {("same.example.com", "/"): Incumbent(own, "group:default/x")}
    held, faults = holders(wanted, moved, "", tenure_of(list(moved.values()), {own}))
    assert held == wanted[:1]
    assert f"which `{own}` holds too" in faults[0].message
    shared = [(each[0], replace(each[1], common=True)) for each in wanted]
    assert holders(shared, moved, "", tenure_of(list(moved.values()), {own}))[0] == [], "no host is theirs there"


def test_a_component_that_is_renamed_stays_whose_it_was() -> None:
    """Of the team only where nobody claims the host under the old name, and only one of them."""
    old = Incumbent("component:default/old@prod", "x")
    incumbents = {("same.example.com", "/"): old}
    wanted = [(service(name, owner=team), exposure("same")) for name, team in (("new", "x"), ("b", "y"), ("twin", "x"))]
    gone = tenure_of([old], ())
    assert holders(wanted[:2], incumbents, "", gone)[0] == wanted[:1]
    assert holders(wanted, incumbents, "", gone)[0] == [], "which of two of one team is right is for people to say"
    assert holders(wanted[:2], incumbents, "", tenure_of([old], {old.key}))[0] == []
    nameless = Incumbent(old.key)  # as older versions remembered it
    assert tenure_of([nameless], ()) == Tenure(frozenset({old.key}), frozenset())


def test_a_newcomer_at_the_wildcard_is_judged_as_one() -> None:
    claims, wild = dict([beside("/a", "x")]), beside("/", "y")[1]
    assert residents(claims, NO_TENURE, (), [wild])[0] == {}
    assert residents(claims, NO_TENURE, [wild], [wild])[0] == {}
    assert residents(claims, NO_TENURE, (), [(service("own", owner="x"), wild[1])])[0] == claims
    there = tenure_of([Incumbent(key_of(each[0].ref, "prod")) for each in claims.values()], ())
    assert residents(claims, there, [wild], [wild])[0] == claims


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        ("10.1.0.0/16", True), ("10.0.0.0/8", True), ("10.0.0.0/7", False), ("0.0.0.0/0", False), ("11.0.0.0/8", False),
        ("127.0.0.0/8", False), ("169.254.0.0/16", False), ("100.100.100.192/26", False), ("::/0", False),
        ("fd12::/16", True), ("10.255.255.255/32", True),
    ],
)  # fmt: skip
def test_a_network_is_listed_when_all_of_it_lies_in_one_that_is(network: str, expected: bool) -> None:
    listed = ("10.0.0.0/8", "fd12::/16", "100.64.0.0/10", ".internal", "127.0.0.1/32")
    assert network_listed(ip_network(network), listed) is expected
