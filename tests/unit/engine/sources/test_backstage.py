"""A followed catalog over a real socket: what changes is noticed, cheaply; whatever it does wrong, what was read stays
and nobody gets more than before."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import tracemalloc
import zlib
from collections.abc import Awaitable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest

from gateway.engine.sources import backstage_api
from gateway.engine.sources.backstage import BackstageSource
from gateway.engine.sources.backstage_api import CatalogFault
from gateway.engine.sources.backstage_items import ORIGIN
from tests.support.catalogs import PREFIX, api, entity, openapi, people, service
from tests.support.fake_catalog import LOCATION, PLACE, FakeCatalog, fake_catalog, said, until

T = TypeVar("T")


class Reader:
    """One source, read step by step. ``clock`` is moved by the test."""

    def __init__(self, catalog: FakeCatalog, folder: Path, **changes: Any) -> None:
        self.catalog = catalog
        self.now_s = 1000.0
        self.announced = 0
        self._runner = asyncio.Runner()
        self._worker = ThreadPoolExecutor(2)

        async def make() -> BackstageSource:
            settings = said(catalog, folder, **changes)
            return BackstageSource(settings, PREFIX, self._worker, self._changed, clock=lambda: self.now_s)

        self.source = self._runner.run(make())

    def _changed(self) -> None:
        self.announced += 1

    def run(self, what: Awaitable[T]) -> T:
        async def waited() -> T:
            return await what

        return self._runner.run(waited())

    def read(self, *, full: bool = False) -> None:
        """One reading, and the definitions it makes necessary."""

        async def whole() -> None:
            await self.source.read()
            if self.source._defining is not None:
                await asyncio.wait([self.source._defining])

        self.now_s += 61 if full else 5
        self._runner.run(whole())

    def fails(self, *, full: bool = False) -> CatalogFault:
        self.now_s += 61 if full else 5
        with pytest.raises(CatalogFault) as caught:
            self.run(self.source.read())
        return caught.value

    def refs(self) -> set[str]:
        return set(self.source.pull.entities)

    def faults(self) -> list[str]:
        return [fault.message for fault in self.source.pull.faults]

    def operations(self, ref: str) -> list[str]:
        definition = self.source.pull.entities[ref].definition
        assert definition is not None
        return [f"{each.method} {each.template}" for each in definition.operations]

    def close(self) -> None:
        self.run(self.source.close())
        self._runner.close()
        self._worker.shutdown()


@pytest.fixture
def catalog() -> Iterator[FakeCatalog]:
    with fake_catalog(
        *people("team"), service("a", providesApis=["a"]), service("b"), api("a", openapi("GET /a")), api("x", "")
    ) as made:
        yield made


@pytest.fixture
def reader(catalog: FakeCatalog, tmp_path: Path) -> Iterator[Reader]:
    reader = Reader(catalog, tmp_path)
    yield reader
    reader.close()


EVERYBODY = {
    "api:default/a", "api:default/x", "component:default/a", "component:default/b", "group:default/team",
    "user:default/jane",
}  # fmt: skip


# === reading ===


def test_before_the_first_reading_everything_remembered_counts_as_there_and_unreadable(reader: Reader) -> None:
    assert (reader.source.pull.unread, reader.source.pull.broken_files) == (True, {"catalog:main"})
    reader.read()
    assert not reader.source.pull.unread
    assert reader.source.pull.broken_files == set()
    assert reader.refs() == EVERYBODY


def test_no_order_is_asked_for_and_no_definition_comes_with_a_page(reader: Reader) -> None:
    """An order silently leaves out what lacks the field; definitions are nearly all of a catalog's bytes."""
    reader.read()
    reader.read()
    queries = [call for call in reader.catalog.calls if "by-query" in call]
    assert len(queries) == 2
    assert not any("order" in call.lower() or "definition" in call for call in queries)
    assert "spec.profile.email" in queries[0]
    assert "annotations" not in queries[1]


