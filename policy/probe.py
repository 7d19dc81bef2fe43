"""What a caller would have to show to be permitted: asked of the table itself, with everything and then with less.

More scopes, a fresher sign-in, a second factor and a certificate never make a permit a refusal. So the caller first
shows all that the operations on the path and the rules of the exposure ask for; where the table refuses even then,
there is no way. Else whatever is not missed is left out, piece by piece. A token has one issuer and a call one address,
so those are tried one by one, out of the ones that the rules name; of networks that lie inside each other the
smaller one stands for both.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_network
from itertools import product
from typing import Final, Literal, NamedTuple

from policy.facts import Circumstances, Permit, Principal, Refusal
from policy.requirements import in_words
from policy.table import Exposure, Match, Table
from policy.walk import exact_routes, required

_NETWORK: Final = "network="
_NO_PERMIT: Final = Permit("", "", "")


class Asker(NamedTuple):
    """Who might ask. ``subjects`` as the directory gives them."""

    kind: Literal["anonymous", "person", "workload"]
    ref: str
    subjects: frozenset[str]


class Way(NamedTuple):
    """How a request is permitted. ``scopes`` must be in the token beside what reach confers; ``needs`` are in the words
    of :func:`policy.requirements.unmet`, a network with its address range."""

    permit: Permit
    scopes: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()


_NOTHING: Final = Way(_NO_PERMIT)


def way_of(table: Table, match: Match, method: str, asker: Asker, now: int) -> Way | Refusal:
    """The first way that is enough, of those that show the least; else why there is none for the best equipped."""

    def decided(way: Way) -> Permit | Refusal:
        principal, call = principal_of(asker, way, now)
        return table.decide(match, method, principal, now, call)

    plain = decided(_NOTHING)
    if isinstance(plain, Permit):
        return _NOTHING._replace(permit=plain)
    scopes, demands = scopes_on(match), demands_of(match.exposure, asker.kind)
    refused: Refusal | None = None
    for origin in demands.origins:
        verdict = decided(Way(_NO_PERMIT, scopes, (*demands.needs, *origin)))
        if isinstance(verdict, Permit):
            return _shed(Way(verdict, scopes, (*demands.needs, *origin)), decided)
        refused = refused or verdict
    return refused or plain


def _shed(way: Way, decided: Callable[[Way], Permit | Refusal]) -> Way:
    """The way without everything that is not missed, in turn."""
    for piece in (*way.scopes, *way.needs):
        less = way._replace(scopes=_without(way.scopes, piece), needs=_without(way.needs, piece))
        verdict = decided(less)
        if isinstance(verdict, Permit):
            way = less._replace(permit=verdict)
    return way


def _without(pieces: tuple[str, ...], piece: str) -> tuple[str, ...]:
    return tuple(each for each in pieces if each != piece)


def principal_of(asker: Asker, way: Way, now: int) -> tuple[Principal, Circumstances]:
    """The caller who shows just what the way asks for, in a token that bounds nothing, and how the call comes."""
    named = {need.partition("=")[0]: need.partition("=")[2] for need in way.needs}
    ages = [int(need.partition("=")[2]) for need in way.needs if need.startswith("max_age=")]
    principal = Principal(
        asker.kind,
        asker.ref,
        asker.subjects,
        scopes=frozenset(way.scopes),
        amr=frozenset({"mfa"} if "mfa" in named else ()),
        auth_time=max(1, now - min(ages) + 1) if ages else 0,
        issuer=named.get("issuer", "").partition(",")[0],
    )
    return principal, Circumstances(_address_in(named.get("network", "")), "certificate" in named)


def needs_in_words(needs: tuple[str, ...]) -> str:
    """As a person reads them; operators may know the networks."""
    inside = "an address in "
    return ", ".join(
        inside + need[len(_NETWORK) :] if need.startswith(_NETWORK) else in_words([need]) for need in needs
    )


def scopes_on(match: Match) -> tuple[str, ...]:
    """Every scope that some operation on the path asks for, those of the longest alternatives first."""
    rules, path = match.exposure.rules(), match.segments[match.exposure.depth :]
    routes = list(exact_routes(rules.tree, path))
    methods = {method for route in routes for method in route.leaf[1]}
    asked = {operation[3] for method in sorted(methods) for operation in required(routes, path, method)}
    shortest: dict[str, int] = {}
    for alternative in (each for scope_set in asked for each in rules.scopes[scope_set] or ()):
        for scope in alternative:
            shortest[scope] = min(len(alternative), shortest.get(scope, len(alternative)))
    return tuple(sorted(shortest, key=lambda scope: (-shortest[scope], scope)))


class Demands(NamedTuple):
    """What the rules ask of one kind of caller: all that can be shown at once, and each place to call from."""

    needs: tuple[str, ...]
    origins: tuple[tuple[str, ...], ...]


def demands_of(exposure: Exposure, kind: str) -> Demands:
    asked = {need for entries, _ in exposure.rules().permits for permit in entries for need in permit[4]}
    needs: list[str] = []
    issuers, networks = {""}, {""}
    # The strictest freshness first: it is the first one tried without.
    for name, argument in sorted((name, argument) for of_whom, name, argument in asked if of_whom == kind):
        if name == "issuer":
            issuers.update(str(argument).split(","))
        elif name == "network":
            networks.update(str(argument).split(","))
        else:
            needs.append(f"max_age={argument}" if name == "fresh" else name)
    pairs = sorted(product(sorted(issuers), sorted(networks)), key=lambda pair: sum(map(bool, pair)))
    named = (
        ((f"issuer={issuer}",) if issuer else ()) + ((_NETWORK + network,) if network else ())
        for issuer, network in pairs
    )
    return Demands(tuple(needs), tuple(named))


def _address_in(network: str) -> str:
    return str(ip_network(network).network_address) if network else ""
