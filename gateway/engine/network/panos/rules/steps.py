"""The steps from what a firewall has of an environment to what it should have, one sentence each, removals first.

Rules are what is read: who gains a way, who loses one, what else about a rule is another. Whoever loses one counts as
taken away, so that a catalog that runs empty is noticed. Groups and services are what rules are made of: new and
useless ones are told of together, one that another hand has changed by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, Final

from gateway.engine.network.panos import names
from gateway.engine.network.panos.rules.changing import unmoved
from gateway.engine.network.panos.rules.codec import ASTRAY
from gateway.engine.network.panos.rules.content import Content
from gateway.engine.network.panos.rules.wording import About, about
from gateway.engine.network.plans.phrases import clean, count, some, word_of
from gateway.engine.network.plans.plan import Kind, Step

_OBJECTS: Final = ("tags", "services", "addresses", "address_groups", "user_groups")
_ANY: Final = ["any"]
_CLOSED: Final = 20  # networks in a sentence
Network = IPv4Network | IPv6Network
_ORDER: Final = tuple(Kind)
_EVERYBODY: Final = (
    "whoever came to anything in these networks, the doors too at other ports than those of services, or before this "
    "firewall was told its tags,"
)
_OPENS: Final = "what is closed no more is open to whomever the rules below it let there"


def steps_between(here: Content, there: Content, unknown: Iterable[str] = ()) -> tuple[Step, ...]:
    """``unknown``: rules with our name and tags that this installation did not make."""
    environment = here["environment"]
    found = [
        *_of_rules(environment, here, there),
        *_of_order(environment, here, there),
        *_of_objects(environment, here, there),
        *(_taken_over(environment, name) for name in unknown),
    ]
    return tuple(sorted(found, key=lambda step: _ORDER.index(step.kind)))


def pushes(environment: str, behind: Iterable[str]) -> tuple[Step, ...]:
    """``behind``: firewalls of a device group that have other rules of ours than their Panorama. At the very end."""
    serials = tuple(behind)
    if not serials:
        return ()
    whom = f"{count(len(serials), 'firewall')}, which have others: {some(serials)}"
    said = f"Pushes the rules of {environment} to {whom}."
    return (Step(Kind.ADD, _at(environment, "push"), said, after=list(serials)),)


# === rules ===


def _of_rules(environment: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Step]:
    was = {rule["name"]: rule for rule in before["rules"]}
    will = {rule["name"]: rule for rule in after["rules"]}
    for name, rule in was.items():
        if name not in will:
            yield _removed(environment, rule)
    for name, rule in will.items():
        if name not in was:
            yield _added(environment, rule)
        elif was[name] != rule:
            yield from _changed(environment, was[name], rule, _labels(before) | _labels(after))


def _removed(environment: str, rule: Mapping[str, Any]) -> Step:
    said = f"Removes the rule `{_name(rule)}`, which says: {clean(rule['description'], 1024)}"
    caution = "" if rule["action"] == "allow" else "from then on the rules below it decide who gets there"
    return Step(
        Kind.REMOVE, _at(environment, rule["name"]), said, _entities(about(rule, environment)), before=rule,
        caution=caution,
    )  # fmt: skip


def _added(environment: str, rule: Mapping[str, Any]) -> Step:
    said = f"Adds the rule `{_name(rule)}`, which says: {clean(rule['description'], 1024)}"
    return Step(
        Kind.ADD, _at(environment, rule["name"]), said, _entities(about(rule, environment)), after=rule,
        caution=_caution(rule),
    )  # fmt: skip


def _caution(rule: Mapping[str, Any]) -> str:
    if rule["action"] != "allow":
        whom = "whoever came to these services by another way"
        return f"{_EVERYBODY if _is_of_networks(rule) else whom} is stopped, unless a rule further up lets them"
    if rule["source"] == _ANY and rule["source_user"] == _ANY:
        return "anybody comes near, known or not"
    return ""


def _changed(
    environment: str, was: Mapping[str, Any], will: Mapping[str, Any], labels: Mapping[str, str]
) -> Iterator[Step]:
    told = about(will, environment)
    path, name, entities = f"{_at(environment, will['name'])} source-user", _name(will), _entities(told)
    lost, won = _lost(was["source_user"], will["source_user"]), _lost(will["source_user"], was["source_user"])
    if lost:
        said = f"Takes {_told(lost, labels)} out of the rule `{name}`, which lets people come near {_where(told)}."
        yield Step(Kind.REMOVE, path, said, entities, before=lost)
    if won:
        said = f"Lets {_told(won, labels)} pass by the rule `{name}`, near {_where(told)}."
        caution = "anybody comes near, known or not" if won == _ANY else ""
        yield Step(Kind.ADD, path, said, entities, after=won, caution=caution)
    if ASTRAY in was:
        said = f"Moves the rule `{name}` back to where ours lie."
        yield Step(Kind.CHANGE, f"{_at(environment, will['name'])} order", said, entities)
    keys = [key for key in sorted({*was, *will} - {"source_user", ASTRAY}) if was.get(key) != will.get(key)]
    if keys:
        yield _otherwise(environment, was, will, keys, labels)


def _otherwise(
    environment: str, was: Mapping[str, Any], will: Mapping[str, Any], keys: list[str], labels: Mapping[str, str]
) -> Step:
    """Of a closing rule what is closed from then on, and what no more, is said in words."""
    caution, told = "", ""
    if "destination" in keys and names.kind_of(will["name"]) == "closing":
        closes = _lost(will["destination"], was["destination"])
        opens = _opened(was["destination"], will["destination"], labels) if _is_of_networks(was) else []
        told = f", which closes {_told(closes, labels, _CLOSED) if closes else 'nothing new'}"
        told += f", and {_told(opens, labels, _CLOSED)} no more" if opens else ""
        stops = closes and not (_is_of_networks(was) and not _is_of_networks(will))  # services lie in their networks
        caution = "; ".join((*([_caution(will)] if stops else []), *([_OPENS] if opens else [])))
    said = [key for key in keys if not told or key not in ("destination", "description")]
    changes = "; ".join(f"{key} from {word_of(was.get(key))} to {word_of(will.get(key))}" for key in said)
    sentence = clean(f"Changes the rule `{_name(will)}`{told}{': ' if changes else ''}{changes}.")
    before, after = ({key: each.get(key) for key in keys} for each in (was, will))
    return Step(Kind.CHANGE, _at(environment, will["name"]), sentence, _entities(about(will, environment)),
                before=before, after=after, caution=caution)  # fmt: skip


def _is_of_networks(rule: Mapping[str, Any]) -> bool:
    return any(names.kind_of(name) == "net" for name in rule["destination"])


def _opened(before: list[str], after: list[str], labels: Mapping[str, str]) -> list[str]:
    """The networks that are closed no more; one that lies in another that is closed then is."""
    closed = [network for name in after if (network := _network(labels.get(name, "")))]
    lost = [(name, _network(labels.get(name, ""))) for name in _lost(before, after)]
    return [name for name, network in lost if network is None or not any(_lies_in(network, each) for each in closed)]


def _network(text: str) -> Network | None:
    """None of a name."""
    try:
        return ip_network(text)
    except ValueError:
        return None


def _lies_in(network: Network, wide: Network) -> bool:
    is_wider = wide.version == network.version and wide.prefixlen <= network.prefixlen
    return is_wider and network.network_address in wide


def _lost(before: list[str], after: list[str]) -> list[str]:
    """Who passes no more: nobody where anybody does from then on."""
    return [] if after == _ANY else [each for each in before if each not in after]


def _of_order(environment: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Step]:
    was, will = ([rule["name"] for rule in content["rules"]] for content in (before, after))
    kept = unmoved(was, will)
    for position, name in enumerate(will):
        if name in was and name not in kept:
            where = f"behind `{clean(will[position - 1], 80)}`" if position else "before all others of ours"
            said = f"Moves the rule `{clean(name, 80)}` {where}: the first that matches decides."
            yield Step(Kind.CHANGE, f"{_at(environment, name)} order", said, before=was, after=will)


def _taken_over(environment: str, name: str) -> Step:
    said = f"Takes over the rule `{clean(name, 80)}`, which has our name and tags and was not made from here."
    return Step(Kind.CHANGE, _at(environment, name), said, caution="find out who made it before")


# === objects ===


def _of_objects(environment: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Step]:
    new: dict[str, list[str]] = {}
    useless: dict[str, list[str]] = {}
    for kind in _OBJECTS:
        was, will = before[kind], after[kind]
        new[kind] = [name for name in will if name not in was]
        useless[kind] = [name for name in was if name not in will and name != names.MARK]
        for name, fields in will.items():
            if name in was and was[name] != fields:
                yield _put_back(f"{environment} {kind} {name}", name, was[name], fields)
    if made := [name for each in new.values() for name in each]:
        said = f"Makes {count(len(made), 'object')} that the rules are made of: {some(made, 5)}."
        yield Step(Kind.ADD, f"{environment} objects", said, after=new)
    if gone := [name for each in useless.values() for name in each]:
        said = f"Takes away {count(len(gone), 'object')} that no rule is made of any more: {some(gone, 5)}."
        yield Step(Kind.CHANGE, f"{environment} objects", said, before=useless)


def _put_back(path: str, name: str, was: Mapping[str, Any], will: Mapping[str, Any]) -> Step:
    keys = [key for key in sorted({*was, *will}) if was.get(key) != will.get(key)]
    changes = "; ".join(f"{key} from {word_of(was.get(key))} to {word_of(will.get(key))}" for key in keys)
    return Step(Kind.CHANGE, path, clean(f"Changes `{clean(name, 80)}`: {changes}."), before=was, after=will)


# === inside ===


def _labels(content: Mapping[str, Any]) -> dict[str, str]:
    """Groups in words, networks as they are."""
    groups = {**content["user_groups"], **content["address_groups"]}
    told = {name: fields["description"].removesuffix(".") for name, fields in groups.items()}
    return told | {name: fields["network"] for name, fields in content["addresses"].items()}


def _told(groups: list[str], labels: Mapping[str, str], most: int = 5) -> str:
    if groups == _ANY:
        return "anybody"
    return some([labels.get(group) or group for group in groups], most)


def _where(told: About) -> str:
    return clean(told.ref, 200) or "all that share virtual addresses"


def _entities(told: About) -> tuple[str, ...]:
    return (told.ref,) if told.ref else ()


def _at(environment: str, name: str) -> str:
    return f"{environment} rules {name}"


def _name(rule: Mapping[str, Any]) -> str:
    return clean(rule["name"], 80)
