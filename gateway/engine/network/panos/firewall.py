"""One firewall as readers see it: what it is told, and how far it has it. Nothing here asks or changes a device.

`stagedoor path`, `stagedoor inventory` and the pages read this. A leg that stops somebody says so in one sentence, the
first cause first: the rule, then the address, then the person.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from ipaddress import ip_network
from typing import Any, Final, NamedTuple, Protocol

from gateway.config.devices import Panos, PanosEnvironment
from gateway.engine.network.desired import Desired
from gateway.engine.network.panos import names
from gateway.engine.network.panos.addresses import written
from gateway.engine.network.panos.membership import Membership
from gateway.engine.network.reconcile import Lane
from gateway.engine.network.reconcile.shown import Shown
from gateway.engine.network.whereabouts import Known
from gateway.questions.hops import Hop, State
from policy.coarse import Scope

_TAG: Final = re.compile(r"'([^']+)'")
LEGS: Final = {
    "front": "clients to virtual addresses", "back": "doors to services", "direct": "clients to services",
}  # fmt: skip
NAMED: Final = 3
_WHO_AND_WHERE: Final = ("from", "to", "source", "source_user", "destination", "service", "action", "disabled")
_PARTS: Final = ("source", "source_user", "destination", "service")  # names of objects in a rule


class Tags(Protocol):
    """The worker that writes tags of addresses and users."""

    @property
    def wanted(self) -> Membership | None:
        """What it was told last."""
        ...

    @property
    def fault(self) -> str: ...

    def has(self, what: str, tag: str) -> bool | None:
        """Whether the firewall says so of an address or a user; None while nobody has read it."""
        ...


class Firewall(NamedTuple):
    """``content``: the rules that are wanted, as its target makes them; raises `DeviceFault`. ``known``: where the
    services of an environment run."""

    device: Panos
    tags: Tags
    content: Callable[[Desired], Mapping[str, Any]]
    known: Callable[[str], Known]


class Leg(NamedTuple):
    """One leg of one environment. ``shown``: of the last look at its rules, None before the first; ``fault``: why there
    is none that counts."""

    firewall: Firewall
    environment: PanosEnvironment
    name: str  # of `LEGS`
    service: str
    scope: Scope | None
    content: Mapping[str, Any]
    shown: Shown | None
    fault: str
    looked: Any  # the content that the last look wished for

    @property
    def at(self) -> str:
        return f"{self.firewall.device.name}, {LEGS[self.name]}"

    @property
    def rule(self) -> Mapping[str, Any] | None:
        """The rule of the scope, else that of the whole environment; what is reached directly may have one of its
        own."""
        rules = {rule["name"]: rule for rule in self.content.get("rules", ())}
        refs = [self.scope.ref] if self.scope is not None else []
        refs = [self.service, *refs] if self.name == "direct" else [*refs, ""]
        wanted = [names.rule_name(self.name, ref, self.environment.environment) for ref in refs]
        return next((rules[name] for name in wanted if name in rules), None)

    def tags_of(self, rule: Mapping[str, Any]) -> frozenset[str] | None:
        """The tags of users that the rule lets in; None where it asks for none."""
        groups = [name for name in rule.get("source_user", ()) if name != "any"]
        if not groups:
            return None
        filters = [self.content.get("user_groups", {}).get(name, {}).get("filter", "") for name in groups]
        return frozenset(tag for text in filters for tag in _TAG.findall(text))

    def obstacle(self) -> Hop | None:
        """What is wrong with the rule on the firewall."""
        return _of_rule(self)

    def hop(self, state: State, sentence: str, todo: str = "", *, own: bool = False) -> Hop:
        return Hop("firewall", self.at, state, sentence, todo, own)


def leg_of(name: str, firewall: Firewall, lane: Lane, content: Mapping[str, Any], service: str) -> Leg | None:
    """None where the firewall does not see this leg, or nothing of it is about the service. ``content``: of
    `Firewall.content`."""
    environment = next(
        (each for each in firewall.device.environments if each.environment == lane.target.environment), None
    )
    if environment is None or getattr(environment, name) is None or lane.desired is None:
        return None
    scope = next((each for each in lane.desired.scopes if service in each.services), None)
    said = {ref for each in environment.directs for ref in each.services}
    if name == "direct" and not said & {service, scope.ref if scope is not None else service}:
        return None
    return Leg(firewall, environment, name, service, scope, content, lane.shown, lane.fault, lane.content)


class Person(NamedTuple):
    """``name``: as the firewall writes it, "" where it has none."""

    ref: str
    name: str


def front_hop(leg: Leg, person: Person, addresses: Sequence[str]) -> Hop:
    """Whether a person comes to the virtual addresses."""
    env = leg.environment.environment
    refs = [leg.scope.ref] if leg.scope is not None else []
    wanted = [names.front_tag(ref, env) for ref in (*refs, "")]
    if (obstacle := _of_rule(leg)) is not None:
        return obstacle
    if not addresses:
        todo = "Name its `virtual_addresses`, or see what `stagedoor status` says of the device that has them."
        return leg.hop("unknown", "Nobody knows at which virtual address clients come.", todo)
    return _of_addresses(leg, addresses, wanted, "virtual address") or _of_person(leg, person)


def back_hop(leg: Leg, service: str) -> Hop:
    """Whether the doors come to a service."""
    env = leg.environment.environment
    scope = leg.scope.ref if leg.scope is not None else ""
    wanted = leg.firewall.tags.wanted
    known = leg.firewall.known(env).addresses.get(service, ())
    running = [each for each in known if wanted is None or each in wanted.addresses]
    if not running:
        todo = "Its owner names its `addresses`, or the operator its `networks`."
        return leg.hop("stops", f"Nobody has told {leg.firewall.device.name} where {service} runs.", todo)
    obstacle = (
        _of_rule(leg)
        or _of_addresses(leg, leg.environment.doors, [names.doors_tag(env)], "door")
        or _of_addresses(leg, running, [names.services_tag(scope, env)], "service address")
        or _of_untold(leg, service, [each for each in known if each not in running])
    )
    if obstacle is not None or leg.rule is None:
        return obstacle or _no_rule(leg)
    return leg.hop("open", f"Rule {leg.rule['name']} lets the doors come to {_some(running)}.")


# === causes ===


def _of_rule(leg: Leg) -> Hop | None:
    rule = leg.rule
    if rule is None:
        return _no_rule(leg)
    device = leg.firewall.device.name
    if leg.fault:
        return leg.hop("unknown", f"{device} could not be read, so nobody knows whether rule {rule['name']} is there.",
                       "Mend what `stagedoor status` says of it.")  # fmt: skip
    if leg.shown is None:
        return leg.hop("unknown", f"{device} was not looked at yet.", "Ask again in a moment.")
    todo = f"Read and apply the plan that waits: `{leg.shown.commands['plan']}`."
    if (looked := _looked_for(leg, rule["name"])) is None:
        return leg.hop("stops", f"Rule {rule['name']} is not on {device} yet.", todo)
    if any(looked.get(name) != rule.get(name) for name in _WHO_AND_WHERE):
        return leg.hop("unknown", f"Rule {rule['name']} on {device} is about to become another.", todo)
    waiting = [(step["kind"], step["object"].split()) for step in leg.shown.plan["steps"]]
    if any(kind == "add" and said[-1] == rule["name"] for kind, said in waiting):
        return leg.hop("stops", f"Rule {rule['name']} is not on {device} yet.", todo)
    if any(rule["name"] in said for _, said in waiting):
        return leg.hop("unknown", f"Rule {rule['name']} on {device} is not as it is wanted.", todo)
    parts = {name for field in _PARTS for name in rule.get(field, ())}
    if part := next((said[-1] for _, said in waiting if said[-1] in parts), ""):
        said = f"{part} on {device}, which rule {rule['name']} is made of, is not as it is wanted."
        return leg.hop("unknown", said, todo)
    if any(said[1:] == ["rules", "push"] for _, said in waiting):
        return leg.hop("unknown", f"Firewalls behind {device} may have no rule {rule['name']} yet.", todo)
    if leg.shown.plan["total"] > len(leg.shown.plan["steps"]):
        return leg.hop("unknown", f"A long plan waits for {device}, and rule {rule['name']} may be in it.", todo)
    return None


def _looked_for(leg: Leg, name: str) -> Mapping[str, Any] | None:
    """The rule as the last look wished for it: what is published since then is not on any firewall yet."""
    rules: Sequence[Mapping[str, Any]] = (leg.looked or {}).get("rules", ())
    return next((each for each in rules if each["name"] == name), None)


def _no_rule(leg: Leg) -> Hop:
    whose = leg.scope.ref if leg.scope is not None else "this service"
    todo = "Let the owner, or a rule of the access policy, name a team that may come."
    return leg.hop("stops", f"No rule for {leg.firewall.device.name} names {whose} on this leg.", todo)


def _of_addresses(leg: Leg, addresses: Iterable[str], tags: Sequence[str], what: str) -> Hop | None:
    """Any of the tags will do; the first address without one is told."""
    for address in (written(ip_network(each, strict=False)) for each in addresses):
        said = [leg.firewall.tags.has(address, tag) for tag in tags]
        if True in said:
            continue
        if None in said:
            return _unread(leg)
        todo = _tagging(leg)
        return leg.hop("stops", f"{what.capitalize()} {address} carries none of the tags that the rule asks for.", todo)
    return None


def _of_untold(leg: Leg, service: str, addresses: Sequence[str]) -> Hop | None:
    """Doors go there, too, and no firewall is to know of it."""
    if not addresses:
        return None
    said = f"{service} runs at {_some(addresses)}, too, which {leg.firewall.device.name} is not told."
    return leg.hop("stops", said, "The remarks of `stagedoor plan --tags` say why.")


def _of_person(leg: Leg, person: Person) -> Hop:
    rule, device, tags = leg.rule, leg.firewall.device.name, leg.firewall.tags
    if rule is None:
        return _no_rule(leg)
    asked = leg.tags_of(rule)
    if asked is None:
        return leg.hop("open", f"Rule {rule['name']} lets anybody come, and the door asks who it is.")
    if not person.name:
        todo = "Give the person's entry the field that `user_name` asks for."
        said = f"{person.ref} has no name on {device}, so no rule of it can mean them."
        return leg.hop("stops", said, todo, own=True)
    carries = {tag: tags.has(person.name, tag) for tag in sorted(asked)}
    if carried := [tag for tag, has in carries.items() if has]:
        said = f"Rule {rule['name']} lets {person.name} come, who carries {_some(carried)}."
        return leg.hop("open", said, own=True)
    if None in carries.values():
        return _unread(leg)
    return _without_tag(leg, person, asked)


def _without_tag(leg: Leg, person: Person, asked: frozenset[str]) -> Hop:
    wanted, device = leg.firewall.tags.wanted, leg.firewall.device.name
    if wanted is not None and person.name in wanted.cut:
        return leg.hop("stops", f"{person.ref} is cut off.", "Ask who did so: `stagedoor cut list`.", own=True)
    theirs = wanted.users.get(person.name, frozenset()) if wanted is not None else frozenset()
    timed = {tag for name, tag in (wanted.timed if wanted is not None else ()) if name == person.name}
    if meant := sorted((theirs | timed) & asked):
        said = f"{device} does not know yet that {person.name} carries {_some(meant)}."
        return leg.hop("stops", said, _tagging(leg), own=True)
    teams = leg.scope.teams if leg.scope is not None else ()
    who = f"teams that may come: {_some(teams)}" if teams else "people that may come"
    todo = "Join one of them, or ask the owner for a grant."
    return leg.hop("stops", f"{person.ref} is none of the {who}.", todo, own=True)


def _unread(leg: Leg) -> Hop:
    why = leg.firewall.tags.fault
    said = f"Nobody has read the tags of {leg.firewall.device.name} yet{f': {why}' if why else ''}."
    return leg.hop("unknown", said, "Ask again in a moment.")


def _tagging(leg: Leg) -> str:
    if leg.firewall.device.tags != "enforce":
        return f"Tags of {leg.firewall.device.name} are in mode `{leg.firewall.device.tags}`: a person applies them."
    return "It is told within seconds; if it stays so, see `stagedoor status`."


def _some(texts: Sequence[str]) -> str:
    more = len(texts) - NAMED
    return ", ".join(texts[:NAMED]) + (f" and {more} more" if more > 0 else "")
