"""Whether a rule does what its sentence says: whoever approves a plan reads sentences, and a file can be edited.

Who passes is told from the groups of users that the rule names, each of which has to be the group that it is said to
be; the ports from its services; zones, logging, inspection and what is closed are those of the settings. Where a
sentence had to be cut off, its end says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from gateway.config.devices import Leg, Panos, PanosEnvironment
from gateway.engine.network.panos import names
from gateway.engine.network.panos.rules.legs import (
    ANYONE,
    EVERYONE,
    GRANTED,
    KNOWN,
    PERSON,
    TEAM,
    WITH_GRANT,
    closing_rule,
)
from gateway.engine.network.panos.rules.wording import DESCRIPTION_MOST, listed

_DOORS: Final = "the doors"
_TAGS: Final = {TEAM: names.team_tag, PERSON: names.person_tag}


def lies_of(rule: Mapping[str, Any], content: Mapping[str, Any], device: Panos, environment: str) -> Iterator[str]:
    """Of a rule that is in order otherwise."""
    if rule["action"] == "allow":
        who = yield from _who(rule, content, environment)
        said = rule["description"]
        if not said.startswith(f"Lets {listed(who)} "):
            yield f"its sentence does not say that it lets {listed(who)} pass"
        ports = listed(_ports(rule, content))
        if f" on {ports}; owner " not in said and len(said) < DESCRIPTION_MOST:
            yield f"its sentence does not say that it is about {ports}"
    settings = next((each for each in device.environments if each.environment == environment), None)
    if settings is not None and not _is_as_set(rule, settings):
        yield "its zones, log setting or profile group are not those of the settings now"
    if settings is not None and settings.back is not None and names.kind_of(rule["name"]) == "closing":
        wanted = closing_rule(settings, settings.back)
        if (rule["destination"], rule["description"]) != (wanted.where, wanted.description):
            yield f"what it closes, or says that it closes, is not what `closes: {settings.closes}` is about now"


def _who(rule: Mapping[str, Any], content: Mapping[str, Any], environment: str) -> Any:
    """Yields faults, returns how a sentence names them."""
    if rule["source_user"] == ["any"]:
        return [ANYONE if rule["source"] == ["any"] else _DOORS]
    known, refs, granted = False, [], False
    for group in rule["source_user"]:
        told = content["user_groups"][group]["description"].removesuffix(".")
        known, granted = known or told == EVERYONE, granted or told.startswith(GRANTED)
        for begin in _TAGS:
            refs += [told.removeprefix(begin)] if told.startswith(begin) else []
        if group != names.group_name(_tag(told, environment), environment):
            yield f"`{group}` is not `{told[:80]}`"
    return [*([KNOWN] if known else []), *sorted(refs), *([WITH_GRANT] if granted else [])]


def _tag(told: str, environment: str) -> str:
    """That whoever is told of carries."""
    if told.startswith(GRANTED):
        return names.grant_tag(told.removeprefix(GRANTED), environment)
    made = [tag(told.removeprefix(begin)) for begin, tag in _TAGS.items() if told.startswith(begin)]
    return made[0] if made else names.everyone_tag() if told == EVERYONE else ""


def _ports(rule: Mapping[str, Any], content: Mapping[str, Any]) -> list[str]:
    """In the order of the rules of its leg."""
    held = [content["services"][name] for name in rule["service"]]
    ports = sorted(f"{each['protocol']}/{each['port']}" for each in held)
    is_direct = names.kind_of(rule["name"]) == "direct"
    return ports if is_direct else sorted(ports, key=lambda port: int(port.partition("/")[2].partition("-")[0]))


def _is_as_set(rule: Mapping[str, Any], settings: PanosEnvironment) -> bool:
    legs: dict[str, Leg | None] = {"front": settings.front, "direct": settings.direct, "back": settings.back}
    kind, back = names.kind_of(rule["name"]), settings.back
    leg = legs.get(kind) or (Leg((), back.to_zones) if kind == "closing" and back is not None else None)
    profile = settings.profile_group if rule["action"] == "allow" else ""
    return leg is not None and (rule["from"], rule["to"], rule["log_setting"], rule["profile_group"]) == (
        sorted(leg.from_zones) or ["any"], sorted(leg.to_zones) or ["any"], settings.log_setting, profile,
    )  # fmt: skip