def test_a_catalog_of_many_pages_is_read_whole(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backstage_api, "PAGE", 2)
    reader.read()
    reader.read()
    assert reader.refs() == EVERYBODY
    assert sum("by-query" in call for call in reader.catalog.calls) == 6


def test_a_change_is_read_by_ref_with_the_next_probe(reader: Reader) -> None:
    reader.read()
    before = reader.announced
    reader.catalog.put(service("b", access="everyone"))
    reader.catalog.put(service("c"))
    reader.read()
    assert reader.source.pull.entities["component:default/b"].annotations["access"] == "everyone"
    assert "component:default/c" in reader.refs()
    assert reader.announced == before + 1


def test_where_nothing_changed_nothing_is_announced_nor_sent(reader: Reader) -> None:
    reader.read()
    reader.read()
    before, pull, sent = reader.announced, reader.source.pull, reader.catalog.sent_bytes
    reader.read()
    assert (reader.announced, reader.source.pull is pull) == (before, True)
    assert reader.catalog.sent_bytes == sent  # 304
    reader.read(full=True)
    assert reader.source.pull is pull


def test_what_is_gone_is_asked_for_by_ref_before_it_counts_as_gone(reader: Reader) -> None:
    """An entity that one call lacks and another sends is there: a page in the middle of a change proves nothing."""
    reader.read()
    reader.catalog.hide = {"component:default/b"}
    reader.read()
    reader.read(full=True)
    assert reader.refs() == EVERYBODY
    reader.catalog.hide = set()
    reader.catalog.remove("component:default/b")
    reader.read()
    assert "component:default/b" not in reader.refs()


def test_when_very_much_differs_all_of_it_is_read(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.engine.sources.backstage.REFS", 3)
    reader.read()
    reader.catalog.put(*(service(f"s-{number}") for number in range(10)))
    reader.read()
    assert len(reader.refs()) == len(EVERYBODY) + 10
    assert "annotations" in reader.catalog.calls[-1]


def test_a_deleted_entity_that_came_back_is_another_one(reader: Reader) -> None:
    reader.read()
    whole = reader.catalog.entities["component:default/b"]
    whole["metadata"]["uid"] = "another"
    reader.read()
    assert any("by-refs" in call for call in reader.catalog.calls[-1:])
    assert reader.source._records["component:default/b"].uid == "another"


# === etags ===


def test_an_etag_that_an_author_wrote_is_not_believed(reader: Reader) -> None:
    """`metadata.etag: x` in a catalog-info.yaml is kept by the catalog for ever."""
    frozen = service("b")
    frozen["metadata"]["etag"] = "x"
    reader.catalog.put(frozen)
    reader.read()
    narrowed = service("b", access="owners", allow_groups="")
    narrowed["metadata"]["etag"] = "x"
    reader.catalog.put(narrowed)
    reader.read()
    assert reader.source.pull.entities["component:default/b"].annotations["access"] == "owners"


def test_an_etag_frozen_in_the_right_form_is_found_out_by_the_full_reading(reader: Reader) -> None:
    def frozen(access: str) -> dict[str, Any]:
        document = service("b", access=access)
        document["metadata"]["etag"] = "a" * 40
        return document

    reader.catalog.put(frozen("everyone"))
    reader.read()
    reader.catalog.put(frozen("consumers"))
    reader.read()
    assert reader.source.pull.entities["component:default/b"].annotations["access"] == "everyone"
    reader.read(full=True)
    assert reader.source.pull.entities["component:default/b"].annotations["access"] == "consumers"
    reader.catalog.put(frozen("owners"))
    reader.read()  # from then on every probe reads it
    assert reader.source.pull.entities["component:default/b"].annotations["access"] == "owners"


# === definitions ===


def test_only_definitions_that_an_exposed_service_provides_are_read_and_only_when_they_changed(reader: Reader) -> None:
    reader.read()
    assert reader.operations("api:default/a") == ["GET /a"]
    reader.read()
    reader.read(full=True)
    assert reader.catalog.defined == ["api:default/a"]
    reader.catalog.put(api("a", openapi("GET /a", "POST /a")))
    reader.read()
    assert reader.operations("api:default/a") == ["GET /a", "POST /a"]
    assert reader.catalog.defined == ["api:default/a"] * 2


def test_an_api_whose_definition_was_not_read_yet_has_no_operation_and_is_broken(reader: Reader) -> None:
    """Else a service whose API nobody has read yet would count as one without a definition, which opens every path."""
    reader.read()
    found = reader.source.pull.entities["api:default/x"].definition
    assert found is not None
    assert (found.operations, found.broken, found.openapi) == ((), True, True)


def test_definitions_are_read_again_now_and_then_though_nothing_says_that_they_changed(reader: Reader) -> None:
    reader.read()
    reader.now_s += 1800
    reader.read()
    assert reader.catalog.defined == ["api:default/a"] * 2


def test_a_definition_under_a_frozen_etag_is_read_with_every_full_reading(reader: Reader) -> None:
    for operations in (["GET /a"], ["GET /b"]):
        document = api("a", openapi(*operations))
        document["metadata"]["etag"] = "frozen"
        reader.catalog.put(document)
        reader.read(full=True)
    assert reader.operations("api:default/a") == ["GET /b"]


@pytest.mark.parametrize("batch", [1, 4])
def test_a_definition_over_the_size_of_an_answer_spoils_itself_alone(
    reader: Reader, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    names = [f"n-{number}" for number in range(batch)]
    reader.catalog.put(service("b", providesApis=["huge", *names]), api("huge", "x" * 200_000))
    reader.catalog.put(*(api(name, openapi(f"GET /{name}")) for name in names))
    monkeypatch.setattr(backstage_api, "ANSWER_BYTES", 100_000)
    reader.read()
    huge = reader.source.pull.entities["api:default/huge"].definition
    assert huge is not None
    assert huge.broken
    assert "larger than" in huge.faults[0].message
    assert [reader.operations(f"api:default/{name}") for name in names] == [[f"GET /{name}"] for name in names]


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 10)}]\n" for n in range(12)
)


