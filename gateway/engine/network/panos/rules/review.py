"""What a reviewer of a rule base asks: which of our rules does nobody need, and which of others' make ours useless?

Firewalls count what meets each rule. One of ours that nothing met for a long time on any unit is told with its owner
and its entry of the catalog, who know whether it may go; a unit that does not say what it counted is told, too, and
nothing is called stale before it does. Rules of others are never touched, but where they let
everything through, speak of half the internet, or decide before one of ours can, a reader should know.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, Final, NamedTuple

from gateway.engine.network.panos.rules.block import Sighted
from gateway.engine.network.panos.rules.codec import LISTS
from gateway.engine.network.panos.rules.hits import Count, Hits
from gateway.engine.network.panos.rules.wording import about
from gateway.engine.network.plans.phrases import clean

STALE_S: Final = 90 * 86_400.0
WIDE_BITS: Final = {4: 16, 6: 32}  # a network with fewer is wide
Network = IPv4Network | IPv6Network
_ANY: Final = ["any"]
_KEYS: Final = tuple(name.replace("-", "_") for name in LISTS)
_DAY_S: Final = 86_400.0
_NAMED: Final = 3


class Matter(StrEnum):
    STALE = "stale"  # a rule of ours that nothing meets
    UNCOUNTED = "uncounted"  # who does not say what meets our rules
    OPEN = "open"  # a rule of others that lets everything through
    WIDE = "wide"  # one that speaks of a wide network
    BEFORE = "before"  # one that decides before a rule of ours can


class Finding(NamedTuple):
    matter: Matter
    rule: str
    sentence: str
    owner: str = ""
    entity: str = ""


def findings(sighted: Sighted, counts: Sequence[Count], now_s: float) -> tuple[Finding, ...]:
    """``counts``: of every unit that has the rules."""
    return (*_stale(sighted, counts, now_s), *_uncounted(sighted, counts), *_of_others(sighted))


def counted(sighted: Sighted) -> tuple[str, ...]:
    """The rules of ours that somebody may need or not."""
    rules = sighted.content["rules"]
    return tuple(rule["name"] for rule in rules if rule["action"] == "allow" and not rule["disabled"])


# === hit counts ===


def _stale(sighted: Sighted, counts: Sequence[Count], now_s: float) -> Iterator[Finding]:
    """Told only of what every unit has counted for long enough."""
    environment, names = sighted.content["environment"], set(counted(sighted))
    for rule in sighted.content["rules"]:
        found = [each.hits.get(rule["name"]) for each in counts]
        if rule["name"] not in names or not found or not all(each and _is_stale(each, now_s) for each in found):
            continue
        told = about(rule, environment)
        since = _since([each for each in found if each], now_s)
        where = f" on any of {len(counts)} that have it" if len(counts) > 1 else ""
        said = f"Nothing has met the rule `{rule['name']}` {since}{where}: ask its owner whether it may go."
        yield Finding(Matter.STALE, rule["name"], said, told.owner, told.ref)


def _since(hits: Sequence[Hits], now_s: float) -> str:
    last_s, reset_s = max(each.last_s for each in hits), max(each.reset_s for each in hits)
    if last_s:
        return f"for {int((now_s - last_s) / _DAY_S)} days"
    return f"since it was counted anew {int((now_s - reset_s) / _DAY_S)} days ago" if reset_s else "ever"


def _is_stale(hits: Hits, now_s: float) -> bool:
    """Counted for so long, and not met. Who counted something and does not say when is not understood."""
    long_ago_s = now_s - STALE_S
    is_told = hits.last_s > 0 or not hits.times
    is_old = 0 < hits.created_s < long_ago_s and hits.reset_s < long_ago_s
    return hits.is_latest and is_told and is_old and hits.last_s < long_ago_s


def _uncounted(sighted: Sighted, counts: Sequence[Count]) -> Iterator[Finding]:
    """Each is one sentence, however many rules it has."""
    names = counted(sighted)
    for count in counts:
        missed = [name for name in names if name not in count.hits or not count.hits[name].is_latest]
        if count.fault:
            said = f"What meets our rules is not known of {count.where}: {count.fault}; none is called stale meanwhile."
            yield Finding(Matter.UNCOUNTED, "", said)
        elif missed:
            some = ", ".join(f"`{name}`" for name in missed[:_NAMED]) + (", …" if len(missed) > _NAMED else "")
            said = f"{count.where} does not count what meets {len(missed)} of our rules ({some}): those are not judged."
            yield Finding(Matter.UNCOUNTED, "", said)


# === rules of others ===


def _of_others(sighted: Sighted) -> Iterator[Finding]:
    place = {name: position for position, name in enumerate(sighted.order)}
    environment, covered = sighted.content["environment"], _Covered(sighted.content)
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
    for network in map(_network, (*rule["source"], *rule["destination"])):
        if network is not None and network.prefixlen < WIDE_BITS[network.version]:
            return str(network)
    return ""


def _network(text: str) -> Network | None:
    """None of a name."""
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


class _Covered:
    """Which rules of ours another one takes all traffic of, or lets people round; what is not understood of that makes
    it a narrower one."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        ours, networks = content["rules"], content["addresses"].items()
        self._networks = [(name, network) for name, fields in networks if (network := _network(fields["network"]))]
        self._ours = [(rule, {key: frozenset(rule[key]) for key in _KEYS}) for rule in ours]
        self._destinations = {name for rule in ours for name in rule["destination"]}

    def by(self, rule: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        said = {key: frozenset(rule[key]) for key in _KEYS if rule[key] != _ANY}
        if "destination" in said:
            said["destination"] |= self._held(rule["destination"])
        if "other" in rule or ("destination" in said and said["destination"].isdisjoint(self._destinations)):
            return
        for ours, held in self._ours:
            if all(self._takes(key, names, held[key], rule, ours) for key, names in said.items()):
                yield ours

    def _takes(
        self, key: str, names: frozenset[str], held: frozenset[str], rule: Mapping[str, Any], ours: Mapping[str, Any]
    ) -> bool:
        """Of what is closed one network is enough: who is let in there goes round the doors."""
        is_round = key == "destination" and rule["action"] == "allow" and ours["action"] != "allow"
        return not names.isdisjoint(held) if is_round else names >= held

    def _held(self, texts: Sequence[str]) -> frozenset[str]:
        """The networks of ours that lie in what is written out there."""
        wide = [network for network in map(_network, texts) if network is not None]
        return frozenset(name for name, network in self._networks if any(_holds(each, network) for each in wide))


def _holds(wide: Network, network: Network) -> bool:
    is_wider = wide.version == network.version and wide.prefixlen <= network.prefixlen
    return is_wider and network.network_address in wide
