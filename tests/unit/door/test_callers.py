"""Promises about remembered callers: each token is judged by itself, what two say alike is kept once, in bounds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from gateway.config import Groups, Issuer, MatchField
from gateway.counters import TOKENS_CACHED, TOKENS_VERIFIED, Counters
from gateway.door.callers import Caller, Callers
from gateway.errors import Refused
from gateway.identity.jwks import KeyRing, read_jwks
from gateway.snapshot import Snapshot
from policy.directory import directory_frames
from policy.facts import Catalog, KeyField, Person, Principal, Source, Team
from policy.table import Table
from policy.table_builder import TableBuilder
from tests.support.tokens import NOW, RS256, Signer, jwks

LIMIT = 8
HERE = Source("catalog.yaml", 1)
IDP = Issuer(
    "idp",
    "https://idp.test",
    ("api",),
    match=(MatchField("sub", "metadata.name"),),
    groups=Groups("groups", (MatchField("groups", "metadata.name"),)),
    membership="both",
)
KEYS = (KeyField("idp", "person", "sub", "metadata.name"), KeyField("idp", "team", "groups", "metadata.name"))


def ring(*signers: Signer) -> KeyRing:
    return KeyRing().with_issuer("idp", read_jwks(jwks(*signers), ("RS256",))[0], NOW)


def table(*teams: str, before: Table | None = None) -> Table:
    """In which jane and joe are in ``teams``."""
    mine = tuple(f"group:default/{team}" for team in teams)
    people = {
        f"user:default/{name}": Person(f"user:default/{name}", name, mine, {"metadata.name": name}, HERE)
        for name in ("jane", "joe")
    }
    groups = {
        f"group:default/{name}": Team(f"group:default/{name}", name, (), {"metadata.name": name}, HERE)
        for name in ("payments", "cards")
    }
    builder = TableBuilder(before or Table.allow_none())
    for name, frame in directory_frames(Catalog(people=people, teams=groups, services={}), KEYS, ("prod",)).items():
        builder.put(name, frame)
    return builder.finish()


@dataclass
class Desk:
    """Callers at a time and under a snapshot that tests change."""

    now: int = NOW
    snapshot: Snapshot = field(default_factory=lambda: Snapshot(table("payments", "cards"), "b", ring(RS256)))
    counters: Counters = field(default_factory=Counters)

    def __post_init__(self) -> None:
        self.callers = Callers((IDP,), LIMIT, self.counters, lambda: self.now, lambda message: True)

    def asks(self, token: bytes) -> Caller:
        found = self.callers.find(token, self.snapshot)
        assert isinstance(found, Caller), found
        return found

    @property
    def verified(self) -> int:
        return int(self.counters.values[TOKENS_VERIFIED])

    @property
    def cached(self) -> int:
        for _ in range(2):
            self.callers.sweep()
        return int(self.counters.values[TOKENS_CACHED])


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_tokens_that_say_the_same_are_verified_each_and_share_what_follows(desk: Desk) -> None:
    first, second = (desk.asks(RS256.token(jti=jti)) for jti in "ab")
    assert desk.verified == 2
    assert first is not second
    assert first.principal is second.principal
    assert first.record is second.record
    assert first.block == second.block != b""


def test_each_token_ends_when_it_ends_whatever_it_shares(desk: Desk) -> None:
    short, long = RS256.token(exp=NOW + 10), RS256.token(exp=NOW + 1000)
    assert desk.asks(short).principal is desk.asks(long).principal
    desk.now += 10 + 30
    refused = desk.callers.find(short, desk.snapshot)
    assert isinstance(refused, Refused)
    assert refused.code == "token_expired"
    assert desk.asks(long).until == NOW + 1000 + 30


@pytest.mark.parametrize(
    "said",
    [
        {"scope": "openid"},
        {"groups": ["cards"]},
        {"groups": ...},
        {"client_id": "cli"},
        {"acr": "2"},
        {"amr": ["otp"]},
        {"auth_time": NOW - 20},
        {"roles": ["clerk"]},
        {"act": {"sub": "joe"}},
        {"sub": "joe"},
    ],
    ids=lambda said: next(iter(said)),
)
def test_a_token_that_says_anything_else_is_looked_at_by_itself(desk: Desk, said: dict[str, Any]) -> None:
    """In either order, and again between two that say the same."""
    plain, other = RS256.token(), RS256.token(**said)
    alone = Desk().asks(other)
    one, two, three = desk.asks(plain), desk.asks(other), desk.asks(RS256.token(jti="b"))
    assert two.principal is not one.principal
    assert (two.block, two.record, two.subjects) == (alone.block, alone.record, alone.subjects)
    assert (two.principal.scopes, two.principal.amr) == (alone.principal.scopes, alone.principal.amr)
    assert (two.principal.acr, two.principal.auth_time) == (alone.principal.acr, alone.principal.auth_time)
    assert (three.block, three.record, three.subjects) == (one.block, one.record, one.subjects)


def test_a_token_of_another_key_says_so_in_its_record() -> None:
    """The record names the key: two tokens that differ in nothing else share no record."""
    desk, other = Desk(), Signer("rsa-2", "RS256", "rsa-2")
    desk.snapshot = desk.snapshot.replaced(keys=ring(RS256, other))
    one, two = desk.asks(RS256.token()), desk.asks(other.token())
    assert b"idp:rsa-1:" in one.record
    assert b"idp:rsa-2:" in two.record


def test_nobody_shares_the_teams_of_yesterday(desk: Desk) -> None:
    """Who left a team is out of it with the token they had and with the next one, whichever comes first."""
    old, new = RS256.token(groups=["payments", "cards"]), RS256.token(groups=["payments", "cards"], jti="b")
    assert "group:default/cards" in desk.asks(old).subjects
    desk.snapshot = desk.snapshot.replaced(table=table("payments", before=desk.snapshot.table))
    assert "group:default/cards" not in desk.asks(new).subjects
    assert desk.asks(old).subjects == desk.asks(new).subjects
    assert "group:default/payments" in desk.asks(old).subjects


def test_a_key_that_leaves_takes_every_token_with_it(desk: Desk) -> None:
    tokens = [RS256.token(jti=jti) for jti in "ab"]
    for token in tokens:
        desk.asks(token)
    desk.snapshot = desk.snapshot.replaced(keys=ring(Signer("rsa-2", "RS256", "rsa-2")))
    assert not [token for token in tokens if isinstance(desk.callers.find(token, desk.snapshot), Caller)]
    assert desk.cached == 0


def test_the_oldest_gives_way_and_is_verified_anew(desk: Desk) -> None:
    tokens = [RS256.token(jti=str(number)) for number in range(LIMIT + 2)]
    for token in tokens:
        desk.asks(token)
    assert desk.cached == LIMIT
    verified = desk.verified
    for token in tokens[2:]:
        desk.asks(token)
    assert desk.verified == verified, "those that fit in are known"
    desk.asks(tokens[0])
    assert desk.verified == verified + 1
    assert desk.cached == LIMIT


def test_what_ended_is_forgotten_with_everything_it_shared(desk: Desk) -> None:
    for number in range(3 * LIMIT):  # more than there is room for, of two people
        desk.asks(RS256.token(sub=("jane", "joe")[number % 2], jti=str(number), exp=NOW + 100 - number))
    desk.now += 1000
    assert desk.cached == 0
    assert not desk.callers._held
    assert not desk.callers._latest
    assert not any(desk.callers._digests)
    desk.now = NOW
    assert desk.asks(RS256.token()).principal.ref == "user:default/jane"


def test_everybody_who_takes_part_can_be_cut() -> None:
    """The caller, their client, those who act for them, and the programs through which those act."""
    joe = Principal("person", "joe", frozenset({"joe"}), client_subjects=frozenset({"orders"}))
    jane = Principal("person", "jane", frozenset({"jane"}), client_subjects=frozenset({"web"}), actors=(joe,))
    caller = Caller(None, jane, "", None)
    assert caller.subjects == {"jane", "web", "joe", "orders"}
    assert caller.is_cut({"orders": NOW})


def test_other_settings_forget_everybody(desk: Desk) -> None:
    token = RS256.token()
    before = desk.asks(token)
    desk.callers.configure((Issuer("idp", "https://idp.test", ("api",), match=IDP.match),))
    after = desk.asks(token)
    assert desk.verified == 2
    assert after.principal is not before.principal
