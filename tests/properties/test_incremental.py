"""Promise: compiling what changed gives what compiling everything gives, byte for byte and fault for fault, whatever
happened before. And a door that follows each change holds the table that a door has which starts now.
"""

from __future__ import annotations

import json
import marshal
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import config
from gateway.engine.access_files import AccessRead, read_access_texts
from gateway.engine.compilation import Compiled, Compiler, Past, no_past
from gateway.engine.journal import Journal
from gateway.engine.publisher import Publisher
from gateway.engine.sources.entities import Entity, read_entity, with_last_definition
from gateway.engine.sources.openapi import broken, read_definition
from gateway.snapshot import BaseLoader
from policy.facts import Source
from tests.support import catalogs
from tests.support.examples import examples

COMPONENTS = ("c0", "c1", "c2", "c3", "elsewhere/c4")
APIS = ("a0", "a1", "a2")
TEAMS = ("t0", "t1", "t2")
PEOPLE = ("p0", "p1", "p2")
SYSTEMS = ("s0", "s1")
DOCUMENT = 20  # lines of a made-up file


def some(*values: str, most: int = 2) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(values), max_size=most, unique=True)


def maybe(**keys: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=keys)


WORDS = st.sampled_from
LISTED = {
    "allow-groups": some(*TEAMS, "t9").map(",".join),
    "allow-consumers": some(*COMPONENTS, "c9").map(",".join),
    "approvers": some(*TEAMS, "t8").map(",".join),
}
ANNOTATIONS = maybe(
    **LISTED,
    environments=WORDS(("prod", "prod", "dev,prod", "dev", "nowhere", "")),
    host=WORDS(("x.example.com", "y.example.com", "{env}.example.com", "no host", "h.evil.test")),
    path=WORDS(("/", "/a", "/b")),
    upstream=WORDS(("http://10.0.0.1", "http://192.0.2.1", "nonsense")),
    access=WORDS(("owners", "consumers", "everyone", "friends")),
    paths=WORDS(("GET /w/**", "GET /x")),
    public=WORDS(("GET /x", "GET /")),
    environment=WORDS(("prod", "dev")),
    options=WORDS(("trailing-slash-same", "unknown")),
    **{
        "client-id": WORDS(("client-1", "client-2")),
        "client-id.prod": WORDS(("client-1", "")),
        "instance-of": WORDS(COMPONENTS),
        "host.prod": WORDS(("x.example.com",)),
    },
)  # fmt: skip
OPERATIONS = some("GET /x", "POST /x", "GET /x/{id}", "GET /x/{name}", "DELETE /y", most=4)
BODIES: Mapping[str, st.SearchStrategy[dict[str, Any]]] = {
    "Component": maybe(
        type=WORDS(("service", "website")),
        owner=WORDS((*TEAMS, "t9", "user:p0")),
        system=WORDS(SYSTEMS),
        providesApis=some(*APIS, "a9"),
        consumesApis=some(*APIS, "a9", most=3),
    ),
    "API": st.fixed_dictionaries(
        {"type": WORDS(("openapi", "openapi", "graphql")), "definition": st.tuples(OPERATIONS, st.booleans())}
    ),
    "Group": maybe(parent=WORDS((*TEAMS, "t9")), children=some(*TEAMS), members=some(*PEOPLE)),
    "User": maybe(
        memberOf=some(*TEAMS, "t9", most=3),
        profile=maybe(email=WORDS(("One@example.com", "one@example.com", "two@example.com")), displayName=WORDS("AB")),
    ),
    "System": maybe(owner=WORDS(TEAMS), domain=WORDS(("d0", "d1"))),
}
NAMES = {"Component": COMPONENTS, "API": APIS, "Group": TEAMS, "User": PEOPLE, "System": SYSTEMS}
KINDS = ("Component", "Component", "Component", "API", "API", "Group", "User", "System")


