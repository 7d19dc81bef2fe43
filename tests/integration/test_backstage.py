"""The engine beside a real Backstage backend: equal facts, changes in force in time, and its odd ways survived.

The catalog's own delay (a change at its source until its API shows it) is measured apart from ours (until the table
of a door has it): only the second is our promise.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import uvloop
import yaml
from aiohttp.test_utils import TestServer

from gateway import config
from gateway.config.sources import Backstage, ClientCredentials
from gateway.doctor import catalogs as doctor
from gateway.egress.look_ups import Names
from gateway.engine.sources.assembly import Assembler, Bounds
from gateway.engine.sources.backstage import BackstageSource
from gateway.engine.sources.backstage_api import CatalogApi, CatalogFault
from gateway.engine.sources.entities import Entity
from gateway.lab.provider import AUDIENCE, Provider, client_secret
from gateway.lab.signing import SigningKeys
from policy.facts import Principal, Refusal, Source
from tests.support.catalogs import PREFIX, api, entity, environments, openapi, people, pull, service
from tests.support.processors import slowdown
from tests.support.real_backstage import BLIND, READ, RealBackstage, complete, why_not
from tests.unit.engine.test_catalogs import status
from tests.unit.engine.test_sync import Door, Stage, running

pytestmark = [
    pytest.mark.slow,
    pytest.mark.backstage,
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "a real Backstage is at hand"),
    pytest.mark.timeout(300),  # the first test waits for a backend to start and to fill
]

ENTITIES = 351
ALL = ENTITIES + 1  # and one that is written by hand
POLL_S = 1.0
PROMISED_POLL_S = 5.0  # a look may take half a second before it is taken less often
PATIENCE_S = 90.0  # of a machine that others use, too

EXAMPLES = Path(__file__).parents[2] / "examples" / "catalog"
TRUSTED = """\
backend:
  auth:
    externalAccess:
      - type: jwks
        options: {{url: "{issuer}/jwks.json", issuer: "{issuer}", algorithm: [RS256, ES256], audience: {audience}}}
        accessRestrictions: [{{plugin: catalog, permission: catalog.entity.read}}]
"""


@pytest.fixture(scope="module")
def backstage() -> Iterator[RealBackstage]:
    made = RealBackstage()
    made.generate(ENTITIES)
    written(made, service("kept"))
    made.start()
    try:
        filled(made)
        yield made
    finally:
        made.stop()
        shutil.rmtree(made.catalog, ignore_errors=True)


def written(backstage: RealBackstage, *documents: dict[str, Any]) -> None:
    """By hand, beside what was made."""
    (backstage.catalog / "zz.yaml").write_text("---\n".join(yaml.safe_dump(complete(each)) for each in documents))


def filled(backstage: RealBackstage) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while entities(backstage) < ALL or not related(backstage):
        assert time.monotonic() < deadline, backstage.counts()
        time.sleep(0.1)


def entities(backstage: RealBackstage) -> int:
    """Without those that the catalog makes of the places it reads."""
    return sum(count for kind, count in backstage.counts().items() if kind != "location")


def related(backstage: RealBackstage) -> bool:
    """Every Component is stitched: Backstage shows entities before it shows their relations."""
    asked = "/entities/by-query?filter=kind=component&limit=1000&fields=relations"
    return all(item.get("relations") for item in backstage.call("GET", asked)["items"])


def test_a_backstage_that_trusts_an_issuers_keys_is_read_by_a_client_of_it(tmp_path: Path) -> None:
    """Its own check of the token: the issuer's name, audience and algorithm, and the keys it fetches."""
    secret = tmp_path / "client.secret"
    secret.touch(0o600)
    made = RealBackstage()
    made.generate(60)

    async def story() -> None:
        provider = Provider("", SigningKeys(tmp_path / "keys.json"), EXAMPLES, "of this test", time.time)
        async with AsyncExitStack() as stack:
            server = await stack.enter_async_context(TestServer(provider.app()))
            provider.issuer = str(server.make_url("")).rstrip("/")
            await asyncio.to_thread(made.start, TRUSTED.format(issuer=provider.issuer, audience=AUDIENCE))
            client = ClientCredentials(f"{provider.issuer}/token", "orders", str(secret))
            api = CatalogApi(Backstage("main", made.url, "", client=client))
            stack.push_async_callback(api.close)
            secret.write_text("wrong")
            with pytest.raises(CatalogFault, match="answered 401 `invalid_client`"):
                await kinds(api)
            secret.write_text(client_secret("of this test", "orders"))
            deadline = time.monotonic() + PATIENCE_S
            while "component" not in await kinds(api):
                assert time.monotonic() < deadline
                await asyncio.sleep(0.2)  # the catalog fills

    async def kinds(api: CatalogApi) -> set[str]:
        return {item["kind"].lower() async for page in api.pages(["kind"], lambda items: items) for item in page.items}

    try:
        asyncio.run(story())
    finally:
        made.stop()
        shutil.rmtree(made.catalog, ignore_errors=True)


