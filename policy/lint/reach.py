"""Checks of what comes of it all: operations that nobody can call, scopes that nobody is given, scopes for nothing."""

from __future__ import annotations

from collections.abc import Iterator

from policy.facts import ALL_WORKLOADS, Operation
from policy.lint.findings import Finding
from policy.lint.ground import Ground, listed
from policy.rule import Published, Rule


def lint_reach(ground: Ground) -> Iterator[Finding]:
    conferred = frozenset[str]().union(*(role.scopes for role in ground.policy.roles))
    for published in ground.each(ground.published):
        yield from _unreachable(ground, published)
        yield from _unheld(ground, published, conferred)
    yield from _unused(ground)


def _unreachable(ground: Ground, published: Published) -> Iterator[Finding]:
    """One finding for an exposure: whoever closed ten operations did it for one reason."""
    described = [each for each in published.operations if (each.source.entity or each.api) and not each.stands_for]
    if not published.service.has_definition:
        return
    closed = [each for each in described if each.unresolved or not _permits(ground, published, each)]
    if closed:
        unsure = all(each.unresolved for each in closed)
        why = "the definition names a security scheme that it does not define" if unsure else "no rule reaches it"
        some = listed(each.name for each in closed)
        sentence = f"Nobody can call {some} of `{published.key}`: {why}."
        fix = "define the scheme" if unsure else "open it by a rule or to its consumers, or waive it if it is meant"
        yield Finding("operation_unreachable", published.key, closed[0].source, sentence, fix)


def _permits(ground: Ground, published: Published, operation: Operation) -> list[Rule]:
    """The permits about an operation that mean somebody who exists."""
    return [
        rule
        for rule in published.rules
        if rule.is_permit and ground.is_inhabited(rule.subject, rule.environment) and rule.covers(operation)
    ]


def _is_of_programs(rule: Rule) -> bool:
    """Their tokens bring the scopes that the issuer gives them; a person who signs in brings none."""
    return rule.subject == ALL_WORKLOADS or rule.subject.startswith("component:")


def _unheld(ground: Ground, published: Published, conferred: frozenset[str]) -> Iterator[Finding]:
    found: dict[str, list[Operation]] = {}
    for operation in (each for each in published.operations if not each.stands_for):
        permits = _permits(ground, published, operation) if operation.scopes else []
        permits = [rule for rule in permits if not _is_of_programs(rule)]
        if not permits or any(rule.confers is None or rule.is_free for rule in permits):
            continue
        given = [conferred.union(rule.confers or ()) for rule in permits]
        if not any(alternative <= each for alternative in operation.scopes for each in given):
            for scope in min(operation.scopes, key=sorted) - frozenset[str]().union(*given):
                found.setdefault(scope, []).append(operation)
    for scope, operations in sorted(found.items()):
        some = listed(each.name for each in operations)
        sentence = (
            f"No role and no rule confers scope `{scope}`, so nobody who signs in can call {some} of `{published.key}`."
        )
        fix = "confer it by a role or a rule"
        yield Finding("scope_unheld", f"{published.key} {scope}", operations[0].source, sentence, fix)


def _unused(ground: Ground) -> Iterator[Finding]:
    asked = {
        scope
        for published in ground.each(ground.published)
        for each in published.operations
        for some in each.scopes
        for scope in some
    }
    for role in ground.policy.roles:
        for scope in sorted(role.scopes - asked):
            sentence = f"Role `{role.name}` confers scope `{scope}`, which no operation asks for."
            yield Finding("scope_unused", f"{role.name} {scope}", role.source, sentence, "correct or remove the scope")
    for statement, rules in ground.stated:
        for scope in sorted(statement.scopes - asked) if rules else ():
            sentence = f"The allow for {rules[0].target} confers scope `{scope}`, which no operation asks for."
            yield Finding(
                "scope_unused", f"{rules[0].id} {scope}", statement.source, sentence, "correct or remove the scope"
            )
