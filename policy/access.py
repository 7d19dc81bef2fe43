"""The access policy: what the platform team says, read from a document into immutable values.

The document bounds what owners say in the catalog: environment by environment it states what owning, using or
merely working here is worth, and it holds the rules that stand on their own. Reading knows nothing of the
catalog; whether a named team exists is asked when rules are derived. Every fault is found in one reading, with
its place; a document with an error yields a policy all the same, which the caller must not use.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final, Literal, TypeVar, cast

from policy.demands import DemandReader, is_day
from policy.facts import ALL_PEOPLE, ALL_WORKLOADS
from policy.lint.findings import CHECKS
from policy.paths import METHODS, Template, template_of, written_fault
from policy.promises.expectations import expectations_in
from policy.promises.invariants import invariants_in
from policy.reading import Fault, Locate, Path, did_you_mean, ref_of
from policy.statements import (
    ANYONE,
    Access,
    AccessPolicy,
    Default,
    EnvironmentPolicy,
    NamedScope,
    PolicyRule,
    Requirement,
    Role,
    Selector,
    Temporary,
    Waiver,
)

__all__ = ["AccessPolicy", "Fault", "read_policy"]

T = TypeVar("T")

# What a selector may ask for, and the entity kind a bare name stands for there.
_SELECTOR_KINDS: Final = {
    "service": "component",
    "system": "system",
    "domain": "domain",
    "api": "api",
    "type": "",
    "tag": "",
}
_TOP_KEYS: Final = (
    "version", "environments", "roles", "scopes", "defaults", "rules", "waive", "tests", "never", "only",
)  # fmt: skip
_VERBS: Final = {"read": "[GET, HEAD]", "write": "[POST, PUT, PATCH, DELETE]"}  # of environments, not of rules
_BY_PATH: Final = "a rule names method and path; an operation's name is for `tests`, `never` and `only`"
_RULE_KEYS: Final = ("allow", "deny", "to", "in", "methods", "operations", "scopes", "require", "except", "because")


def read_policy(document: object, locate: Locate) -> tuple[AccessPolicy, list[Fault]]:
    """The policy and every fault in it. Unless the faults are empty, the policy is not what was meant."""
    reader = _PolicyReader(locate)
    policy = reader.policy(document)
    return policy, sorted(reader.faults, key=lambda fault: (fault.source.file, fault.source.line))


class _PolicyReader(DemandReader):
    """One method per part of the document, top down."""

    known_environments: tuple[str, ...] = ()

    def policy(self, document: object) -> AccessPolicy:
        top = self.mapping(document, (), _TOP_KEYS)
        if top.get("version") != 1:
            hint = "without quotes" if top.get("version") == "1" else ""
            self.fault(("version",) if "version" in top else (), "`version` must be `1`", hint)
        environments = dict(self.named(top, "environments", self.environment))
        self.known_environments = tuple(environments)
        if not environments:
            place = ("environments",) if "environments" in top else ()
            self.fault(place, "`environments` must name at least one environment")
        return AccessPolicy(
            environments,
            tuple(role for _, role in self.named(top, "roles", self.role)),
            tuple(scope for _, scope in self.named(top, "scopes", self.scope)),
            tuple(self.default(node, path) for path, node in self.mappings(top.get("defaults"), ("defaults",))),
            tuple(self.rule(node, path) for path, node in self.mappings(top.get("rules"), ("rules",))),
            tuple(self.waiver(node, path) for path, node in self.mappings(top.get("waive"), ("waive",))),
            expectations_in(self, top.get("tests"), self.known_environments),
            invariants_in(self, top, self.known_environments),
        )

    def named(
        self, top: Mapping[str, object], key: str, read: Callable[[str, object, Path], T]
    ) -> Iterator[tuple[str, T]]:
        """The entries of a mapping whose keys are names."""
        for name, node in sorted(self.mapping(top.get(key), (key,)).items()):
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.:/-]*", name):
                self.fault((key, name), f"`{name}` is no name")
            yield name, read(name, node, (key, name))

    def environment(self, name: str, node: object, path: Path) -> EnvironmentPolicy:
        if node is None:  # what it asks for is missed by the rules that stand on their own
            self.fault(path, f"`{name}` is empty", "write `{}` where nothing is worth anything")
        verbs = ("owners", "consumers", "everyone", "groups")
        keys = self.mapping(node, path, (*verbs, "consent", "public", "people", "workloads", "temporary"))
        self.filled(keys, path, ("people", "workloads", "temporary"))
        allowed = {key: self.verbs(keys.get(key), (*path, key)) for key in verbs}
        requirements: list[Requirement] = []
        for kind in ("people", "workloads"):
            inner = self.mapping(keys.get(kind), (*path, kind), ("require",), "{require: […]}")
            self.filled(inner, (*path, kind), ("require",))
            requirements += self.requirements(inner.get("require"), (*path, kind, "require"), kind)
        consent = self.word(keys.get("consent", "named"), (*path, "consent"), ("named", "same-system", "any"), "named")
        public = self.word(keys.get("public", "never"), (*path, "public"), ("never", "declared"), "never")
        return EnvironmentPolicy(
            name,
            **allowed,
            consent=cast(Literal["named", "same-system", "any"], consent),
            public=cast(Literal["never", "declared"], public),
            requirements=tuple(sorted(set(requirements), key=repr)),
            temporary=self.temporary(keys["temporary"], (*path, "temporary")) if "temporary" in keys else None,
            source=self.locate(path),
        )

    def verbs(self, node: object, path: Path) -> tuple[str, ...]:
        known = ("read", "write", "all", "declared") if path[-1] == "consumers" else ("read", "write", "all")
        return self.words(node, path, known)

    def temporary(self, node: object, path: Path) -> Temporary:
        keys = self.mapping(node, path, ("longest", "approvers", "reason"), "{longest: 8h}")
        self.filled(keys, path, ("approvers",))
        approvers = self.texts(keys.get("approvers", "owners"), (*path, "approvers"))
        reason = self.word(keys.get("reason", "required"), (*path, "reason"), ("required", "optional"), "required")
        return Temporary(
            self.duration(keys.get("longest"), (*path, "longest")),
            tuple(ref if ref == "owners" else ref_of(ref, "group") for ref in approvers),
            reason == "required",
        )

    def role(self, name: str, node: object, path: Path) -> Role:
        keys = self.mapping(node, path, ("groups", "scopes"))
        self.filled(keys, path, keys)
        groups = self.texts(keys.get("groups"), (*path, "groups"))
        scopes = self.texts(keys.get("scopes"), (*path, "scopes"))
        return Role(name, tuple(ref_of(group, "group") for group in groups), frozenset(scopes), self.locate(path))

    def scope(self, name: str, node: object, path: Path) -> NamedScope:
        keys = self.mapping(node, path, (*_SELECTOR_KINDS, "methods"))
        self.filled(keys, path, ("methods",))
        services = self.selector({key: keys[key] for key in keys if key != "methods"}, path)
        if not services.terms:
            self.fault(path, f"scope `{name}` must say which services it is about, for example `domain: analytics`")
        methods = self.methods(keys.get("methods"), (*path, "methods"))
        return NamedScope(name, services, methods, self.locate(path))

    def default(self, node: object, path: Path) -> Default:
        keys = self.mapping(node, path, ("for", "access", "in"))
        self.filled(keys, path, ("for", "in"))
        access = self.word(keys.get("access"), (*path, "access"), ("owners", "consumers", "everyone"), "owners")
        services = self.selector(keys.get("for"), (*path, "for"))
        environments = self.environments(keys.get("in"), (*path, "in"))
        return Default(services, cast(Access, access), environments, self.locate(path))

    def rule(self, node: object, path: Path) -> PolicyRule:
        keys = self.mapping(node, path, _RULE_KEYS)
        self.filled(keys, path, ("to", "in", "methods", "operations", "scopes", "require", "except"))
        effect: Literal["allow", "deny"] = "deny" if "deny" in keys else "allow"
        if ("allow" in keys) == ("deny" in keys):
            self.fault(path, "a rule has either `allow` or `deny`")
        rule = PolicyRule(
            effect,
            self.subjects(keys.get(effect), (*path, effect)),
            self.selector(keys.get("to"), (*path, "to")),
            self.environments(keys.get("in"), (*path, "in")),
            self.methods(keys.get("methods"), (*path, "methods")),
            self.operations(keys.get("operations"), (*path, "operations")),
            frozenset(self.texts(keys.get("scopes"), (*path, "scopes"))),
            self.rule_requirements(keys.get("require"), (*path, "require")),
            "grants" in self.words(keys.get("except"), (*path, "except"), ("grants",)),
            self.text(keys.get("because"), (*path, "because")),
            self.locate(path),
        )
        if not rule.subjects and not keys.get(effect):
            self.fault(path, f"`{effect}` must name who it is about")
        if "methods" in keys and "operations" in keys:
            self.fault((*path, "methods"), "a rule has either `methods` or `operations`")
        (self.check_deny if effect == "deny" else self.check_allow)(rule, keys, path)
        return rule

    def waiver(self, node: object, path: Path) -> Waiver:
        keys = self.mapping(node, path, ("finding", "for", "until", "because"))
        finding = self.text(keys.get("finding"), (*path, "finding"))
        about = self.text(keys["for"], (*path, "for")) if "for" in keys else ""
        until = self.text(keys.get("until"), (*path, "until"))
        if finding.startswith("f-") == bool(about) and finding:
            said = "is one finding already" if about else "is a kind of finding: say for what with `for`"
            self.fault((*path, "finding"), f"`{finding}` {said}")
        elif about and finding not in CHECKS:
            self.fault((*path, "finding"), f"`{finding}` is no kind of finding", did_you_mean(finding, CHECKS))
        if until and not is_day(until):
            self.fault((*path, "until"), f"`{until}` is no day", "write the last day, such as `2027-01-31`")
        because = self.text(keys.get("because"), (*path, "because"))
        return Waiver(finding, about.lower(), until, because, self.locate(path))

    def check_allow(self, rule: PolicyRule, keys: Mapping[str, object], path: Path) -> None:
        """An allow says to what and where; what is open to anyone is listed and asks for nothing."""
        if "to" not in keys:
            self.fault(path, "an `allow` must say which services it is about", "add `to: {service: …}`")
        if "in" not in keys:
            listed = ", ".join(self.known_environments)
            self.fault(path, "an `allow` must say where it holds", f"add `in: [{listed}]`")
        if ANYONE in rule.subjects and not rule.operations:
            self.fault(path, "`allow: anyone` must list its `operations`")
        if ANYONE in rule.subjects and (rule.scopes or rule.requirements):
            self.fault(path, "`allow: anyone` asks for nothing", "leave out `scopes` and `require`")
        if rule.except_grants:
            self.fault((*path, "except"), "`except` belongs to `deny`")

    def check_deny(self, rule: PolicyRule, keys: Mapping[str, object], path: Path) -> None:
        """A deny is absolute: nothing about it depends on scopes or on how somebody signed in."""
        if ANYONE in rule.subjects:
            self.fault((*path, "deny"), "`anyone` can only be allowed", "deny `all-people` or `all-workloads`")
        for key in ("scopes", "require"):
            if key in keys:
                self.fault((*path, key), f"`{key}` belongs to `allow`")

    def subjects(self, node: object, path: Path) -> tuple[str, ...]:
        found: list[str] = []
        for place, item in self.one_or_many(node, path):
            text = self.text(item, place).lower()
            if text in (ALL_PEOPLE, ALL_WORKLOADS, ANYONE):
                found.append(text)
            elif text.startswith(("user:", "group:", "component:")):
                found.append(ref_of(text, ""))
            elif text:
                words = (ALL_PEOPLE, ALL_WORKLOADS, ANYONE)
                hint = did_you_mean(text, words) or f"write `group:{text}`, `user:{text}` or `component:{text}`"
                self.fault(place, f"`{text}` names nobody", hint)
        return tuple(sorted(set(found)))

    def selector(self, node: object, path: Path) -> Selector:
        terms = []
        keys = self.mapping(node, path, _SELECTOR_KINDS, "{service: payments}")
        self.filled(keys, path, keys)
        for key, value in sorted(keys.items()):
            kind = _SELECTOR_KINDS[key]
            texts = self.texts(value, (*path, key))
            terms.append((key, tuple(sorted({ref_of(text, kind) if kind else text.lower() for text in texts}))))
        return Selector(tuple(terms))

    def environments(self, node: object, path: Path) -> tuple[str, ...]:
        return tuple(sorted(self.words(node, path, self.known_environments)))

    def methods(self, node: object, path: Path) -> frozenset[str] | None:
        for place, item in self.one_or_many(node, path):
            if isinstance(item, str) and item in _VERBS:
                self.fault(place, f"`{item}` is no method", f"write `{_VERBS[item]}`")
                node = [each for each in node if each != item] if isinstance(node, list) else None
        return None if node is None else frozenset(self.words(node, path, METHODS))

    def operations(self, node: object, path: Path) -> tuple[tuple[str, Template], ...]:
        found = set()
        for place, item in self.one_or_many(node, path):
            text = self.text(item, place)
            method, _, template = text.partition(" ")
            template = template.strip()
            if not text:
                continue
            if method not in METHODS or not template:
                hint = did_you_mean(method.upper(), METHODS) if template else _BY_PATH
                self.fault(place, f"operation `{text}` must read like `POST /refunds/{{id}}`", hint)
            elif complaint := written_fault(template):
                self.fault(place, complaint)
            else:
                found.add((method, template_of(template)))
        return tuple(sorted(found))
