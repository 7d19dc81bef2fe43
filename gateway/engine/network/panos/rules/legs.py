"""The rules of each leg that a firewall sees of a way: front, direct, back, and the one that closes what is left.

`front` lets people come to virtual addresses, `direct` to services that are no HTTP, `back` lets the doors come to
services; the closing rule stops everybody else there, so that nobody goes round the doors. People are those whom the
coarse policy names, and whoever has a running grant.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from gateway.config.devices import Direct, Leg, PanosEnvironment
from gateway.engine.network.desired import Desired
from gateway.engine.network.panos import names
from gateway.engine.network.panos.meeting import Meeting
from gateway.engine.network.panos.rules.wording import description_of
from policy.coarse import Scope

# How user groups are told of, and whoever is meant by one in the sentence of a rule.
TEAM, PERSON, GRANTED = "People of ", "The person ", "People with a running grant for "
EVERYONE: Final = "Everyone whom the catalog knows"
KNOWN, WITH_GRANT, ANYONE = "whoever the catalog knows", "whoever has a grant", "anyone"
_PORTS: Final = {"http": 80, "https": 443}


class Tagged(NamedTuple):
    """Whoever or whatever carries a tag, in words; of a network the name of its object."""

    tag: str
    told: str


class Drawn(NamedTuple):
    """A rule by what it is about. ``users`` () = whoever; ``ports`` () = all; ``source`` None = anywhere;
    ``destination`` None = ``networks``, whatever is in them."""

    name: str
    leg: Leg
    destination: Tagged | None
    description: str
    source: Tagged | None = None
    networks: tuple[Tagged, ...] = ()
    users: tuple[Tagged, ...] = ()
    ports: tuple[str, ...] = ()
    allows: bool = True

    @property
    def where(self) -> list[str]:
        return [each.tag for each in self.networks] if self.destination is None else [self.destination.tag]

    @property
    def addresses(self) -> tuple[Tagged, ...]:
        return tuple(each for each in (self.source, self.destination) if each is not None)


def front_rules(desired: Desired, leg: Leg, meeting: Meeting) -> Iterator[Drawn]:
    """One for each scope with virtual addresses of its own, and one for all others."""
    scopes = {scope.ref: scope for scope in desired.scopes}
    groups = [(ref, [scopes[ref]]) for ref in meeting.own]
    if meeting.shared:
        groups.append(("", [scopes[ref] for ref in meeting.together]))
    for ref, met in groups:
        if met:
            owner = met[0].owner if ref else ""
            yield _front(ref, owner, met, desired.environment, leg, sorted(meeting.ports[ref]))


def _front(ref: str, owner: str, met: Sequence[Scope], environment: str, leg: Leg, numbers: Iterable[int]) -> Drawn:
    ports = tuple(f"tcp/{number}" for number in numbers)
    users, who = _people(met)
    told = f"Virtual addresses of {ref or 'what shares them'} ({environment})"
    return Drawn(
        name=names.rule_name("front", ref, environment),
        leg=leg,
        destination=Tagged(names.front_tag(ref, environment), told),
        description=description_of("front", ref, environment, owner, who, ports),
        users=users,
        ports=ports,
    )


def direct_rules(desired: Desired, leg: Leg, directs: Iterable[Direct]) -> Iterator[Drawn]:
    """One for each entry of the catalog that settings name, as far as it is published."""
    for ref, scope, ports, _ in direct_ports(desired, directs):
        if not ports:
            continue
        users, who = _people([scope], can_be_anyone=False)
        environment, whole = desired.environment, scope.ref if scope.ref != ref else ""
        yield Drawn(
            name=names.rule_name("direct", ref, environment),
            leg=leg,
            destination=Tagged(direct_tag(ref, environment), f"Services of {ref} ({environment})"),
            description=description_of("direct", ref, environment, scope.owner, who, ports, whole),
            users=users,
            ports=ports,
        )


def direct_ports(
    desired: Desired, directs: Iterable[Direct]
) -> Iterator[tuple[str, Scope, tuple[str, ...], tuple[str, ...]]]:
    """For each entry that is published: its scope, the ports that people may reach, and those that they may not because
    the doors speak to some service there: two services may run at one address, which is all that a firewall sees."""
    scope_of = {ref: scope for scope in desired.scopes for ref in (*scope.services, scope.ref)}
    doors = {number for numbers in _spoken(desired).values() for number in numbers}
    wanted: dict[str, set[str]] = {}
    for direct in directs:
        for ref in direct.services:
            wanted.setdefault(ref, set()).update(direct.ports)
    for ref in sorted(scope_of.keys() & wanted.keys()):
        refused = {port for port in wanted[ref] if any(_holds(port, number) for number in doors)}
        yield ref, scope_of[ref], tuple(sorted(wanted[ref] - refused)), tuple(sorted(refused))


def direct_tag(ref: str, environment: str) -> str:
    """Of the addresses that a direct rule for an entry leads to."""
    made = names.service_tag if ref.startswith("component:") else names.services_tag
    return made(ref, environment)


def back_rules(desired: Desired, leg: Leg) -> Iterator[Drawn]:
    environment, spoken = desired.environment, _spoken(desired)
    for scope in desired.scopes:
        numbers = sorted({number for service in scope.services for number in spoken.get(service, ())})
        ports = tuple(f"tcp/{number}" for number in numbers)
        if ports:
            yield Drawn(
                name=names.rule_name("back", scope.ref, environment),
                leg=leg,
                destination=Tagged(
                    names.services_tag(scope.ref, environment), f"Services of {scope.ref} ({environment})"
                ),
                description=description_of("back", scope.ref, environment, scope.owner, (), ports),
                source=Tagged(names.doors_tag(environment), f"The doors of {environment}"),
                ports=ports,
            )


def closing_rule(settings: PanosEnvironment, leg: Leg) -> Drawn:
    """From every zone: who comes from elsewhere goes round the doors, too. Networks are closed though the firewall has
    lost all its tags."""
    environment, networks = settings.environment, networks_of(settings)
    services = Tagged(names.environment_tag(environment), f"All services of {environment}")
    return Drawn(
        name=names.rule_name("closing", "", environment),
        leg=Leg((), leg.to_zones),
        destination=None if networks else services,
        description=description_of("closing", "", environment, "", settings.closed_networks, ()),
        networks=networks,
        allows=False,
    )


def networks_of(settings: PanosEnvironment) -> tuple[Tagged, ...]:
    """Those that are closed whole."""
    environment = settings.environment
    return tuple(sorted(Tagged(names.network_name(text, environment), text) for text in settings.closed_networks))


def _people(scopes: Sequence[Scope], *, can_be_anyone: bool = True) -> tuple[tuple[Tagged, ...], tuple[str, ...]]:
    """Those who may, and how a description names them; nobody by tag where anyone may."""
    if can_be_anyone and any(scope.anyone for scope in scopes):
        return (), (ANYONE,)
    teams = {Tagged(names.team_tag(ref), f"{TEAM}{ref}") for scope in scopes for ref in scope.teams}
    people = {Tagged(names.person_tag(ref), f"{PERSON}{ref}") for scope in scopes for ref in scope.people}
    everyone = {Tagged(names.everyone_tag(), EVERYONE)}
    named = teams | people | (everyone if any(scope.everyone or scope.anyone for scope in scopes) else set())
    granted = {Tagged(names.grant_tag(scope.ref, scope.environment), f"{GRANTED}{scope.ref}") for scope in scopes}
    refs = {ref for scope in scopes for ref in (*scope.teams, *scope.people)}
    whole = [KNOWN] if everyone <= named else []
    return tuple(sorted(named | granted)), (*whole, *sorted(refs), WITH_GRANT)


def _spoken(desired: Desired) -> dict[str, set[int]]:
    """By service: the ports where the doors speak to it."""
    found: dict[str, set[int]] = {}
    for place in desired.places:
        found.setdefault(place.entity, set()).update(filter(None, map(_port_of, place.upstreams)))
    return found


def _port_of(upstream: str) -> int:
    """0 of what has none."""
    try:
        parts = urlsplit(upstream)
        return parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        return 0


def _holds(port: str, number: int) -> bool:
    protocol, _, numbers = port.partition("/")
    low, _, high = numbers.partition("-")
    return protocol == "tcp" and int(low) <= number <= int(high or low)
