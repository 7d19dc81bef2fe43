"""Small facts by hand, and random worlds by Hypothesis: catalogs, access policies, callers, requests.

The random worlds are small on purpose: few teams, few path segments, few scopes, so that rules meet, overlap and
contradict each other in most examples.
"""

from __future__ import annotations

import marshal
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from policy.compile import compile_frames
from policy.derive import Builtin, Derived, derive
from policy.facts import (
    ALL_PEOPLE,
    ALL_WORKLOADS,
    EVERYONE,
    Catalog,
    Circumstances,
    Exposure,
    KeyField,
    Operation,
    Person,
    Principal,
    Service,
    Source,
    Team,
)
from policy.frames import Frame
from policy.paths import template_of
from policy.statements import (
    ANYONE,
    AccessPolicy,
    Default,
    EnvironmentPolicy,
    NamedScope,
    PolicyRule,
    Requirement,
    Role,
    Selector,
)
from policy.table import Match, Table
from policy.table_builder import TableBuilder

HERE = Source("catalog.yaml", 1, "")
ENVIRONMENTS = ("dev", "prod")
TEAMS = tuple(f"group:default/team{n}" for n in range(4))
PEOPLE = tuple(f"user:default/person{n}" for n in range(4))
COMPONENTS = tuple(f"component:default/service{n}" for n in range(3))
APIS = tuple(f"api:default/api{n}" for n in range(3))
SCOPES = ("r", "w", "x", "wide")


def person(name: str, *teams: str, **fields: str) -> Person:
    return Person(f"user:default/{name}", name.title(), tuple(f"group:default/{team}" for team in teams), fields, HERE)


def team(name: str, *parents: str, **fields: str) -> Team:
    return Team(f"group:default/{name}", name.title(), tuple(f"group:default/{each}" for each in parents), fields, HERE)


def service(name: str, *operations: Operation, **changes: Any) -> Service:
    """A service of team `owners`, published in prod at NAME.example.com."""
    ref = f"component:default/{name}"
    facts: dict[str, Any] = {
        "ref": ref,
        "title": name.title(),
        "type": "service",
        "owner": "group:default/owners",
        "system": "",
        "domain": "",
        "tags": (),
        "access": "",
        "allow_groups": (),
        "allow_consumers": (),
        "provides": tuple(sorted({each.api for each in operations if each.api})),
        "consumes": (),
        "client_ids": {},
        "exposures": (exposure(name),),
        "operations": operations,
        "has_definition": bool(operations),
        "source": Source(f"{name}.yaml", 3, ref),
    }
    return Service(**(facts | changes))


def exposure(name: str, environment: str = "prod", prefix: str = "/") -> Exposure:
    return Exposure(
        environment, f"{name}.example.com", prefix, ("http://10.0.0.1:8080",), Source(f"{name}.yaml", 5, name)
    )


def catalog(*entities: Person | Team | Service) -> Catalog:
    return Catalog(
        {each.ref: each for each in entities if isinstance(each, Person)},
        {each.ref: each for each in entities if isinstance(each, Team)},
        {each.ref: each for each in entities if isinstance(each, Service)},
    )


def table_of(frames: dict[str, Any], previous: Table | None = None) -> Table:
    """The table as a door makes it: through marshal, without the `why` frames."""
    builder = TableBuilder(previous or Table.allow_none())
    for name, frame in frames.items():
        if not name.startswith("why/"):
            builder.put(name, marshal.loads(marshal.dumps(frame, 2)))
    return builder.finish()


def world(
    facts: Catalog, policy: AccessPolicy, key_fields: tuple[KeyField, ...] = (), **more: Any
) -> tuple[Derived, Table]:
    """What is derived from the facts, and the table made of it."""
    derived = derive(facts, policy, ENVIRONMENTS, **more)
    return derived, table_of(compile_frames(facts, derived, key_fields))


def placed(name: str, prefix: str, host: str = "a.example.com") -> Service:
    """A service at one place."""
    return service(name, exposures=(replace(exposure(name, prefix=prefix), host=host),))


def frames_of(*services: Service) -> dict[str, Frame]:
    """Their frames in prod, where owners may do everything."""
    facts = catalog(*services)
    policy = AccessPolicy({"prod": EnvironmentPolicy("prod", ("all",))})
    return compile_frames(facts, derive(facts, policy, ("prod",)), ())