@pytest.mark.parametrize(
    "definition",
    [
        BOMB, '{"a":' * 100_000, "openapi: [", "!!python/object/apply:os.system ['touch /tmp/owned']", "",
        {"$text": "https://evil.example/a.yaml"}, 5, "openapi: 3.0.0\npaths: {/a: {get: {security: [{x: []}]}}}\n",
    ],
)  # fmt: skip
def test_a_hostile_definition_opens_nothing_and_delays_nothing_for_long(reader: Reader, definition: Any) -> None:
    document = api("a", "")
    document["spec"]["definition"] = definition
    reader.catalog.put(document)
    reader.read()
    found = reader.source.pull.entities["api:default/a"].definition
    assert found is not None
    assert found.broken or all(operation.unresolved for operation in found.operations)
    assert not Path("/tmp/owned").exists()
    assert reader.refs() == EVERYBODY


def test_a_reference_in_a_definition_is_never_fetched(reader: Reader) -> None:
    with fake_catalog() as evil:
        definition = openapi("GET /a")
        definition["paths"]["/b"] = {"$ref": f"{evil.url}/b.yaml"}
        definition["components"]["securitySchemes"]["far"] = {"$ref": f"{evil.url}/s.yaml"}
        definition["paths"]["/a"]["get"]["security"] = [{"far": []}]
        reader.catalog.put(api("a", definition))
        reader.read()
        assert evil.calls == []
    found = reader.source.pull.entities["api:default/a"].definition
    assert found is not None
    assert {each.template for each in found.operations} == {"/a", "/b"}
    assert all(each.unresolved for each in found.operations)


