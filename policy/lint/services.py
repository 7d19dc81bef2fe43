"""Checks of what the catalog says: owners, teams, definitions, routes that are not what the definition describes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from policy.facts import Operation, Service
from policy.lint.findings import Finding
from policy.lint.ground import Api, Ground, listed
from policy.paths import TAIL, prefix_segments, template_of
from policy.rule import Published

_WEAK: Final = frozenset({"apikey", "basic", "digest"})
_UNGUARDED: Final = frozenset({"grpc"})  # types that need more than HTTP/1.1


def lint_services(ground: Ground) -> Iterator[Finding]:
    for ref, team in ground.each(sorted(ground.catalog.teams.items())):
        if ref not in ground.inhabited:
            fix = "add people, or remove the team"
            yield Finding("team_without_people", ref, team.source, f"Nobody is in `{ref}` or in a team below it.", fix)
    services = {published.service.ref: published.service for published in ground.published}
    for service in ground.each(services.values()):
        yield from _ownership(service)
        yield from _declared(service)
    for published in ground.each(ground.published):
        yield from _prefix(published)
        if published.exposure.host.startswith("*."):
            sentence = f"`{published.key}` answers for every name below `{published.exposure.host[2:]}`."
            yield Finding("wildcard", published.key, published.exposure.source, sentence, "publish it under one host")
    for ref in ground.each(sorted({ref for service in services.values() for ref in service.provides})):
        if ref in ground.apis:
            yield from _definition(ground.apis[ref])


def _ownership(service: Service) -> Iterator[Finding]:
    if not service.owner:
        fix = "name an existing Group as `spec.owner`"
        yield Finding("service_without_owner", service.ref, service.source, f"No team owns `{service.ref}`.", fix)


def _declared(service: Service) -> Iterator[Finding]:
    """What annotations say beside the definition."""
    if not service.has_definition:
        return
    beside = [each for each in service.operations if not each.api]
    stated = {" ".join(item.split()) for item in service.annotations.get("paths", "").split(",")}
    strangers = [each for each in beside if each.public and each.name not in stated]
    if strangers:
        names = listed(each.name for each in strangers)
        sentence = f"`public` of `{service.ref}` opens {names}, which its definition does not describe."
        fix = "correct it, or add the operation to the definition"
        yield Finding("route_mismatch", f"{service.ref} public", strangers[0].source, sentence, fix)
    for each in beside:
        if template_of(each.template) == (TAIL,):
            sentence = f"`paths` of `{service.ref}` adds `{each.name}`, which is every path."
            yield Finding("wildcard", service.ref, each.source, sentence, "name the paths")
    twice = _twice(service.operations)
    if twice:
        sentence = (
            f"{listed(each.name for each in twice)} of `{service.ref}` is described twice, and both must be permitted."
        )
        fix = "describe it in one place"
        yield Finding("route_mismatch", f"{service.ref} twice", twice[-1].source, sentence, fix)


def _twice(operations: tuple[Operation, ...]) -> list[Operation]:
    """Operations that two definitions, or a definition and an annotation, claim."""
    claims = {(each.method, template_of(each.template), each.api): each for each in operations}
    counts = Counter((method, template) for method, template, _ in claims)
    last = {(method, template): each for (method, template, _), each in claims.items()}
    return [each for claim, each in last.items() if counts[claim] > 1]


def _prefix(published: Published) -> Iterator[Finding]:
    """The public path is the prefix, then the base path of the definition's server, then the template."""
    prefix = prefix_segments(published.exposure.prefix)
    described = [each for each in published.operations if each.api]
    if prefix and described and all(template_of(each.template)[: len(prefix)] == prefix for each in described):
        shown = published.exposure.prefix
        sentence = f"`{published.key}` has prefix `{shown}`, and so has its definition: its paths begin with it twice."
        fix = "leave out `path`, or the base path in `servers`"
        yield Finding("route_mismatch", published.key, published.exposure.source, sentence, fix)


def _definition(api: Api) -> Iterator[Finding]:
    if api.type in _UNGUARDED:
        sentence = f"`{api.ref}` is {api.type}, which does not pass over HTTP/1.1."
        yield Finding("definition_unsupported", api.ref, api.source, sentence, "offer gRPC-Web or Connect")
    if not api.is_read or not api.operations or any(each.scopes or each.unresolved for each in api.operations):
        return
    schemes = set(api.schemes)
    if not schemes:
        sentence = f"No operation of `{api.ref}` asks for any security."
        fix = "say in `security` which scopes its operations need"
        yield Finding("definition_without_security", api.ref, api.source, sentence, fix)
    elif schemes <= _WEAK:
        sentence = f"`{api.ref}` knows {' and '.join(sorted(schemes))} alone, which name no scope and no person."
        fix = "describe its security as `oauth2` or `openIdConnect`, with scopes"
        yield Finding("definition_weak_security", api.ref, api.source, sentence, fix)