@st.composite
def entries(draw: st.DrawFn) -> tuple[str, Entity | None]:
    """An entry of the catalog that comes, changes or (None) goes."""
    kind = draw(WORDS(KINDS))
    name = draw(WORDS(NAMES[kind]))
    line = draw(st.integers(1, 3)) * DOCUMENT
    annotations = draw(ANNOTATIONS) if kind == "Component" else None
    spec = draw(BODIES[kind])
    described = catalogs.entity(kind, name, annotations=annotations, **spec)
    place = Source("catalog.yaml", line)
    reading = read_entity(described, lambda path: place, catalogs.PREFIX, define=_define)
    assert reading.entity is not None, reading.faults
    return reading.ref, None if draw(WORDS((True, False, False, False))) else reading.entity


def _define(said: Any, ref: str) -> Any:
    operations, is_broken = said
    if is_broken:
        last = read_definition(json.dumps(catalogs.openapi(*operations)), ref, "catalog.yaml", 7)
        entity = Entity(ref, "api", "", "", (), {}, {}, (), broken(Source("catalog.yaml", 9, ref), "unreadable"),
                        Source("catalog.yaml", 9, ref))  # fmt: skip
        return with_last_definition(entity, last).definition
    scopes = {each: ["read"] for each in operations if each.startswith("GET")}
    return read_definition(json.dumps(catalogs.openapi(*operations, scopes=scopes)), ref, "catalog.yaml", 7)


ENVIRONMENT = maybe(
    owners=WORDS((["all"], ["read"])), consumers=WORDS((["all"], ["declared"])), everyone=WORDS((["read"],)),
    groups=WORDS((["read"], ["all"])), consent=WORDS(("named", "same-system", "any")),
    public=WORDS(("never", "declared")), people=WORDS(({"require": ["mfa"]},)),
)  # fmt: skip
SERVICES = WORDS(
    (
        {"service": "c0"},
        {"service": ["c1", "c9"]},
        {"system": "s0"},
        {"type": "website"},
        {"domain": "d0"},
        {"api": "a0"},
    )
)
ALLOWS = st.fixed_dictionaries(
    {
        "allow": WORDS(("group:t0", "user:p1", "component:c0", "all-workloads", "group:t9")),
        "to": SERVICES, "in": WORDS((["prod"], ["dev", "prod"])), "because": WORDS(("One.", "Two.")),
    },
    optional={"scopes": WORDS((["read"],)), "operations": WORDS((["GET /x"], ["POST /hook"]))},
)  # fmt: skip
DENIES = st.fixed_dictionaries(
    {"deny": WORDS(("group:t1", "user:p2", "component:c1", "all-people")), "because": WORDS(("No.",))},
    optional={"to": SERVICES, "in": WORDS((["prod"],)), "methods": WORDS((["DELETE"],))},
)
POLICIES = st.fixed_dictionaries(
    {
        "version": st.just(1),
        "environments": st.fixed_dictionaries({"prod": ENVIRONMENT}, optional={"dev": ENVIRONMENT}),
        "defaults": st.lists(
            st.fixed_dictionaries({"for": SERVICES, "access": WORDS(("everyone", "consumers"))}), max_size=1
        ),
    },
    optional={
        "roles": WORDS(({"r": {"groups": ["t0", "t9"], "scopes": ["read"]}},)),
        "scopes": WORDS(({"wide": {"system": "s0"}}, {"wide": {"service": "c0", "methods": ["GET"]}})),
    },
)  # fmt: skip
RULES = st.lists(st.one_of(ALLOWS, DENIES), max_size=4)


@st.composite
def policies(draw: st.DrawFn) -> AccessRead:
    said: dict[str, Any] = draw(POLICIES)
    known = set(said["environments"])
    drawn: list[dict[str, Any]] = draw(RULES)
    rules = [each for each in drawn if known.issuperset(each.get("in", ()))]
    read = read_access_texts({"access.yaml": json.dumps({**said, "rules": rules}, indent=1).encode()})
    assert read.policy is not None, read.faults
    return read