def said(backstage: RealBackstage, folder: Path, token: str = READ, **changes: Any) -> Backstage:
    file = folder / "backstage.token"
    file.write_text(token)
    file.chmod(0o600)
    return Backstage("main", backstage.url, str(file), **({"poll_s": POLL_S} | changes))


def read(settings: Backstage) -> BackstageSource:
    """One reading."""

    async def once() -> BackstageSource:
        with ThreadPoolExecutor(2) as worker:
            source = BackstageSource(settings, PREFIX, worker, lambda: None)
            try:
                await source.read()
            finally:
                await source.close()
            return source

    return asyncio.run(once())


def in_force_s() -> float:
    """One poll, and a second of an idle machine."""
    return PROMISED_POLL_S + slowdown()


Scene = Callable[[Stage, Door], Coroutine[Any, Any, None]]


def play(scene: Scene, folder: Path, settings: Backstage) -> None:
    async def run() -> None:
        catalog = config.Catalog(backstage=(settings,))
        async with running(folder, catalog=catalog, environments=environments("dev", "staging", "prod")) as (
            stage,
            door,
        ):
            await scene(stage, door)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


async def shown(backstage: RealBackstage, ref: str, holds: Callable[[Any], bool]) -> float:
    """Seconds until the catalog's API shows it so."""
    began = time.monotonic()
    while not holds(await asyncio.to_thread(backstage.shown, ref)):
        assert time.monotonic() - began < PATIENCE_S, ref
        await asyncio.sleep(0.02)
    return time.monotonic() - began


def reason(door: Door, host: str, person: str, path: str = "") -> str:
    match = door.loader.table.match(host, (path,))
    if isinstance(match, Refusal):
        return match.reason
    table = door.loader.table
    return table.decide(match, "GET", Principal("person", person, table.subjects_of(person)), 0).reason


# === reading ===


def facts(entities: dict[str, Entity]) -> Any:
    """Without places: where something was said is the source's own."""
    nowhere = Source("")
    found = Assembler(Bounds(environments("dev", "staging", "prod"))).facts(entities, {}).catalog
    services = {
        ref: replace(
            each, source=nowhere,
            exposures=tuple(replace(exposure, source=nowhere) for exposure in each.exposures),
            operations=tuple(replace(operation, source=nowhere) for operation in each.operations),
        )
        for ref, each in found.services.items()
    }  # fmt: skip
    people = {ref: replace(each, source=nowhere) for ref, each in found.people.items()}
    return people, {ref: replace(each, source=nowhere) for ref, each in found.teams.items()}, services