def places(*prefixes: str, host: str = "a.example.com") -> Table:
    """The services `s0`, `s1` … at these prefixes of a host."""
    return table_of(frames_of(*[placed(f"s{n}", prefix, host) for n, prefix in enumerate(prefixes)]))


def key_at(table: Table, host: str, path: str) -> str:
    """The key of the exposure that a request belongs to, or the reason why it belongs to none."""
    match = table.match(host, tuple(path[1:].split("/")))
    return match.exposure.key if isinstance(match, Match) else match.reason


def paths_to(operations: tuple[Operation, ...]) -> list[tuple[str, ...]]:
    """A path to each operation, with something for its variables."""
    return [
        tuple(part.replace("{}", "v") if part != "**" else "t" for part in template_of(operation.template))
        for operation in operations
    ]


# ------------------------------------------------------------------------------------------ random worlds


def some(values: tuple[str, ...], most: int = 2) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(values), max_size=most, unique=True).map(tuple)


TEMPLATES = st.builds(
    lambda parts, end: "/" + "/".join([*parts, *end]) if parts or end else "/",
    st.lists(st.sampled_from(("a", "b", "B", "a.json", "{x}", "{y}", "a{z}", "{w}.json")), max_size=3),
    st.sampled_from(([], [], [], ["**"], [""])),
)
METHODS = st.sampled_from(("GET", "GET", "POST", "POST", "DELETE", "HEAD", "OPTIONS"))
PATHS = st.lists(
    st.sampled_from(("a", "a", "b", "A", "B", "a.json", "A.JSON", "b;v=1", "ab", "c", "", "a.x;y")), max_size=4
).map(tuple)
ALTERNATIVES = st.sampled_from(((), (), (frozenset("r"),), (frozenset("w"), frozenset("rx")), (frozenset("rw"),)))
OPERATIONS = st.builds(
    Operation, METHODS, TEMPLATES, ALTERNATIVES, st.sampled_from(APIS), st.sampled_from((False,) * 9 + (True,)),
    st.sampled_from((False, False, True)), st.just(HERE),
)  # fmt: skip
REQUIREMENTS = st.lists(
    st.sampled_from(
        (
            Requirement("person", "mfa"),
            Requirement("person", "fresh", 100),
            Requirement("workload", "issuer", "main"),
            Requirement("workload", "issuer", "main,other"),
            Requirement("workload", "network", "10.0.0.0/8,::1/128"),
            Requirement("workload", "certificate"),
        )
    ),
    max_size=2,
    unique=True,
).map(tuple)
SELECTORS = st.builds(
    lambda terms: Selector(tuple(sorted(terms.items()))),
    st.dictionaries(
        st.sampled_from(("service", "system", "type")),
        st.sampled_from((COMPONENTS[:1], COMPONENTS[1:], ("system:default/one",), ("website",), ("service",))),
        max_size=1,
    ),
)
PATTERNS = st.lists(st.tuples(METHODS, TEMPLATES.map(template_of)), max_size=2, unique=True).map(tuple)
LIMITS = st.sampled_from((None, None, frozenset({"GET"}), frozenset({"GET", "HEAD"}), frozenset({"POST", "OPTIONS"})))


@st.composite
def rules(draw: st.DrawFn, effect: str = "") -> PolicyRule:
    """A rule such as a reader of documents would let pass."""
    effect = effect or draw(st.sampled_from(("allow", "allow", "deny")))
    named = (*TEAMS, *PEOPLE[:1], *COMPONENTS, ALL_PEOPLE, ALL_WORKLOADS)
    subject = draw(st.sampled_from((*named, ANYONE) if effect == "allow" else named))
    patterns = draw(PATTERNS)
    if subject == ANYONE and not patterns:
        patterns = (("GET", ("a",)),)
    free = subject == ANYONE or effect == "deny"
    environments = (
        draw(some(ENVIRONMENTS)) if effect == "deny" else draw(st.sampled_from((("dev",), ("prod",), ENVIRONMENTS)))
    )
    return PolicyRule(
        effect,  # type: ignore[arg-type]  # drawn from the two words
        (subject,),
        draw(SELECTORS),
        environments,
        None if patterns else draw(LIMITS),
        patterns,
        frozenset() if free else frozenset(draw(some(SCOPES))),
        () if free else draw(REQUIREMENTS),
        False,
        "because",
        Source("policy.yaml", draw(st.integers(1, 99))),
    )