STEPS = st.lists(
    st.tuples(
        st.lists(entries(), min_size=1, max_size=3),
        st.one_of(st.none(), st.none(), policies()),
        some("component:default/c0", "component:default/c1", most=1).map(frozenset),
        st.booleans(),
    ),
    min_size=2,
    max_size=6,
)


def settings_of(folder: Path, *, shared: bool) -> config.Settings:
    matches = (config.MatchField("sub", "metadata.name"), config.MatchField("email", "spec.profile.email"))
    issuer = config.Issuer("main", "https://idp.example.com", ("api",), match=matches)
    return catalogs.settings(
        folder, issuers=(issuer,) if shared else (), central_host="door.example.com",
        administrators=("group:default/t0", "client-1"),
    )  # fmt: skip


def bytes_of(compiled: Compiled) -> dict[str, bytes]:
    return {name: marshal.dumps(frame, 2) for name, frame in compiled.frames.items()}


@settings(max_examples=examples(150), deadline=None)
@given(st.lists(entries(), max_size=14), policies(), STEPS, st.booleans())
def test_compiling_what_changed_is_compiling_everything(
    first: list[tuple[str, Entity | None]], access: AccessRead, steps: list[Any], shared: bool
) -> None:
    with tempfile.TemporaryDirectory() as name:
        said = settings_of(Path(name), shared=shared)
        kept, past = Compiler(said), no_past()
        entities: dict[str, Entity] = {}
        for changes, other, unsaid, remembers in [(first, None, frozenset(), True), *steps]:
            access = other or access
            entities = {**entities, **{ref: entity for ref, entity in changes if entity is not None}}
            entities = {ref: each for ref, each in entities.items() if (ref, None) not in changes}
            past = assert_equal(kept, Compiler(said), entities, access, past, unsaid) if remembers else past


def assert_equal(
    kept: Compiler, fresh: Compiler, entities: dict[str, Entity], access: AccessRead, past: Past, unsaid: frozenset[str]
) -> Past:
    assert access.policy is not None
    found = kept.compile(entities, access.policy, past, unsaid)
    whole = fresh.compile(entities, access.policy, past, unsaid)
    assert found.faults == whole.faults
    assert bytes_of(found) == bytes_of(whole)
    assert list(found.frames) == list(whole.frames)
    assert (found.published, found.past, found.catalog) == (whole.published, whole.past, whole.catalog)
    base = kept.base(entities, access.digest, unsaid)
    assert base == fresh.base(entities, access.digest, unsaid)
    assert base == Compiler.base(fresh, dict(reversed(entities.items())), access.digest, unsaid)
    return found.past


@settings(max_examples=25, deadline=None)
@given(policies(), STEPS)
def test_a_door_that_follows_holds_what_a_door_that_starts_holds(access: AccessRead, steps: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        compiler, publisher, journal = Compiler(settings_of(folder, shared=True)), Publisher(folder), Journal(folder)
        following, past = BaseLoader(folder), no_past()
        entities: dict[str, Entity] = {}
        for changes, other, unsaid, _ in steps:
            access = other or access
            entities = {**entities, **{ref: entity for ref, entity in changes if entity is not None}}
            assert access.policy is not None
            compiled = compiler.compile(entities, access.policy, past, unsaid)
            past = compiled.past
            message = publisher.publish(compiler.base(entities, access.digest, unsaid), compiled.frames)
            if message is not None:
                following.begin(message)
                while following.busy:
                    following.step()
            starting = BaseLoader(folder)
            starting.load()
            assert (following.fault, starting.fault) == ("", "")
            assert (following.base, following.names) == (starting.base, starting.names)
            assert following.table.directory.frames() == starting.table.directory.frames()
            assert following.table.exposures.keys() == starting.table.exposures.keys()
            assert Publisher(folder).publish("other", compiled.frames) is None  # whoever makes it all anew, makes this
            journal.record({"entities": entities, "routes": past.routes, "rules": past.rules})
            again = Journal(folder)
            assert again.fault == ""
            assert again.sections["entities"] == entities
            assert (again.sections["routes"], again.sections["rules"]) == (past.routes, past.rules)
