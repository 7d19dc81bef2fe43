"""The whole examination: every check of the closed list, all at once, told in one order.

    dns          central host, issuers, names of services; published hosts, where a BIG-IP is before them
    tls          what listeners show; what a BIG-IP shows
    clock        this machine's against each issuer's
    issuer       discovery and keys; whether sessions can be asked about again, and tokens be asked about
    catalog      readable, and something published
    upstream     the services' endpoints
    database     the store's: reachable, and of a schema that this program knows
    disk         state and audit folder
    descriptors  the limit against `limits.connections`
    ports        listening addresses
    firewall     firewalls that are kept in step: reached, known key, rights, the pair; what their rules refer to
    monitor      whether a load balancer's monitors are answered, where there is one

The catalog is compiled once, for all that need it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from gateway.config import Settings
from gateway.doctor import (
    catalogs,
    database,
    firewall_rules,
    firewalls,
    fronts,
    issuers,
    listeners,
    machine,
    monitors,
    names,
    upstreams,
)
from gateway.doctor.lines import Line, counted, fail, ok, warn
from gateway.doctor.running import Check, run_checks
from gateway.egress.look_ups import Names
from gateway.egress.resolve import in_thread
from gateway.engine.offline import Compilation, compile_offline
from gateway.questions.explain import OWN_SERVICE

CATALOG: Final = "catalog"
CHECKS: Final = (
    names.DNS, listeners.TLS, issuers.CLOCK, issuers.ISSUER, CATALOG, upstreams.UPSTREAM, database.DATABASE,
    machine.DISK, machine.DESCRIPTORS, listeners.PORTS, firewalls.FIREWALL, monitors.MONITOR,
)  # fmt: skip
COMPILE_S: Final = 120.0

Lines = Awaitable[Sequence[Line]]


async def examine(settings: Settings) -> AsyncIterator[Sequence[Line]]:
    """Lines as they come, check after check."""
    async for lines in run_checks(checks_of(settings)):
        yield lines


def checks_of(settings: Settings) -> list[Check]:
    """Made inside the running loop."""
    known = Names()
    compiling = asyncio.get_running_loop().create_task(in_thread(lambda: compile_offline(settings)))
    compiling.add_done_callback(lambda done: None if done.cancelled() else done.exception())
    found = [
        *_checks_of_issuers(settings, known),
        *_checks_of_catalog(settings, known, compiling),
        *_checks_of_devices(settings, known, compiling),
        *_checks_of_machine(settings, known),
    ]
    return sorted(found, key=lambda check: CHECKS.index(check.name))


def _checks_of_issuers(settings: Settings, known: Names) -> Iterator[Check]:
    for issuer in settings.issuers:
        yield Check(names.DNS, issuer.name, partial(names.issuer_host, issuer.jwks_uri or issuer.issuer, known))
        yield Check(issuers.CLOCK, issuer.name, partial(issuers.clock, issuer, known))
        yield Check(issuers.ISSUER, issuer.name, partial(issuers.keys, issuer, known), 30.0)
        if issuer.client is not None:
            yield Check(issuers.ISSUER, f"{issuer.name} sessions", partial(issuers.refresh, issuer, known))
        if issuer.introspection is not None:
            yield Check(issuers.ISSUER, f"{issuer.name} introspection", partial(issuers.introspection, issuer, known))


def _checks_of_catalog(settings: Settings, known: Names, compiling: asyncio.Task[Compilation]) -> Iterator[Check]:
    async def service_names() -> Sequence[Line]:
        used = upstreams.endpoints_of(settings, (await asyncio.shield(compiling)).table)
        return await names.upstream_hosts((urlsplit(each.url).hostname or "" for each in used), known)

    async def files() -> Sequence[Line]:
        compiled = await asyncio.shield(compiling)
        return catalogs.unknown(settings, compiled.kinds) or catalog_lines(compiled)

    async def service_endpoints() -> Sequence[Line]:
        return await upstreams.upstreams(settings, (await asyncio.shield(compiling)).table)

    yield Check(names.DNS, "upstreams", service_names, COMPILE_S)
    for each in settings.catalog.backstage:
        yield Check(CATALOG, f"catalog {each.name}", partial(catalogs.catalog, each, known), 60.0)
    yield Check(CATALOG, "files", files, COMPILE_S)
    yield Check(upstreams.UPSTREAM, "services", service_endpoints, COMPILE_S + upstreams.BUDGET_S)


def _checks_of_devices(settings: Settings, known: Names, compiling: asyncio.Task[Compilation]) -> Iterator[Check]:
    async def published_hosts() -> Sequence[Line]:
        return await fronts.host_lines(settings, await asyncio.shield(compiling), known)

    async def published_certificates() -> Sequence[Line]:
        return await fronts.certificate_lines(settings, await asyncio.shield(compiling))

    if settings.devices.bigip:
        yield Check(names.DNS, "virtual servers", published_hosts, COMPILE_S)
        yield Check(listeners.TLS, "virtual servers", published_certificates, COMPILE_S + fronts.BUDGET_S)
    for each in settings.devices.panos:
        yield Check(firewalls.FIREWALL, each.name, partial(firewalls.firewall, each), 60.0)
        if firewall_rules.with_rules(each):
            yield Check(firewalls.FIREWALL, f"{each.name} rules", partial(firewall_rules.rules, each), 60.0)


def _checks_of_machine(settings: Settings, known: Names) -> Iterator[Check]:
    def blocking(work: Callable[[Settings], Sequence[Line]]) -> Callable[[], Lines]:
        return lambda: in_thread(lambda: work(settings))

    yield Check(names.DNS, "central host", partial(names.central_host, settings, known))
    yield Check(listeners.TLS, "listeners", blocking(listeners.certificates))
    yield Check(database.DATABASE, "store", partial(database.database, settings))
    yield Check(machine.DISK, "folders", blocking(machine.folders))
    yield Check(machine.DESCRIPTORS, "workers", blocking(machine.descriptors))
    yield Check(listeners.PORTS, "listeners", blocking(listeners.addresses))
    if monitors.concerns(settings):
        yield Check(monitors.MONITOR, "listeners", blocking(monitors.monitors))


def catalog_lines(compiled: Compilation) -> Sequence[Line]:
    """Whether there is a catalog, and whether anything comes of it."""
    entities = sum(compiled.kinds.values())
    errors = sum(fault.severity == "error" for fault in compiled.faults)
    if compiled.access.policy is None:
        return [fail(CATALOG, "access policy", "it has faults: nothing new is published", "see `stagedoor check`")]
    if not entities:
        why = f": {compiled.faults[0]}" if compiled.faults else ""
        return [fail(CATALOG, "files", f"0 entities{why}", "point `catalog.files` at the Backstage entities")]
    published = sum(exposure.service != OWN_SERVICE for exposure in compiled.table.exposures.values())
    found = f"{entities:,} entities, {counted(published, 'exposure')}"
    if errors:
        found += f", {counted(errors, 'error')}, the first: {next(f for f in compiled.faults if f.severity == 'error')}"
        return [warn(CATALOG, "files", found, "`stagedoor check` lists them all; owners correct them")]
    if not published:
        fix = "owners publish a Component with the annotations `environments`, `host` and `upstream`"
        return [warn(CATALOG, "files", f"{found}: nothing is published", fix)]
    return [ok(CATALOG, "files", found)]