def test_a_catalog_means_the_same_over_the_api_as_in_its_files(backstage: RealBackstage, tmp_path: Path) -> None:
    backstage.stop()  # whatever other tests put into its database is gone
    backstage.start()
    filled(backstage)
    over_api = read(said(backstage, tmp_path)).pull
    in_files = pull(backstage.catalog)
    assert (over_api.faults, in_files.faults) == ([], [])
    assert len(over_api.entities) > 250
    found, expected = facts(over_api.entities), facts(in_files.entities)
    for part, other in zip(found, expected, strict=True):
        assert part.keys() == other.keys()
        assert {ref for ref in part if part[ref] != other[ref]} == set()
    assert sum(len(each.operations) for each in found[2].values()) > 100


def test_a_token_that_may_not_read_is_told_by_the_doctor(backstage: RealBackstage, tmp_path: Path) -> None:
    async def examined(token: str) -> list[str]:
        lines = await doctor.catalog(said(backstage, tmp_path, token), Names())
        return [f"{line.verdict} {line.found}" for line in lines]

    (good,) = asyncio.run(examined(READ))
    assert good.startswith("OK")
    (blind,) = asyncio.run(examined(BLIND))
    assert blind.startswith("FAIL")
    assert "200 and shows no entity" in blind
    (unknown,) = asyncio.run(examined("no-such-token"))
    assert "401: it does not know the token" in unknown


def test_an_unknown_token_is_a_fault_without_the_catalogs_words(backstage: RealBackstage, tmp_path: Path) -> None:
    with pytest.raises(CatalogFault) as caught:
        read(said(backstage, tmp_path, "no-such-token"))
    assert "node_modules" not in str(caught.value)


# === in force ===


