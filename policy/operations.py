"""The operations of one published exposure: from the definition, or implied where there is none.

They come in canonical order, each different one once. Two definitions of one path that name its variables
differently take the first spelling: a variable's name never matters. Where the owner says that a slash at the end is
no difference, every operation has a second spelling, with what the first one needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from policy.facts import Operation, Service
from policy.paths import METHODS, TAIL, Template, template_fault, template_of
from policy.reading import Fault
from policy.rule import operation_order
from policy.statements import NamedScope, ServiceFacts

SLASH_SAME: Final = "trailing-slash-same"


def operations_of(service: Service, named: Iterable[tuple[str, Template]]) -> tuple[Operation, ...]:
    """``named`` is what allow rules of the access policy mention; without a definition it exists by that."""
    found = [operation for operation in service.operations if not _fault(operation)]
    if not service.has_definition:
        found += _implied(service, found, named)
    if SLASH_SAME in service.options:
        found += [twin for each in found for twin in _twin(each)]
    spellings: dict[Template, str] = {}
    for operation in sorted(found, key=lambda each: each.template):
        spellings.setdefault(template_of(operation.template), operation.template)
    ordered = {operation_order(each): each for each in (_spelled(each, spellings) for each in found)}
    return tuple(operation for _, operation in sorted(ordered.items()))


def operation_faults(service: Service) -> list[Fault]:
    """A warning for every operation that cannot be published."""
    return [
        Fault(operation.source, f"{fault} (operation `{operation.name}` of `{service.ref}`)", severity="warning")
        for operation in service.operations
        if (fault := _fault(operation))
    ]


def with_named_scopes(operation: Operation, facts: ServiceFacts, scopes: Iterable[NamedScope]) -> Operation:
    """A named scope is one more alternative wherever some scope is needed."""
    if not operation.scopes or operation.unresolved:
        return operation
    named = tuple(
        frozenset({scope.name})
        for scope in scopes
        if scope.services.covers(facts) and (scope.methods is None or operation.method in scope.methods)
    )
    return replace(operation, scopes=operation.scopes + named) if named else operation


def _fault(operation: Operation) -> str:
    if operation.method not in METHODS:
        return f"method `{operation.method}` does not pass the door"
    return template_fault(operation.template)


def _spelled(operation: Operation, spellings: Mapping[Template, str]) -> Operation:
    first = spellings[template_of(operation.template)]
    stands_for = operation.stands_for and spellings[template_of(operation.stands_for)]
    if (first, stands_for) == (operation.template, operation.stands_for):
        return operation
    return replace(operation, template=first, stands_for=stands_for)


def _twin(operation: Operation) -> Iterator[Operation]:
    """The operation with a slash at the end, or without the one it has. `/` has no other spelling, and below a `**`
    both are there already."""
    bare = operation.template.removesuffix("/")
    if bare and template_of(bare)[-1] != TAIL:
        other = bare if bare != operation.template else f"{bare}/"
        yield replace(operation, template=other, stands_for=operation.template)


def _implied(service: Service, known: list[Operation], named: Iterable[tuple[str, Template]]) -> Iterator[Operation]:
    """Every method on every path, and on every path that is named; HEAD and OPTIONS follow from the others."""
    there = {(operation.method, template_of(operation.template)) for operation in known}
    templates = {("**",), *(template for _, template in named)}
    methods = [method for method in METHODS if method not in ("HEAD", "OPTIONS")]
    for method, template in sorted({(method, template) for method in methods for template in templates} - there):
        yield Operation(method, "/" + "/".join(template), source=service.source)
