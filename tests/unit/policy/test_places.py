"""Who holds which place, kept up as claimants come and go: always what settling everything anew would say."""

from __future__ import annotations

from dataclasses import replace

from policy.claims import Claim, Claimant, Incumbent, key_of, team_of
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
        self.told: dict[Claim, Incumbent] = {}
        self.incumbents: dict[Claim, Incumbent] = {}

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
        held = {c: Incumbent(key_of(each[0].ref, "prod"), team_of(each)) for c, each in self.places.held.items()}
        waiting = {c: each for c, each in self.incumbents.items() if c not in held and self.places.is_claimed(c, each)}
        self.incumbents = {**held, **waiting}
        self.resettle(wanted)
        return sorted(each[0].ref.rpartition("/")[2] for each in self.places.held.values())

    def resettle(self, wanted: tuple[Claimant, ...]) -> None:
        """As the next derivation does with who holds what now; nothing may come of it but what comes of it anew."""
        told, now = self.told, self.incumbents
        moved = {claim for claim in {*told, *now} if told.get(claim) != now.get(claim)}
        self.places.settle({claim for claim in moved if self.places.is_wanted(claim)}, self.incumbents, "")
        self.told = self.incumbents
        anew = Places()
        anew.settle({anew.come(each) for each in wanted}, self.incumbents, "")
        assert self.places.held == anew.held
        assert set(self.places.faults()) == set(anew.faults())


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
    assert worlds.turn(tenants) == ["tenants"]
    assert worlds.turn(tenants, acme) == ["tenants"]
    assert worlds.turn(tenants, acme, named("deep", "a.b.tenants.example.com", "y")) == ["deep", "tenants"]
    assert worlds.turn(tenants, named("acme", "acme.tenants.example.com", "x")) == ["acme", "tenants"]
    assert worlds.turn(tenants, acme) == ["acme", "tenants"], "who is there stays"
    assert worlds.turn(acme) == ["acme"]
    assert worlds.turn(acme, named("zulu", "zulu.tenants.example.com", "z")) == ["acme", "zulu"]
    assert worlds.turn(tenants, acme) == ["acme", "tenants"], "a wildcard that comes later takes nothing away"


def test_of_newcomers_at_a_wildcard_and_at_a_name_below_it_neither_is_taken_to_have_been_there() -> None:
    """What a node without a memory does: neither takes the other's requests."""

    def named(name: str, host: str, owner: str) -> Claimant:
        return service(name, owner=owner), replace(exposure(name), host=host, prefix="/")

    tenants, acme = named("tenants", "*.tenants.example.com", "x"), named("acme", "acme.tenants.example.com", "y")
    own = named("own", "own.tenants.example.com", "x")
    worlds = Worlds()
    assert worlds.turn(tenants, acme, own) == ["own"], "which both who claim it are of one team about"
    assert {fault.source.file for fault in worlds.places.faults()} >= {"tenants.yaml", "acme.yaml"}
    assert worlds.turn(tenants, own) == ["own", "tenants"]
    assert worlds.turn(tenants, own, acme) == ["own", "tenants"]
    assert Worlds().turn(tenants, own) == ["own", "tenants"], "of one team"


def test_who_has_a_host_keeps_it_wherever_on_it_they_go() -> None:
    """A newcomer who was refused waits for the next edit of the holder's path, and gets nothing by it."""
    waiting = at("second", "/b", "y"), at("third", "/", "z")
    worlds = Worlds()
    assert worlds.turn(at("first", "/", "x")) == ["first"]
    for path in ("/", "/v2", "/b", "/", "/c"):
        assert worlds.turn(at("first", path, "x"), *waiting) == ["first"], path


def test_who_has_a_host_keeps_it_under_another_name() -> None:
    waiting = at("second", "/b", "y"), at("third", "/", "z")
    worlds = Worlds()
    worlds.turn(at("first", "/", "x"))
    for name, path in (("other", "/"), ("another", "/v2"), ("again", "/b")):
        assert worlds.turn(at(name, path, "x"), *waiting) == [name]
    assert worlds.turn(at("again", "/b", "w"), *waiting) == ["again"], "and when it goes to another team"
    assert worlds.turn(at("anew", "/b", "x"), *waiting) == [], "a name and a team that nobody was there with"


def test_a_dispute_takes_no_host_from_who_has_it() -> None:
    """Renamed while somebody says to be of the same team: neither gets the place, and it stays theirs to get."""
    worlds = Worlds()
    worlds.turn(at("first", "/", "x"))
    stranger, twin = at("second", "/b", "y"), at("twin", "/", "x")
    for _ in range(3):
        assert worlds.turn(at("new", "/", "x"), twin, stranger) == []
    assert worlds.turn(at("new", "/", "x"), stranger) == ["new"]
    assert worlds.turn(stranger) == ["second"], "who left has left"


def test_a_place_is_wanted_where_somebody_else_claims_it_or_one_beside_it() -> None:
    places = Places()
    claims = [places.come(each) for each in (at("first", "/a", "x"), at("second", "/b", "x"))]
    alone = places.come((service("alone"), replace(exposure("alone"), prefix="/")))
    places.settle({*claims, alone}, {}, "")
    assert [places.is_wanted(claim) for claim in (*claims, alone, (HOST, "/z"))] == [True, True, False, True]
    places.leave(at("second", "/b", "x"))
    places.settle({claims[1]}, {}, "")
    assert not places.is_wanted(claims[0])
