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
    monitor      whether a load balancer's monitors are answered, where there is one

The catalog is compiled once, for all that need it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final
from urllib.parse import urlsplit

from gateway.config import Issuer, Settings
from gateway.config_sources import Backstage
from gateway.doctor import catalogs, database, fronts, issuers, listeners, machine, monitors, names, upstreams
from gateway.doctor.lines import Line, counted, fail, ok, warn
from gateway.doctor.names import Names
from gateway.doctor.running import Check, in_thread, run_checks
from gateway.engine.offline import Compilation, compile_offline
from gateway.explain import OWN_SERVICE

CATALOG: Final = "catalog"
CHECKS: Final = (
    names.DNS, listeners.TLS, issuers.CLOCK, issuers.ISSUER, CATALOG, upstreams.UPSTREAM, database.DATABASE,
    machine.DISK, machine.DESCRIPTORS, listeners.PORTS, monitors.MONITOR,
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

    def blocking(work: Callable[[Settings], Sequence[Line]]) -> Callable[[], Lines]:
        return lambda: in_thread(lambda: work(settings))

    def about(work: Callable[[Issuer, Names], Lines], issuer: Issuer) -> Callable[[], Lines]:
        return lambda: work(issuer, known)

    async def service_names() -> Sequence[Line]:
        compiled = await asyncio.shield(compiling)
        used = upstreams.endpoints_of(settings, compiled.table)
        return await names.upstream_hosts((urlsplit(each.url).hostname or "" for each in used), known)

    async def published_hosts() -> Sequence[Line]:
        return await fronts.host_lines(settings, await asyncio.shield(compiling), known)

    async def published_certificates() -> Sequence[Line]:
        return await fronts.certificate_lines(settings, await asyncio.shield(compiling))

    async def service_endpoints() -> Sequence[Line]:
        compiled = await asyncio.shield(compiling)
        return await upstreams.upstreams(settings, compiled.table)

    async def catalog() -> Sequence[Line]:
        compiled = await asyncio.shield(compiling)
        return catalogs.unknown(settings, compiled.kinds) or catalog_lines(compiled)

    def host_of(issuer: Issuer) -> Callable[[], Lines]:
        return lambda: names.issuer_host(issuer.jwks_uri or issuer.issuer, known)

    def asked(said: Backstage) -> Callable[[], Lines]:
        return lambda: catalogs.catalog(said, known)

    return [
        Check(names.DNS, "central host", lambda: names.central_host(settings, known)),
        *(Check(names.DNS, issuer.name, host_of(issuer)) for issuer in settings.issuers),
        Check(names.DNS, "upstreams", service_names, COMPILE_S),
        *([Check(names.DNS, "virtual servers", published_hosts, COMPILE_S)] if settings.devices.bigip else []),
        Check(listeners.TLS, "listeners", blocking(listeners.certificates)),
        *([Check(listeners.TLS, "virtual servers", published_certificates, COMPILE_S + fronts.BUDGET_S)]
          if settings.devices.bigip else []),
        *(Check(issuers.CLOCK, issuer.name, about(issuers.clock, issuer)) for issuer in settings.issuers),
        *(Check(issuers.ISSUER, issuer.name, about(issuers.keys, issuer), 30.0) for issuer in settings.issuers),
        *(Check(issuers.ISSUER, f"{issuer.name} sessions", about(issuers.refresh, issuer))
          for issuer in settings.issuers if issuer.client is not None),
        *(Check(CATALOG, f"catalog {each.name}", asked(each), 60.0) for each in settings.catalog.backstage),
        *(Check(issuers.ISSUER, f"{issuer.name} introspection", about(issuers.introspection, issuer))
          for issuer in settings.issuers if issuer.introspection is not None),
        Check(CATALOG, "files", catalog, COMPILE_S),
        Check(upstreams.UPSTREAM, "services", service_endpoints, COMPILE_S + upstreams.BUDGET_S),
        Check(database.DATABASE, "store", lambda: database.database(settings)),
        Check(machine.DISK, "folders", blocking(machine.folders)),
        Check(machine.DESCRIPTORS, "workers", blocking(machine.descriptors)),
        Check(listeners.PORTS, "listeners", blocking(listeners.addresses)),
        *([Check(monitors.MONITOR, "listeners", blocking(monitors.monitors))] if monitors.concerns(settings) else []),
    ]


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
