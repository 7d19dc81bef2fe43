"""Who holds which place, kept up as claimants come and go: always what settling everything anew would say."""

from __future__ import annotations

from dataclasses import replace

from policy.claims import Claim, Claimant, key_of
from policy.places import Places
from tests.support.policy_worlds import exposure, service

HOST = "same.example.com"


def at(name: str, prefix: str, owner: str) -> Claimant:
    return service(name, owner=owner), replace(exposure("same"), prefix=prefix)


class Worlds:
    """One world after the other: kept up, and settled anew beside it."""

    def __init__(self) -> None:
        self.places = Places()
        self.there: dict[str, Claimant] = {}
        self.incumbents: dict[Claim, str] = {}

    def turn(self, *wanted: Claimant) -> list[str]:
        """Who holds a place then, in order."""
        found = {each[0].ref: each for each in wanted}
        touched = {self.places.leave(each) for ref, each in self.there.items() if found.get(ref) != each}
        touched |= {self.places.come(each) for ref, each in found.items() if self.there.get(ref) != each}
        before = {key_of(each[0].ref, "prod") for each in self.places.held.values()}
        let_go = self.places.settle(touched, self.incumbents, "")
        anew = Places()
        anew.settle({anew.come(each) for each in wanted}, self.incumbents, "")
        assert self.places.held == anew.held
        assert set(self.places.faults()) == set(anew.faults())
        after = {key_of(each[0].ref, "prod") for each in self.places.held.values()}
        assert before - after <= let_go, "whoever lost a place is told"
        self.there = found
        self.incumbents = {claim: key_of(each[0].ref, "prod") for claim, each in self.places.held.items()}
        return sorted(each[0].ref.rpartition("/")[2] for each in self.places.held.values())


def test_places_of_a_host_bear_on_each_other() -> None:
    worlds = Worlds()
    first, second = at("first", "/a", "x"), at("second", "/a/admin", "y")
    assert worlds.turn(first) == ["first"]
    assert worlds.turn(first, second) == ["first"]
    assert worlds.turn(first, at("second", "/", "y")) == ["first"], "above is beside, too"
    assert worlds.turn(first, at("second", "/a/admin", "x")) == ["first", "second"], "now of one team"
    other = at("first", "/a", "y"), at("second", "/a/admin", "x")
    assert worlds.turn(*other) == ["first", "second"], "who is there stays"
    assert worlds.turn(second) == ["second"]
    assert worlds.turn(second, first) == ["second"], "who left and comes back comes as a newcomer"
    assert worlds.turn() == []


def test_whoever_waited_gets_the_place_when_the_team_that_had_the_host_leaves() -> None:
    worlds = Worlds()
    worlds.turn(at("first", "/a", "x"))
    assert worlds.turn(at("first", "/a", "x"), at("second", "/b", "y"), at("third", "/c", "y")) == ["first"]
    assert worlds.turn(at("second", "/b", "y"), at("third", "/c", "y")) == ["second", "third"]


def test_a_name_below_the_wildcard_of_another_team_is_theirs() -> None:
    """Requests for it came to them so far."""
    def named(name: str, host: str, owner: str) -> Claimant:
        return service(name, owner=owner), replace(exposure(name), host=host, prefix="/")

    tenants = named("tenants", "*.tenants.example.com", "x")
    acme = named("acme", "acme.tenants.example.com", "y")
    worlds = Worlds()
    assert worlds.turn(tenants, acme) == ["tenants"]
    assert worlds.turn(tenants, acme, named("deep", "a.b.tenants.example.com", "y")) == ["deep", "tenants"]
    assert worlds.turn(tenants, named("acme", "acme.tenants.example.com", "x")) == ["acme", "tenants"]
    assert worlds.turn(tenants, acme) == ["acme", "tenants"], "who is there stays"
    assert worlds.turn(acme) == ["acme"]
    assert worlds.turn(acme, named("zulu", "zulu.tenants.example.com", "z")) == ["acme", "zulu"]
    assert worlds.turn(tenants, acme) == ["acme", "tenants"], "a wildcard that comes later takes nothing away"


def test_a_place_is_wanted_where_somebody_else_claims_it_or_one_beside_it() -> None:
    places = Places()
    claims = [places.come(each) for each in (at("first", "/a", "x"), at("second", "/b", "x"))]
    alone = places.come((service("alone"), replace(exposure("alone"), prefix="/")))
    places.settle({*claims, alone}, {}, "")
    assert [places.is_wanted(claim) for claim in (*claims, alone, (HOST, "/z"))] == [True, True, False, True]
    places.leave(at("second", "/b", "x"))
    places.settle({claims[1]}, {}, "")
    assert not places.is_wanted(claims[0])
