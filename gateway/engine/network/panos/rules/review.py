"""What a reviewer of a rule base asks: which of our rules does nobody need, and which of others' make ours useless?

Firewalls count what meets each rule. One of ours that nothing met for a long time on every unit is told with its owner
and its entry of the catalog, who know whether it may go. Rules of others are never touched, but where they let
everything through, speak of half the internet, or decide before one of ours can, a reader should know.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from ipaddress import ip_network
from typing import Any, Final, NamedTuple
from xml.etree.ElementTree import Element, SubElement

from gateway.engine.network.panos.device.answers import Answer
from gateway.engine.network.panos.rules.block import Sighted
from gateway.engine.network.panos.rules.codec import LISTS
from gateway.engine.network.panos.rules.wording import about
from gateway.engine.network.phrases import clean

STALE_S: Final = 90 * 86_400.0
WIDE_BITS: Final = {4: 16, 6: 32}  # a network with fewer is wide
_ANY: Final = ["any"]
_KEYS: Final = tuple(name.replace("-", "_") for name in LISTS)
_DAY_S: Final = 86_400.0


class Matter(StrEnum):
    STALE = "stale"  # a rule of ours that nothing meets
    OPEN = "open"  # a rule of others that lets everything through
    WIDE = "wide"  # one that speaks of a wide network
    BEFORE = "before"  # one that decides before a rule of ours can


class Hits(NamedTuple):
    """Of one rule on one unit; epoch seconds, 0 = never. ``is_latest``: the unit counts as it stands now."""

    times: int
    last_s: float
    created_s: float
    is_latest: bool


class Finding(NamedTuple):
    matter: Matter
    rule: str
    sentence: str
    owner: str = ""
    entity: str = ""


def findings(sighted: Sighted, hits: Sequence[Mapping[str, Hits]], now_s: float) -> tuple[Finding, ...]:
    """``hits``: of each unit, by rule; none where they are not known."""
    return (*_stale(sighted, hits, now_s), *_of_others(sighted))


# === hit counts ===


def hits_command(vsys: str, names: Iterable[str]) -> Element:
    """For the command that asks for them."""
    root = Element("show")
    holder = SubElement(SubElement(SubElement(root, "rule-hit-count"), "vsys"), "vsys-name")
    base = SubElement(SubElement(holder, "entry", name=vsys), "rule-base")
    listed = SubElement(SubElement(SubElement(base, "entry", name="security"), "rules"), "list")
    for name in names:
        SubElement(listed, "member").text = name
    return root


def hits_in(answer: Answer) -> dict[str, Hits]:
    path = "rule-hit-count/vsys/entry/rule-base/entry/rules/entry"
    found = [] if answer.result is None else answer.result.findall(path)
    return {entry.get("name", ""): _hits(entry) for entry in found}


def _hits(entry: Element) -> Hits:
    numbers = (_number(entry, name) for name in ("hit-count", "last-hit-timestamp", "rule-creation-timestamp"))
    times, last_s, created_s = numbers
    return Hits(times, float(last_s), float(created_s), (entry.findtext("latest") or "").strip() == "yes")


def _number(entry: Element, name: str) -> int:
    text = (entry.findtext(name) or "").strip()
    return int(text) if text.isdecimal() and len(text) < 19 else 0


def _stale(sighted: Sighted, hits: Sequence[Mapping[str, Hits]], now_s: float) -> Iterator[Finding]:
    """Told only of what every unit has counted for long enough."""
    environment = sighted.content["environment"]
    for rule in sighted.content["rules"]:
        counted = [each.get(rule["name"]) for each in hits]
        if rule["action"] != "allow" or not counted or not all(each and _is_stale(each, now_s) for each in counted):
            continue
        told = about(rule, environment)
        last_s = max(each.last_s for each in counted if each)
        since = f"for {int((now_s - last_s) / _DAY_S)} days" if last_s else "ever"
        said = f"Nothing has met the rule `{rule['name']}` {since}: ask its owner whether it may go."
        yield Finding(Matter.STALE, rule["name"], said, told.owner, told.ref)


def _is_stale(hits: Hits, now_s: float) -> bool:
    return hits.is_latest and 0 < hits.created_s < now_s - STALE_S and hits.last_s < now_s - STALE_S


# === rules of others ===


def _of_others(sighted: Sighted) -> Iterator[Finding]:
    place = {name: position for position, name in enumerate(sighted.order)}
    environment, covered = sighted.content["environment"], _Covered(sighted.content["rules"])
    for rule in sighted.foreign:
        name = clean(rule["name"], 80)
        if rule["disabled"]:
            continue
        if rule["action"] == "allow" and all(rule[key] == _ANY for key in ("source", "source_user", "destination")):
            said = f"The rule `{name}` lets anybody from anywhere reach anything"
            yield Finding(Matter.OPEN, name, f"{said}: say in it who may, or where to.")
        if rule["action"] == "allow" and (wide := _wide(rule)):
            said = f"The rule `{name}` speaks of the wide network `{wide}`: name what is meant."
            yield Finding(Matter.WIDE, name, said)
        for each in covered.by(rule):
            if place[rule["name"]] < place[each["name"]]:
                yield _before(name, rule["action"], each, environment)


def _before(name: str, action: str, ours: Mapping[str, Any], environment: str) -> Finding:
    told = about(ours, environment)
    effect = (
        "and people go round the doors" if action == "allow" and ours["action"] != "allow" else "which does nothing"
    )
    said = f"The rule `{name}` ({clean(action, 20)}) decides before ours, `{ours['name']}`, {effect}: move it below."
    return Finding(Matter.BEFORE, name, said, told.owner, told.ref)


def _wide(rule: Mapping[str, Any]) -> str:
    for text in (*rule["source"], *rule["destination"]):
        try:
            network = ip_network(text, strict=False)
        except ValueError:  # a name
            continue
        if network.prefixlen < WIDE_BITS[network.version]:
            return str(network)
    return ""


class _Covered:
    """Which rules of ours another one takes all traffic of; what is not understood of that makes it a narrower one."""

    def __init__(self, ours: Sequence[Mapping[str, Any]]) -> None:
        self._ours = [(rule, {key: frozenset(rule[key]) for key in _KEYS}) for rule in ours]
        self._destinations = {name for rule in ours for name in rule["destination"]}

    def by(self, rule: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        said = {key: frozenset(rule[key]) for key in _KEYS if rule[key] != _ANY}
        if "other" in rule or ("destination" in said and said["destination"].isdisjoint(self._destinations)):
            return
        for ours, held in self._ours:
            if all(names >= held[key] for key, names in said.items()):
                yield ours