def test_definitions_that_cannot_be_had_keep_what_was_read_and_are_asked_for_again(reader: Reader) -> None:
    reader.read()
    reader.catalog.put(api("a", openapi("GET /new")))
    plain = reader.catalog.by_refs
    reader.catalog.by_refs = lambda body: plain(body) if "spec.definition" not in body["fields"] else {"items": "no"}  # type: ignore[method-assign]  # a catalog that fails at definitions alone
    reader.read()
    assert reader.operations("api:default/a") == ["GET /a"]
    assert any("definitions" in message for message in reader.faults())
    reader.catalog.by_refs = plain  # type: ignore[method-assign]  # and is well again
    reader.read()
    assert reader.operations("api:default/a") == ["GET /new"]
    assert reader.faults() == []


def test_a_definition_that_takes_long_delays_no_other_change(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    """A revocation must not wait for a parser."""
    reader.read()
    reading, go_on = threading.Event(), threading.Event()

    def slow(*_: object) -> Any:
        def read() -> None:
            reading.set()
            go_on.wait(30)
            raise ValueError("too late")

        return "digest", read

    monkeypatch.setattr("gateway.engine.sources.backstage_definitions.definition_of", slow)
    reader.catalog.put(api("a", openapi("GET /slow")))
    reader.now_s += 5
    reader.run(reader.source.read())
    assert reader.run(asyncio.to_thread(reading.wait, 10))
    reader.catalog.remove("user:default/jane")
    reader.now_s += 5
    reader.run(reader.source.read())
    assert "user:default/jane" not in reader.refs()
    assert not go_on.is_set()
    go_on.set()


def test_the_first_reading_waits_for_definitions_and_not_for_ever(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a restart, revocations must not wait for ten thousand definitions either."""
    go_on = threading.Event()

    def slow(*_: object) -> Any:
        return "digest", lambda: go_on.wait(30) and None

    monkeypatch.setattr("gateway.engine.sources.backstage_definitions.definition_of", slow)
    monkeypatch.setattr("gateway.engine.sources.backstage.FIRST_S", 0.1)
    reader.run(reader.source.read())
    assert reader.refs() == EVERYBODY
    found = reader.source.pull.entities["api:default/a"].definition
    assert found is not None
    assert (found.operations, found.broken) == ((), True)
    go_on.set()


# === what a catalog may do wrong ===


def test_an_answer_that_is_well_and_empty_is_told_for_what_it_may_be(reader: Reader) -> None:
    """A token without the permission looks exactly like an empty company. What becomes of it: `Acceptance`."""
    reader.read()
    reader.catalog.blind = True
    reader.read()
    assert reader.refs() == set()
    (message,) = reader.faults()
    assert "holds no entity" in message
    assert "catalog.entity.read" in reader.source.pull.faults[0].suggestion
    reader.catalog.blind = False
    reader.read()
    assert (reader.refs(), reader.faults()) == (EVERYBODY, [])


def test_fewer_entities_than_announced_are_no_reading(reader: Reader) -> None:
    reader.read()
    reader.catalog.announce = 50
    reader.catalog.put(service("c"))
    assert "announced 57 entities and sent 7" in str(reader.fails())
    assert reader.refs() == EVERYBODY


@pytest.mark.parametrize(
    ("state", "said_of_it"),
    [
        ({"status": 401}, "401: it does not know the token"),
        ({"status": 403}, "403: the token may not read catalogs"),
        ({"status": 404}, "404: there is no catalog"),
        ({"status": 429, "retry_after": "7"}, "429: it is asked too often"),
        ({"status": 503, "retry_after": "Wed, 21 Oct"}, "503: it is not well"),
        ({"location": "https://sign-in.example.com/"}, "302"),
        ({"content_type": "text/html"}, "`text/html` instead of JSON"),
        ({"raw": b"<html>"}, "no JSON"),
        ({"raw": b"[" * 100_000}, "no JSON"),
        ({"raw": b"[]"}, "a page of its catalog is none"),
        ({"raw": b'{"items": {}, "totalItems": 1, "pageInfo": {}}'}, "a page of its catalog is none"),
        ({"raw": b'{"items": [], "totalItems": "1", "pageInfo": {}}'}, "a page of its catalog is none"),
        ({"cut": True}, "cannot be reached"),
        ({"token": "another"}, "401"),
    ],
)
@pytest.mark.parametrize("full", [False, True])
def test_what_is_no_good_answer_changes_nothing_and_says_why(
    reader: Reader, state: dict[str, Any], said_of_it: str, full: bool
) -> None:
    reader.read()
    reader.read()
    pull = reader.source.pull
    reader.catalog.put(service("c"))  # else the page would not be sent again
    for name, value in state.items():
        setattr(reader.catalog, name, value)
    fault = reader.fails(full=full)
    assert said_of_it in str(fault)
    assert fault.retry_s == (7 if state.get("retry_after") == "7" else 0)
    assert "secret words" not in str(fault)
    assert "/srv/x.js" not in str(fault)
    assert reader.source.pull is pull


def test_an_answer_over_its_size_ends_while_it_arrives(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    reader.read()
    monkeypatch.setattr(backstage_api, "ANSWER_BYTES", 100)
    reader.catalog.put(service("c"))
    assert "more than" in str(reader.fails())


def test_an_answer_that_swells_when_it_is_unpacked_ends_while_it_does(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backstage_api, "ANSWER_BYTES", 1024 * 1024)
    packed = zlib.compressobj(9, zlib.DEFLATED, 31)
    reader.catalog.raw = b"".join(packed.compress(bytes(1024 * 1024)) for _ in range(200)) + packed.flush()
    assert len(reader.catalog.raw) < 1024 * 1024
    reader.catalog.encoding = "gzip"
    tracemalloc.start()
    fault = reader.fails()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "more than" in str(fault)
    assert peak < 100 * 1024 * 1024


def test_a_catalog_that_never_ends_is_left(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages that lead on for ever, as no catalog of this size has them."""
    monkeypatch.setattr(backstage_api, "LARGEST", 100)
    plain, number = reader.catalog.by_query, iter(range(1_000_000))

    def without_end(query: Any) -> Any:
        return plain({"fields": query["fields"]}) | {"pageInfo": {"nextCursor": f"c{next(number)}"}}

    monkeypatch.setattr(reader.catalog, "by_query", without_end)
    assert "more than 100 entities" in str(reader.fails())


def test_a_catalog_that_does_not_answer_is_left_in_time(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backstage_api, "DEADLINE_S", 0.3)
    reader.catalog.hold = threading.Event()
    assert "no answer within" in str(reader.fails())
    reader.catalog.hold.set()
    reader.read()
    assert reader.refs() == EVERYBODY


@pytest.mark.parametrize("content", ["", "two\nlines\n", "bad token", "tökén"])
def test_a_token_file_without_a_token_is_told_and_a_rotated_one_counts_at_once(
    reader: Reader, tmp_path: Path, content: str
) -> None:
    file = tmp_path / "main.token"
    good = file.read_text()
    file.write_text(content)
    fault = reader.fails()
    assert "main.token" in str(fault)
    assert content.strip() == "" or content.strip() not in str(fault)
    file.write_text(good)
    reader.read()
    file.unlink()
    assert "cannot read" in str(reader.fails())


# === hostile entities ===


def raw_item(**changes: Any) -> dict[str, Any]:
    document = entity("Component", "evil")
    document["metadata"]["annotations"] = {"stagedoor.dev/environments": "prod"}
    return {**document, **changes}


@pytest.mark.parametrize(
    "document",
    [
        raw_item(metadata={"name": "evil", "annotations": {"stagedoor.dev/host": "x" * 2_000_000}}),
        raw_item(metadata={"name": "evil", "annotations": {"stagedoor.dev/host": 5}}),
        raw_item(metadata={"name": "evil", "annotations": ["a"]}),
        raw_item(metadata={"name": "evil", "annotations": {"stagedoor.dev/host": "\ud800"}}),
    ],
)
def test_an_entity_that_cannot_be_read_is_broken_alone(reader: Reader, document: dict[str, Any]) -> None:
    reader.catalog.put(document)
    reader.read()
    assert reader.source.pull.broken == {"component:default/evil"}
    assert reader.refs() == EVERYBODY
    (message,) = reader.faults()
    assert len(message) < 300


@pytest.mark.parametrize(
    "item", [None, 5, "x", [], {}, {"kind": "Component"}, {"kind": 5, "metadata": {"name": "x"}},
             {"kind": "component", "metadata": {"name": "a/b"}}, {"kind": "a:b", "metadata": {"name": "x"}}]
)  # fmt: skip
def test_what_has_no_ref_is_left_out(reader: Reader, item: Any) -> None:
    plain = reader.catalog.by_query

    def with_another(query: dict[str, list[str]]) -> dict[str, Any]:
        page = plain(query)
        return {**page, "items": [item, *page["items"]], "totalItems": page["totalItems"] + 1}

    reader.catalog.by_query = with_another  # type: ignore[method-assign]  # a catalog that sends nonsense
    reader.read()
    reader.read()
    assert reader.refs() == EVERYBODY


def test_links_are_not_read_at_all(reader: Reader) -> None:
    document = service("b")
    document["metadata"]["links"] = [{"url": "javascript:alert(1)"}]
    reader.catalog.put(document)
    reader.read()
    assert "javascript" not in str(reader.source.pull)


def test_an_orphan_is_absent_and_its_opposite_proves_nothing(reader: Reader) -> None:
    orphan, claims_not_to_be = service("b"), service("a", providesApis=["a"])
    orphan["metadata"]["annotations"]["backstage.io/orphan"] = "true"
    claims_not_to_be["metadata"]["annotations"]["backstage.io/orphan"] = "false"
    reader.catalog.put(orphan, claims_not_to_be)
    reader.read()
    assert reader.refs() == EVERYBODY - {"component:default/b"}
    assert reader.source.pull.absent == {"component:default/b"}


def test_a_processing_error_is_told_and_the_last_good_version_counts(reader: Reader) -> None:
    document = service("b")
    document["status"] = {"items": [{"type": "backstage.io/catalog-processing", "level": "error",
                                     "message": "missing owner\x1b[31m" + "x" * 5000}]}  # fmt: skip
    reader.catalog.put(document)
    reader.read()
    (fault,) = reader.source.pull.faults
    assert (fault.severity, fault.source.entity, fault.keeps) == ("warning", "component:default/b", True)
    assert "missing owner" in fault.message
    assert "\x1b" not in fault.message
    assert len(fault.message) < 400
    assert "component:default/b" in reader.refs()


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("InputError: Processor X threw an error while validating the entity component:default/b; caused by TypeError: "
         "/spec must have required property 'owner' - missingProperty: owner",
         "(/spec must have required property 'owner' - missingProperty: owner)"),
        ("Error: a; caused by InputError: Error: b;caused by TypeError: c", "(c)"),
        ("Error: ", "(Error:)"),
        ("spec.owner is missing", "(spec.owner is missing)"),
    ],
)  # fmt: skip
def test_of_a_chain_of_errors_the_innermost_says_what_is_wrong(reader: Reader, message: str, shown: str) -> None:
    error = {"type": "backstage.io/catalog-processing", "level": "error", "message": message}
    reader.catalog.put({**service("b"), "status": {"items": [error]}})
    reader.read()
    (told,) = reader.faults()
    assert told.endswith(shown)


