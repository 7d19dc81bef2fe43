"""A plan in the words of the device's own command line, for people who read those or type them in.

`set` merges and never takes away, so a list that is another one is deleted first. The commands are of configuration
mode, and end before the commit: that is for who types them in to do, for their own edits alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from gateway.engine.network.panos.rules.codec import HOLDERS, LISTS
from gateway.engine.network.plans.plan import Kind

_ABOUT: Final = ("description", "tag")


def script_of(plan: Mapping[str, Any]) -> str:
    """``plan``: as JSON. Raises `KeyError` or `TypeError` for one that is none of a firewall."""
    script = _Script(plan["content"], [_Step(step) for step in plan["steps"]])
    lines = (
        f"# plan {plan['digest']} of {plan['environment']} on {plan['device']}",
        "configure",
        *script.objects_made(),
        *script.rules_written(),
        *script.rules_moved(),
        *script.gone(),
        "# read `show config diff`, then commit your own edits alone: commit partial admin YOU",
    )
    return "".join(f"{line}\n" for line in lines)


class _Step:
    """``part``: of the rule, "" where it is about all of it."""

    def __init__(self, step: Mapping[str, Any]) -> None:
        _, self.kind, *named = step["object"].split(" ", 3)
        self.name, self.part = (*named, "", "")[:2]
        self.does = Kind(step["kind"])
        self.before, self.after = step["before"], step["after"]

    @property
    def is_new_rule(self) -> bool:
        return self.kind == "rules" and not self.part and self.does is Kind.ADD

    @property
    def is_gone_rule(self) -> bool:
        return self.kind == "rules" and not self.part and self.does is Kind.REMOVE


class _Script:
    def __init__(self, content: Mapping[str, Any], steps: Sequence[_Step]) -> None:
        group, vsys = content["place"]["device_group"], content["place"]["vsys"]
        self._base = f"device-group {_word(group)} " if group else "" if vsys == "vsys1" else f"vsys {_word(vsys)} "
        self._rulebase = f"{self._base}{'pre-rulebase' if group else 'rulebase'} security rules"
        self._content = content
        self._steps = steps
        self._rules = {rule["name"]: rule for rule in content["rules"]}
        self._new = {step.name for step in steps if step.is_new_rule}

    def objects_made(self) -> Iterator[str]:
        """Those that are new, and those that another hand has changed."""
        for step in self._steps:
            if step.kind == "objects" and step.does is Kind.ADD:
                for kind, made in step.after.items():
                    for name in made:
                        yield from self._object(kind, name)
            elif step.kind in HOLDERS:
                if step.kind != "tags":
                    yield f"delete {self._base}{HOLDERS[step.kind]} {_word(step.name)} tag"
                yield from self._object(step.kind, step.name)

    def _object(self, kind: str, name: str) -> Iterator[str]:
        fields, begin = self._content[kind][name], f"set {self._base}{HOLDERS[kind]} {_word(name)}"
        match kind:
            case "tags":
                yield f"{begin} comments {_word(fields['comments'])}"
            case "services":
                yield f"{begin} protocol {fields['protocol']} port {fields['port']}"
            case "addresses":
                yield f"{begin} ip-netmask {fields['network']}"
            case "address_groups":
                yield f"{begin} dynamic filter {_word(fields['filter'])}"
            case "user_groups":
                yield f"{begin} filter {_word(fields['filter'])}"
        yield from (f"{begin} {key} {_value(fields[key])}" for key in _ABOUT if fields.get(key))

    def rules_written(self) -> Iterator[str]:
        touched = {step.name for step in self._steps if step.kind == "rules" and step.part != "order"}
        for name, rule in self._rules.items():
            if name in touched:
                yield from self._rule(rule, f"{self._rulebase} {_word(name)}")

    def _rule(self, rule: Mapping[str, Any], where: str) -> Iterator[str]:
        if rule["name"] not in self._new:
            yield from (f"delete {where} {key}" for key in (*LISTS, "tag"))
        for key in (*LISTS, "action", "description", "tag", "group-tag", "log-setting"):
            if value := rule[key.replace("-", "_")]:
                yield f"set {where} {key} {_value(value)}"
        yield f"set {where} log-end {'yes' if rule['log_end'] else 'no'}"
        yield f"set {where} disabled {'yes' if rule['disabled'] else 'no'}"
        if rule["profile_group"]:
            yield f"set {where} profile-setting group {_word(rule['profile_group'])}"

    def rules_moved(self) -> Iterator[str]:
        """A new rule lies below all others until it is moved."""
        moved = self._new | {step.name for step in self._steps if step.part == "order"}
        order = list(self._rules)
        for position, name in enumerate(order):
            if name in moved and position:
                yield f"move {self._rulebase} {_word(name)} after {_word(order[position - 1])}"
            elif name in moved:
                following = next((each for each in order if each not in moved), self._content["place"]["anchors"][-1])
                yield f"move {self._rulebase} {_word(name)} before {_word(following)}"

    def gone(self) -> Iterator[str]:
        """Rules before what they were made of."""
        for step in self._steps:
            if step.is_gone_rule:
                yield f"delete {self._rulebase} {_word(step.name)}"
        for step in self._steps:
            if step.kind == "objects" and step.does is Kind.CHANGE:
                for kind, useless in reversed(step.before.items()):
                    yield from (f"delete {self._base}{HOLDERS[kind]} {_word(name)}" for name in useless)


def _value(value: Any) -> str:
    if isinstance(value, list):
        return f"[ {' '.join(map(_word, value))} ]" if len(value) > 1 else _word(value[0])
    return _word(value)


def _word(text: str) -> str:
    """In quotes where it would be several words, or hold what the command line reads."""
    plain = text.replace("_", "").replace("-", "").replace(".", "").isalnum()
    return text if plain and text.isascii() else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