VERBS = st.sampled_from(((), ("all",), ("all",), ("read",), ("write",), ("read", "write")))
WIDTHS = st.sampled_from(("owners", "consumers", "everyone"))
POLICIES = st.builds(
    AccessPolicy,
    st.fixed_dictionaries(
        {
            name: st.builds(
                EnvironmentPolicy,
                st.just(name),
                VERBS,
                st.sampled_from(((), ("all",), ("declared",), ("read", "declared"))),
                VERBS,
                VERBS,
                st.sampled_from(("named", "same-system", "any")),
                st.sampled_from(("never", "declared")),
                REQUIREMENTS,
            )
            for name in ENVIRONMENTS
        }
    ),
    st.lists(st.builds(Role, st.just("role"), some(TEAMS), some(SCOPES).map(frozenset)), max_size=2).map(tuple),
    st.lists(st.builds(NamedScope, st.just("wide"), SELECTORS, LIMITS), max_size=1).map(tuple),
    st.lists(
        st.builds(
            Default, SELECTORS, st.sampled_from(("owners", "consumers", "everyone")), some(ENVIRONMENTS), st.just(HERE)
        ),
        max_size=1,
    ).map(tuple),
    st.lists(rules(), max_size=5).map(tuple),
)


@st.composite
def catalogs(draw: st.DrawFn) -> Catalog:
    teams = [Team(ref, ref, draw(some(TEAMS)), {}, HERE) for ref in TEAMS]
    people = [
        Person(ref, ref, (each, *draw(some(TEAMS, 1))), {}, HERE) for ref, each in zip(PEOPLE, TEAMS, strict=True)
    ]
    services = []
    for number in range(len(COMPONENTS)):
        client = f"client{number}"
        operations = tuple(draw(st.lists(OPERATIONS, max_size=7)))
        exposures = tuple(
            Exposure(name, f"{name}.example.com", f"/{number}", ("http://10.0.0.1",), HERE)
            for name in draw(some(ENVIRONMENTS))
        )
        services.append(
            service(
                f"service{number}",
                *operations,
                type=draw(st.sampled_from(("service", "website"))),
                owner=draw(st.sampled_from((*TEAMS, ""))),
                system=draw(st.sampled_from(("", "system:default/one"))),
                access=draw(st.sampled_from(("everyone", "consumers", "owners", ""))),
                allow_groups=draw(some(TEAMS)),
                allow_consumers=draw(some(COMPONENTS)),
                consumes=draw(some(APIS)),
                client_ids=draw(st.sampled_from(({"": client}, {"prod": client}, {"": "shared", "dev": client}))),
                exposures=exposures,
                has_definition=draw(st.sampled_from((True, True, False))),
            )
        )
    return catalog(*teams, *people, *services)


@st.composite
def callers(draw: st.DrawFn, table: Table, depth: int = 1) -> Principal:
    """A caller whose subjects are what the table says about a person or a workload."""
    kind = draw(st.sampled_from(("person", "person", "workload", "anonymous")))
    actors = (
        tuple(draw(callers(table, depth - 1)) for _ in range(draw(st.sampled_from((0, 0, 0, 0, 0, 1)))))
        if depth
        else ()
    )
    if kind == "anonymous":
        refusal = draw(st.sampled_from(("identity_required", "identity_unknown", "identity_ambiguous", "")))
        return Principal("anonymous", actors=actors, refusal=refusal)
    if kind == "person":
        ref = draw(st.sampled_from(PEOPLE))
    else:
        ref = table.workload(draw(st.sampled_from(("client0", "client1", "client2")))) or "component:default/unknown"
    client = draw(st.sampled_from((*[""] * 9, *COMPONENTS)))
    return Principal(
        kind,  # type: ignore[arg-type]  # drawn from the words of the type
        ref,
        table.subjects_of(ref),
        client_subjects=table.subjects_of(client) | ({client, ALL_WORKLOADS, EVERYONE} if client else frozenset()),
        actors=actors,
        scopes=frozenset(draw(some(SCOPES))),
        bounded=draw(st.booleans()),
        amr=frozenset(draw(some(("mfa",)))),
        auth_time=draw(st.sampled_from((0, 850, 901, 1000))),
        issuer=draw(st.sampled_from(("main", "other", ""))),
    )


CALLS = st.builds(Circumstances, st.sampled_from(("10.0.0.1", "::ffff:10.0.0.1", "192.0.2.1", "")), st.booleans())
NOW = 1000
BUILTIN = Builtin(
    "door.example.com", ("GET /",), ("GET /.stagedoor/api/v1/me",), ("GET /.stagedoor/api/v1/people",), TEAMS[:1]
)