def test_an_apis_processing_error_is_told_once_somebodys_operations_come_from_it(reader: Reader) -> None:
    error = {"type": "backstage.io/catalog-processing", "level": "error", "message": "no owner"}
    for name in ("a", "nobodys"):
        reader.catalog.put({**api(name, openapi("GET /a")), "status": {"items": [error]}})
    reader.read()
    assert [fault.source.entity for fault in reader.source.pull.faults] == ["api:default/a"]


def test_whose_an_entry_is_is_known_though_it_has_no_form(reader: Reader) -> None:
    orphan, huge = service("b"), service("huge", host="x" * 2_000_000)
    orphan["metadata"]["annotations"]["backstage.io/orphan"] = "true"
    reader.catalog.put(orphan, huge)
    reader.read()
    pull = reader.source.pull
    assert (pull.absent, pull.broken) == ({"component:default/b"}, {"component:default/huge"})
    assert pull.owners == dict.fromkeys(("component:default/b", "component:default/huge"), ("group:default/team",))
    assert {pull.locations[ref] for ref in (*pull.owners, "component:default/a")} == {PLACE}


def test_annotations_of_ours_on_no_component_are_told(reader: Reader) -> None:
    reader.catalog.put(entity("System", "shop", owner="team", annotations={"host": "shop.example.com"}))
    reader.read()
    (fault,) = reader.source.pull.faults
    assert (fault.severity, fault.source.entity) == ("warning", "system:default/shop")


