"""The operations of one published exposure: from the definition, or implied where there is none.

They come in canonical order, each different one once. Two definitions of one path that name its variables
differently take the first spelling: a variable's name never matters.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from policy.facts import Operation, Service
from policy.paths import METHODS, Template, template_fault, template_of
from policy.reading import Fault
from policy.rule import operation_order
from policy.statements import NamedScope, ServiceFacts


def operations_of(service: Service, named: Iterable[tuple[str, Template]]) -> tuple[Operation, ...]:
    """``named`` is what allow rules of the access policy mention; without a definition it exists by that."""
    found = [operation for operation in service.operations if not _fault(operation)]
    if not service.has_definition:
        found += _implied(service, found, named)
    spellings: dict[Template, str] = {}
    for operation in sorted(found, key=lambda each: each.template):
        spellings.setdefault(template_of(operation.template), operation.template)
    spelled = (replace(each, template=spellings[template_of(each.template)]) for each in found)
    ordered = {operation_order(each): each for each in spelled}
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


def _implied(service: Service, known: list[Operation], named: Iterable[tuple[str, Template]]) -> Iterator[Operation]:
    """Every method on every path, and on every path that is named; HEAD and OPTIONS follow from the others."""
    there = {(operation.method, template_of(operation.template)) for operation in known}
    templates = {("**",), *(template for _, template in named)}
    methods = [method for method in METHODS if method not in ("HEAD", "OPTIONS")]
    for method, template in sorted({(method, template) for method in methods for template in templates} - there):
        yield Operation(method, "/" + "/".join(template), source=service.source)
