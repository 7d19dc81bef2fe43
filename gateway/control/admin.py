"""The admin listener: metrics, liveness, readiness, version. For operators and monitors, on loopback by default.

Ready means that this node can serve: its supervisor says so, doors follow control, and a base has been published.
An issuer that is away makes no node unready: every node would lose it at once, and taking them all out of the pool
helps nobody. It is named in the verbose form and in the metrics instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector

from gateway import counters, telemetry
from gateway.control.device_gauges import device_gauges

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client.metrics_core import Metric

NO_STORE: Final = {"Cache-Control": "no-store"}


class Check(NamedTuple):
    """One line of the readiness answer."""

    name: str
    good: bool
    detail: str
    needed: bool = True  # False: worth knowing, no reason to send nobody here


class IssuerState(NamedTuple):
    """What the admin listener shows of an issuer."""

    name: str
    keys: int
    age_s: float  # since the provider was last heard; infinite: never
    fault: str


class CatalogState(NamedTuple):
    """What the admin listener shows of a Backstage catalog. Times are seconds; None: not known."""

    name: str
    entities: int
    age_s: float | None  # since it was last read well
    delay_s: float | None  # what it took itself to show what the last hint was about
    fault: str


class AdminView(NamedTuple):
    """What the admin listener asks control for, each time anew."""

    checks: Callable[[], list[Check]]
    issuers: Callable[[], list[IssuerState]]
    seq: Callable[[], int]
    live_seq: Callable[[], int]
    version: Callable[[], dict[str, Any]]
    catalogs: Callable[[], list[CatalogState]] = list
    devices: Callable[[], list[dict[str, Any]]] = list
    feeds: Callable[[], Iterable[Metric]] = tuple


def make_app(view: AdminView, merged: counters.Merged) -> web.Application:
    registry = CollectorRegistry()
    registry.register(telemetry.collector(merged))
    registry.register(_ControlGauges(view))

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST, **NO_STORE})

    async def livez(_request: web.Request) -> web.Response:
        return web.Response(text="ok\n", headers=NO_STORE)

    async def readyz(request: web.Request) -> web.Response:
        checks = view.checks()
        ready = all(check.good for check in checks if check.needed)
        text = "".join(_line(check) for check in checks) if "verbose" in request.query else ""
        text += "ready\n" if ready else "not ready\n"
        return web.Response(status=200 if ready else 503, text=text, headers=NO_STORE)

    async def version(_request: web.Request) -> web.Response:
        return web.json_response(view.version(), headers=NO_STORE)

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/livez", livez)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/version", version)
    return app


def _line(check: Check) -> str:
    mark = "ok" if check.good else "FAIL" if check.needed else "note"
    return f"[{mark}] {check.name}: {check.detail}\n"


class _ControlGauges(Collector):
    """What control itself knows, beside the counters of the doors."""

    def __init__(self, view: AdminView) -> None:
        self._view = view

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("stagedoor_overlay_seq", "Number of the newest overlay.", value=self._view.seq())
        yield GaugeMetricFamily(
            "stagedoor_overlay_live_seq", "Number every connected worker has acknowledged.", value=self._view.live_seq()
        )
        age = GaugeMetricFamily(
            "stagedoor_issuer_keys_age_seconds", "Seconds since an issuer last confirmed its keys.", labels=["issuer"]
        )
        count = GaugeMetricFamily("stagedoor_issuer_keys", "Usable keys of an issuer.", labels=["issuer"])
        up = GaugeMetricFamily(
            "stagedoor_issuer_reachable", "1 when the last fetch of an issuer's keys worked.", labels=["issuer"]
        )
        for issuer in self._view.issuers():
            age.add_metric([issuer.name], issuer.age_s)
            count.add_metric([issuer.name], issuer.keys)
            up.add_metric([issuer.name], 0.0 if issuer.fault else 1.0)
        yield from (age, count, up)
        yield from _catalog_gauges(self._view.catalogs())
        yield from device_gauges(self._view.devices())
        yield from self._view.feeds()


def _catalog_gauges(catalogs: list[CatalogState]) -> Iterator[Metric]:
    age = GaugeMetricFamily(
        "stagedoor_catalog_age_seconds", "Seconds since a Backstage catalog was last read well.", labels=["catalog"]
    )
    entities = GaugeMetricFamily("stagedoor_catalog_entities", "Entities of a Backstage catalog.", labels=["catalog"])
    up = GaugeMetricFamily(
        "stagedoor_catalog_reachable", "1 when the last reading of a Backstage catalog was good.", labels=["catalog"]
    )
    delay = GaugeMetricFamily(
        "stagedoor_catalog_delay_seconds",
        "Seconds a Backstage catalog took itself, after the last hint, to show a change.",
        labels=["catalog"],
    )
    for catalog in catalogs:
        age.add_metric([catalog.name], float("inf") if catalog.age_s is None else catalog.age_s)
        entities.add_metric([catalog.name], catalog.entities)
        up.add_metric([catalog.name], 0.0 if catalog.fault or catalog.age_s is None else 1.0)
        if catalog.delay_s is not None:
            delay.add_metric([catalog.name], catalog.delay_s)
    yield from (age, entities, up, delay)