def test_relations_that_dangle_or_turn_in_circles_are_read_as_they_are(reader: Reader) -> None:
    reader.catalog.put(
        entity("Group", "x", parent="y"), entity("Group", "y", parent="x"), service("b", owner="nobody"),
        entity("User", "u", memberOf=["gone"]),
    )  # fmt: skip
    reader.read()
    assert reader.faults() == []
    edges = {tuple(edge) for found in reader.source.pull.entities.values() for edge in found.edges}
    assert ("group:default/x", "childOf", "group:default/y") in edges
    assert ("component:default/b", "ownedBy", "group:default/nobody") in edges


def test_a_bare_ref_in_another_namespace_means_that_namespace(reader: Reader) -> None:
    """`owner: team` in namespace staging is `group:staging/team`, who is nobody here."""
    reader.catalog.put(service("staging/s"))
    reader.read()
    edges = reader.source.pull.entities["component:staging/s"].edges
    assert [tuple(edge) for edge in edges] == [("component:staging/s", "ownedBy", "group:staging/team")]


@pytest.mark.parametrize("relations", [None, 5, [5], [{}], [{"type": "ownedBy"}], [{"type": 5, "targetRef": "x"}],
                                       [{"type": "ownedBy", "targetRef": "../../x"}]])  # fmt: skip
