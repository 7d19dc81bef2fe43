"""The services behind the door: may their addresses be connected to, do they answer, does TLS verify?

What is asked is what a door asks before a request: the same names, the same judgement of addresses, the same trust. No
request is sent. Every endpoint is asked once, a few at a time and within one budget, and what went wrong is told in
groups: one dead network takes one line, not five hundred.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from gateway.config import ServiceSettings, Settings, UpstreamTls
from gateway.doctor.lines import Line, counted, fail, ok, some, warn
from gateway.egress.addresses import NotAllowed
from gateway.egress.resolve import Resolver, in_thread
from gateway.egress.trust import TrustFault, UpstreamContext, contents_of, full_reason, made
from gateway.questions.explain import OWN_SERVICE
from policy.explain import short_name
from policy.table import Table

UPSTREAM: Final = "upstream"
AT_ONCE: Final = 32
BUDGET_S: Final = 40.0
_PORTS: Final = {"http": 80, "https": 443}
_PLAIN_SERVICE: Final = ServiceSettings()
# What can go wrong, and what helps. `{env}` is the environment.
_FIXES: Final[Mapping[str, str]] = {
    "refused": "list the network or name under `environments.{env}.upstreams`, or correct the annotation `upstream`",
    "unknown": "correct the annotation `upstream`, or the name server's zone",
    "unreachable": "start the service, or open the way to it from this machine",
    "untrusted": "set `tls` of the service under `environments.{env}.services`, or renew its certificate",
    "untried": "run it again; those that were asked first take long to answer",
}


class Endpoint(NamedTuple):
    """One URL in one environment, with the operator's settings for it."""

    environment: str
    url: str
    tls: UpstreamTls | None
    connect_s: float


class Outcome(NamedTuple):
    """``kind`` is a key of `_FIXES`, "" when the endpoint is well."""

    kind: str = ""
    why: str = ""


async def upstreams(settings: Settings, table: Table) -> Sequence[Line]:
    used = endpoints_of(settings, table)
    if not used:
        return [ok(UPSTREAM, "services", "none is published")]
    resolver = Resolver(settings, time.monotonic)
    slots = asyncio.Semaphore(AT_ONCE)
    contexts: dict[UpstreamTls, asyncio.Task[UpstreamContext]] = {}
    loop = asyncio.get_running_loop()

    async def context_of(tls: UpstreamTls | None) -> UpstreamContext:
        key = contents_of(tls)
        if key not in contexts:
            contexts[key] = loop.create_task(in_thread(lambda: made(key)))
        return await asyncio.shield(contexts[key])

    async def asked(endpoint: Endpoint) -> Outcome:
        async with slots:
            return await _asked(endpoint, resolver, context_of)

    tasks = {endpoint: loop.create_task(asked(endpoint)) for endpoint in used}
    await asyncio.wait(tasks.values(), timeout=BUDGET_S)
    outcomes = {}
    for endpoint, task in tasks.items():
        outcomes[endpoint] = task.result() if task.done() else Outcome("untried", f"no answer within {BUDGET_S:.0f} s")
        task.cancel()
    return [line for name in sorted({each.environment for each in used}) for line in _told(name, used, outcomes)]


def endpoints_of(settings: Settings, table: Table) -> dict[Endpoint, set[str]]:
    """Every endpoint that an exposure leads to, with the exposures' services."""
    found: dict[Endpoint, set[str]] = {}
    for exposure in table.exposures.values():
        environment = settings.environments.get(exposure.environment)
        if exposure.service == OWN_SERVICE or environment is None:
            continue
        service = environment.services.get(exposure.service, _PLAIN_SERVICE)
        connect_s = service.connect_s or settings.timeouts.connect_s
        for url in exposure.upstreams:
            endpoint = Endpoint(exposure.environment, url, service.tls, connect_s)
            found.setdefault(endpoint, set()).add(exposure.service)
    return found


async def _asked(
    endpoint: Endpoint, resolver: Resolver, context_of: Callable[[UpstreamTls | None], Awaitable[UpstreamContext]]
) -> Outcome:
    parts = urlsplit(endpoint.url)
    host, port = parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)
    server_name = (endpoint.tls.server_name if endpoint.tls else "") or host
    try:
        addresses = await resolver.addresses(endpoint.environment, host, port)
    except NotAllowed as error:
        return Outcome("refused", str(error))
    except OSError as error:
        return Outcome("unknown", str(error))
    outcome = Outcome("unreachable", "no address")
    for address in addresses:
        try:
            context = await context_of(endpoint.tls) if parts.scheme == "https" else None
            async with asyncio.timeout(endpoint.connect_s):
                await _connect(address, port, context, server_name)
            return Outcome()
        except TrustFault as fault:
            return Outcome("untrusted", str(fault))
        except ssl.SSLError as error:
            outcome = Outcome("untrusted", full_reason(error))
        except TimeoutError:
            outcome = Outcome("unreachable", f"no connection to {address} within {endpoint.connect_s:g} s")
        except OSError as error:
            outcome = Outcome("unreachable", os.strerror(error.errno).lower() if error.errno else str(error))
    return outcome


async def _connect(address: str, port: int, context: ssl.SSLContext | None, server_name: str) -> None:
    name = server_name if context is not None else None
    _, writer = await asyncio.open_connection(address, port, ssl=context, server_hostname=name)
    writer.close()
    with contextlib.suppress(OSError):  # it was reached: how it says goodbye is no matter
        await writer.wait_closed()


# === in groups ===


def _told(environment: str, used: Mapping[Endpoint, set[str]], outcomes: Mapping[Endpoint, Outcome]) -> Sequence[Line]:
    here = [endpoint for endpoint in used if endpoint.environment == environment]
    served = {service for endpoint in here if not outcomes[endpoint].kind for service in used[endpoint]}
    groups: dict[tuple[str, bool], list[str]] = {}
    for endpoint in sorted(here):
        kind, why = outcomes[endpoint]
        if kind:
            dead = kind != "untried" and not used[endpoint] <= served
            names = some(sorted(short_name(service) for service in used[endpoint]))
            groups.setdefault((kind, dead), []).append(f"{endpoint.url} of {names} ({why})")
    well = sum(not outcomes[endpoint].kind for endpoint in here)
    lines = [ok(UPSTREAM, environment, f"{counted(well, 'endpoint')} of {len(here)} well")] if well else []
    for (kind, dead), examples in sorted(groups.items()):
        found = f"{counted(len(examples), 'endpoint')} {kind}: {some(examples)}"
        found += "" if dead or kind == "untried" else "; the services have others"
        lines.append((fail if dead else warn)(UPSTREAM, environment, found, _FIXES[kind].format(env=environment)))
    return lines