def test_a_change_that_the_catalog_shows_is_in_force_in_time(
    backstage: RealBackstage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Grants and, above all, revocations. What both took is said at the end, apart."""
    took: list[str] = []
    backstage.change(*people("fx-team", member="fx-jane"), service("fx", owner="fx-team"))
    jane, team = "user:default/fx-jane", "group:default/fx-team"

    async def scene(stage: Stage, door: Door) -> None:
        await door.until(lambda: reason(door, "fx.example.com", jane) == "owner", PATIENCE_S)
        for name, teams, expected in (("left the team", [], "no_rule"), ("came back", ["fx-team"], "owner")):
            backstage.change(entity("User", "fx-jane", memberOf=teams))
            is_in = bool(teams)
            delay_s = await shown(backstage, jane, lambda found: is_in is ("fx-team" in str(found.get("relations"))))  # noqa: B023 - awaited here
            # The other side of a relation is shown a moment later, and either side alone makes a member.
            delay_s += await shown(backstage, team, lambda found: is_in is ("fx-jane" in str(found.get("relations"))))  # noqa: B023 - awaited here
            ours_s = await door.until(lambda: reason(door, "fx.example.com", jane) == expected)  # noqa: B023 - awaited here
            took.append(f"{name}: catalog's own delay {delay_s:.2f} s, from visible to enforced {ours_s:.2f} s")
            assert ours_s < in_force_s()
        backstage.change(removed=("component:default/fx",))
        delay_s = await shown(backstage, "component:default/fx", lambda found: found is None)
        ours_s = await door.until(lambda: reason(door, "fx.example.com", jane) == "host_unknown")
        took.append(f"unpublished: catalog's own delay {delay_s:.2f} s, from visible to enforced {ours_s:.2f} s")
        assert ours_s < in_force_s()

    play(scene, tmp_path, said(backstage, tmp_path, poll_s=PROMISED_POLL_S))
    with capsys.disabled():
        sys.stdout.write("\n" + "\n".join(took) + "\n")


def test_a_definition_is_read_when_it_changed(backstage: RealBackstage, tmp_path: Path) -> None:
    backstage.change(service("fd", providesApis=["fd"], access="everyone"), api("fd", openapi("GET /a")))

    async def scene(stage: Stage, door: Door) -> None:
        def decided(path: str) -> str:
            return reason(door, "fd.example.com", "user:default/alice", path)

        await door.until(lambda: decided("a") == "everyone", PATIENCE_S)
        assert decided("b") == "operation_unknown"
        backstage.change(api("fd", openapi("GET /b")))
        await door.until(lambda: (decided("a"), decided("b")) == ("operation_unknown", "everyone"), PATIENCE_S)

    play(scene, tmp_path, said(backstage, tmp_path))


def test_an_etag_that_an_author_froze_hides_no_change(backstage: RealBackstage, tmp_path: Path) -> None:
    frozen = service("fz")
    frozen["metadata"]["etag"] = "x"
    backstage.change(frozen)

    async def scene(stage: Stage, door: Door) -> None:
        await door.until(lambda: "fz" in door.services(), PATIENCE_S)
        assert backstage.shown("component:default/fz")["metadata"]["etag"] == "x"
        moved = service("fz", host="fz-moved.example.com")
        moved["metadata"]["etag"] = "x"
        backstage.change(moved)
        await door.until(lambda: reason(door, "fz-moved.example.com", "") != "host_unknown", PATIENCE_S)

    play(scene, tmp_path, said(backstage, tmp_path))


def test_an_entity_dropped_from_its_file_is_revoked_as_an_orphan(backstage: RealBackstage, tmp_path: Path) -> None:
    written(backstage, service("kept"), service("dropped"))

    async def scene(stage: Stage, door: Door) -> None:
        await door.until(lambda: {"kept", "dropped"} <= door.services(), PATIENCE_S)
        written(backstage, service("kept"))
        await door.until(lambda: "dropped" not in door.services(), PATIENCE_S)
        assert "kept" in door.services()

    play(scene, tmp_path, said(backstage, tmp_path))


def test_a_version_that_the_catalog_refuses_leaves_the_last_good_one(backstage: RealBackstage, tmp_path: Path) -> None:
    backstage.change(service("fe"))
    asyncio.run(shown(backstage, "component:default/fe", bool))
    bad = complete(service("fe", access="everyone"))
    del bad["spec"]["owner"]
    backstage.change(bad)
    asyncio.run(shown(backstage, "component:default/fe", lambda found: "items" in found.get("status", {})))
    found = read(said(backstage, tmp_path)).pull
    assert "access" not in found.entities["component:default/fe"].annotations
    (fault,) = found.faults
    assert "newest version was refused by the catalog" in fault.message


# === hazards ===


def test_a_token_that_loses_its_permission_takes_nothing_away(backstage: RealBackstage, tmp_path: Path) -> None:
    settings = said(backstage, tmp_path)

    async def scene(stage: Stage, door: Door) -> None:
        await door.until(lambda: len(door.services()) > 40, PATIENCE_S)
        before = door.services()
        Path(settings.token_file).write_text(BLIND)
        told = await status(stage, lambda told: "component" in told["held"])
        assert {"component", "user", "group"} <= told["held"].keys()
        assert door.services() == before
        Path(settings.token_file).write_text(READ)
        await status(stage, lambda told: not told["held"])
        assert door.services() == before

    play(scene, tmp_path, settings)


def test_a_restart_with_an_empty_database_takes_nothing_away(backstage: RealBackstage, tmp_path: Path) -> None:
    """It answers 200 from the first moment, with a catalog that grows."""

    async def scene(stage: Stage, door: Door) -> None:
        await door.until(lambda: len(door.services()) > 40, PATIENCE_S)
        before = {name for name in door.services() if not name.startswith("f")}  # the provider's own do not come back
        lost: set[str] = set()

        async def watch() -> None:
            while True:
                lost.update(before - door.services())
                await asyncio.sleep(0.02)

        watching = asyncio.get_running_loop().create_task(watch())
        await asyncio.to_thread(backstage.stop)
        await status(stage, lambda told: bool(told["catalogs"][0]["fault"]))
        await asyncio.to_thread(backstage.start)
        await asyncio.to_thread(filled, backstage)
        told = await status(stage, lambda told: not told["catalogs"][0]["fault"] and told["catalogs"][0]["age_s"] < 5)
        watching.cancel()
        assert lost == set()
        assert told["base"]

    play(scene, tmp_path, said(backstage, tmp_path))