def test_relations_in_no_known_form_say_nothing(reader: Reader, relations: Any) -> None:
    plain = reader.catalog.stitched

    def odd() -> dict[str, dict[str, Any]]:
        return {ref: {**each, "relations": relations} for ref, each in plain().items()}

    reader.catalog.stitched = odd  # type: ignore[method-assign]  # an older or a broken catalog
    reader.read()
    assert [found.edges for found in reader.source.pull.entities.values()] == [()] * len(EVERYBODY)


def test_where_an_entity_comes_from_is_kept_apart_from_what_it_says(reader: Reader) -> None:
    reader.read()
    assert reader.source.pull.origins["user:default/jane"] == LOCATION
    assert ORIGIN not in str(reader.source.pull.entities)


def test_an_author_cannot_say_where_an_entity_comes_from_by_another_key(reader: Reader) -> None:
    jane = reader.catalog.entities["user:default/jane"]
    jane["metadata"]["annotations"] = {ORIGIN.upper(): "ldap://trusted", ORIGIN + " ": "ldap://trusted"}
    reader.read()
    assert reader.source.pull.origins["user:default/jane"] == LOCATION


# === time ===


def test_after_errors_the_wait_doubles_and_one_good_answer_restores_it(reader: Reader) -> None:
    source = reader.source
    waits = []
    for _ in range(12):
        source._failed("away", "")
        waits.append(source._wait_s())
    assert waits[:3] == pytest.approx([0.4, 0.8, 1.6])
    assert max(waits) <= 300.0
    source._errors = 0
    assert source._wait_s() == pytest.approx(0.2)


