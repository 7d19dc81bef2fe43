"""Checks of what the access policy states: too broad, said twice, about nothing, more than one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from difflib import get_close_matches
from ipaddress import ip_network
from itertools import zip_longest
from typing import Final

from policy.explain import LONGEST_WORDS, sentence_of, short_name
from policy.facts import ALL_PEOPLE, ALL_WORKLOADS, Operation, Source
from policy.lint.findings import Finding
from policy.lint.ground import Ground, is_production
from policy.paths import TAIL, VARIABLE, WRITE, Template, folds, template_of
from policy.reasons import CONSUMER
from policy.reasons import RULE as RULE_REACH
from policy.rule import Published, Rule
from policy.statements import PolicyRule, Requirement

_CONJUNCTION: Final = "and also"
_CLOSE: Final = 0.75  # of two paths, how alike they read


def lint_rules(ground: Ground) -> Iterator[Finding]:
    yield from _environments(ground)
    seen: dict[str, Source] = {}
    for statement, rules in ground.stated:
        yield from _because(statement, rules)
        for rule in rules:
            yield from _breadth(statement, rule)
            if rule.id in seen:
                first = f"{seen[rule.id].file}:{seen[rule.id].line}"
                yield Finding(
                    "rule_twice",
                    rule.id,
                    statement.source,
                    f"{_quoted(rule)} is said at {first} too.",
                    "remove one of the two",
                )
            elif complaint := _never(ground, rule):
                yield Finding("rule_never_matches", rule.id, statement.source, *complaint)
            seen.setdefault(rule.id, statement.source)
    yield from _catalog_rules(ground)


def _environments(ground: Ground) -> Iterator[Finding]:
    for name, environment in sorted(ground.policy.environments.items()):
        if is_production(name) and {"all", "write"} & set(environment.everyone):
            sentence = f"Everyone may write to whatever service opens itself to everyone in {name}."
            yield Finding("everyone_everything", name, environment.source, sentence, "write `everyone: [read]`")
        for network in _everywhere(environment.requirements):
            sentence = f"Network {network}, asked of programs in {name}, holds every address."
            yield Finding("wildcard", name, environment.source, sentence, "name the networks programs call from")


def _breadth(statement: PolicyRule, rule: Rule) -> Iterator[Finding]:
    """Of an allow. What a deny covers too much is refused, which harms nobody in silence."""
    if not rule.is_permit:
        return
    writes = rule.methods is None or bool(rule.methods & WRITE)
    crowd = rule.subject in (ALL_PEOPLE, ALL_WORKLOADS)
    if crowd and writes and not rule.operations and is_production(rule.environment):
        fix = "name teams or services, or limit it with `methods: [GET, HEAD]`"
        yield Finding("everyone_everything", rule.id, statement.source, f"{_quoted(rule)} lets everyone write.", fix)
    if any(pattern == (TAIL,) for _, pattern in rule.operations):
        sentence = f"{_quoted(rule)} names `/**`, which is every path."
        yield Finding("wildcard", rule.id, statement.source, sentence, "name the operations, or use `methods`")
    for network in _everywhere(statement.requirements):
        sentence = f"{_quoted(rule)} asks for network {network}, which holds every address."
        yield Finding("wildcard", rule.id, statement.source, sentence, "name the networks programs call from")


def _everywhere(requirements: tuple[Requirement, ...]) -> list[str]:
    networks = [text for need in requirements if need.name == "network" for text in str(need.argument).split(",")]
    return [text for text in networks if ip_network(text).prefixlen == 0]


def _never(ground: Ground, rule: Rule) -> tuple[str, str] | None:
    """Why a rule is about nothing, and what to do; None when it is about something."""
    if not ground.is_inhabited(rule.subject, rule.environment):
        return f"{_quoted(rule)} is about nobody: {_absent(rule.subject)}.", _fix_of(rule.subject)
    places = ground.where.get(rule.id, ())
    if not places:
        where = f" in {rule.environment}" if rule.environment else ""
        return (
            f"{_quoted(rule)} is about no service: nothing published{where} fits `to`.",
            "correct `to` or `in`, or remove it",
        )
    there = f"{places[0].key} and {len(places) - 1} more" if len(places) > 1 else places[0].key
    offered = [operation for published in places for operation in published.operations]
    if not any(_is_about(rule, operation) for operation in offered):
        fix = _operation_meant(rule, places[0]) or "compare with the definition, or remove it"
        return f"{_quoted(rule)} is about no operation of {there}.", fix
    for method, template in rule.operations:
        one = replace(rule, operations=((method, template),))
        if not any(_is_about(one, operation) for operation in offered):
            fix = _operation_meant(one, places[0]) or "compare with the definition, or leave it out"
            return f"{_quoted(rule)} names `{method} /{'/'.join(template)}`, which is no operation of {there}.", fix
    return None


def _operation_meant(rule: Rule, published: Published) -> str:
    """The operation of the same method that comes closest to one that the rule names, variables by whatever name."""
    for method, template in rule.operations:
        alike = (each for each in published.operations if each.method == method)
        known = {"/".join(template_of(each.template)): each.name for each in alike}
        if close := get_close_matches("/".join(template), known, n=1, cutoff=_CLOSE):
            return f"did you mean `{known[close[0]]}`?"
    return ""


def _is_about(rule: Rule, operation: Operation) -> bool:
    """OPTIONS and HEAD may ask for what other methods offer. A deny is about every path that comes near what it names,
    also where that is one of many below a variable or `**`."""
    if rule.is_permit:
        return rule.covers(operation)
    template = template_of(operation.template)
    named = not rule.operations or any(_meet(pattern, template) for _, pattern in rule.operations)
    methods = rule.methods or frozenset(method for method, _ in rule.operations)
    return named and (not methods or operation.method in methods or bool(methods & {"HEAD", "OPTIONS"}))


def _meet(one: Template, other: Template) -> bool:
    """Whether some path comes near both templates, as far as whole segments tell."""
    for part, against in zip_longest(one, other, fillvalue=""):
        if TAIL in (part, against):
            return True
        if VARIABLE not in part + against and part.casefold() not in folds(against):
            return False
    return True


def _absent(subject: str) -> str:
    if subject.startswith("group:"):
        return f"nobody is in `{subject}`, or there is no such team"
    if subject.startswith("component:"):
        return f"`{subject}` has no `client-id`, or there is no such component"
    return f"there is no `{subject}`"


def _fix_of(subject: str) -> str:
    return (
        "give it a `client-id`, or remove it" if subject.startswith("component:") else "correct the name, or remove it"
    )


def _because(statement: PolicyRule, rules: tuple[Rule, ...]) -> Iterator[Finding]:
    """Who needs two reasons has two rules."""
    if rules and _is_long(statement.because):
        sentence = f"The reason of rule {rules[0].id} is no single sentence of at most {LONGEST_WORDS} words."
        yield Finding(
            "sentence_too_long", rules[0].id, statement.source, sentence, "make two rules, each with its reason"
        )


def _catalog_rules(ground: Ground) -> Iterator[Finding]:
    """Of all rules the sentence; of those the catalog makes, whether they are about anybody."""
    seen = set()
    for published in ground.each(ground.published):
        for rule in published.rules:
            if rule.id in seen:
                continue
            seen.add(rule.id)
            if _is_long(sentence_of(rule)):
                sentence = f"Rule {rule.id} takes more than {LONGEST_WORDS} words, or two sentences."
                yield Finding(
                    "sentence_too_long", rule.id, rule.source, sentence, "shorten its names, or make two rules"
                )
            if (
                rule.origin == "catalog"
                and rule.reason in (CONSUMER, RULE_REACH)
                and not ground.is_inhabited(rule.subject, rule.environment)
            ):
                sentence = f"{_quoted(rule)} is about nobody: {_absent(rule.subject)}."
                yield Finding("rule_never_matches", rule.id, rule.source, sentence, _fix_of(rule.subject))


def _is_long(sentence: str) -> bool:
    return len(sentence.split()) > LONGEST_WORDS or _CONJUNCTION in sentence.lower()


def _quoted(rule: Rule) -> str:
    """A rule as a finding speaks of it: who and what, in few words."""
    effect = "allow" if rule.is_permit else "deny"
    where = f" in {rule.environment}" if rule.environment else ""
    return f"The {effect} for {short_name(rule.subject)} on {rule.target}{where}"