def test_a_slow_catalog_is_asked_less_often(reader: Reader) -> None:
    reader.read()
    for took_s in (3.0, 3.5, 4.0):
        reader.source._took(dict(reader.source._records), reader.now_s, took_s, is_full=False)
    assert reader.source._wait_s() == 30.0
    reader.source._took(dict(reader.source._records), reader.now_s, 0.01, is_full=False)
    assert reader.source._wait_s() == 0.2  # this machine was busy, not the catalog slow
    reader.source._took(dict(reader.source._records), reader.now_s, 3.0, is_full=True)
    assert reader.source._full_due_s == reader.now_s + 150.0


def test_how_long_the_catalog_took_to_show_what_a_hint_was_about_is_measured(reader: Reader) -> None:
    reader.read()
    reader.source.hurry()
    reader.read()
    assert [reader.source.standing.delay_s] == [None]
    reader.catalog.put(service("c"))
    reader.read()
    assert [reader.source.standing.delay_s] == [10.0]
    reader.catalog.put(service("d"))
    reader.read()
    assert [reader.source.standing.delay_s] == [10.0]


def test_it_follows_by_itself_and_comes_back_by_itself(catalog: FakeCatalog, tmp_path: Path) -> None:
    pulls = []

    async def scene() -> None:
        with ThreadPoolExecutor(2) as worker:
            source = BackstageSource(said(catalog, tmp_path, poll_s=0.05), PREFIX, worker, lambda: None)
            source.start()
            await asyncio.to_thread(until, lambda: not source.pull.unread)
            catalog.status = 503
            await asyncio.to_thread(until, lambda: source.standing.fault)
            pulls.append(source.pull)
            catalog.put(service("c"))
            catalog.status = 200
            await asyncio.to_thread(until, lambda: "component:default/c" in source.pull.entities)
            pulls.append(source.pull)
            await source.close()

    asyncio.run(scene())
    assert "what was read before counts: it answered 503" in pulls[0].faults[0].message
    assert set(pulls[0].entities) == EVERYBODY
    assert pulls[1].faults == []


def test_a_defect_in_a_reading_does_not_end_the_following(
    catalog: FakeCatalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> None:
        with ThreadPoolExecutor(2) as worker:
            source = BackstageSource(said(catalog, tmp_path, poll_s=0.05), PREFIX, worker, lambda: None)
            with monkeypatch.context() as patch:
                patch.setattr(source._items, "read_all", lambda *_: 1 / 0)
                source.start()
                await asyncio.to_thread(until, lambda: "ZeroDivisionError" in source.standing.fault)
            await asyncio.to_thread(until, lambda: not source.pull.unread)
            await source.close()

    asyncio.run(scene())


# === a real one's answers, where they are at hand ===

RECORDED = Path(os.environ.get("BACKSTAGE_RECORDED", Path(__file__).parents[5] / "shared" / "data" / "backstage"))


@pytest.mark.skipif(not RECORDED.is_dir(), reason="no recorded answers of a real Backstage beside the checkout")
@pytest.mark.parametrize("kind", ["component", "api", "group-team", "group-division", "user", "system", "domain"])
def test_entities_as_a_real_catalog_sent_them_are_read(reader: Reader, kind: str) -> None:
    document = json.loads((RECORDED / f"entity-{kind}.json").read_text())
    found: dict[str, Any] = {}
    reader.source._items.read_all([document], {}, found)
    ((ref, record),) = found.items()
    assert record.entity is not None
    assert (record.faults, record.is_frozen, record.is_broken) == ((), False, False)
    assert record.origin.startswith("file:/srv/backstage/")
    assert len(record.entity.edges) > 0 or kind in ("system", "domain"), ref
