"""Random companies from a seed: access policies as documents, catalogs, callers and requests.

Everything comes of one `random.Random`, so a number names a world for good. Worlds are small and crowded on purpose:
few teams, scopes and path segments, so that statements meet, overlap and contradict each other. Access policies are
drawn as what people write and read by the reader, so every key of the language has its turn.
"""

from __future__ import annotations

from random import Random
from typing import Any, Literal

from policy.access import read_policy
from policy.facts import (
    ALL_WORKLOADS,
    EVERYONE,
    Catalog,
    Circumstances,
    Exposure,
    Instance,
    Operation,
    Person,
    Principal,
    Service,
    Source,
    Team,
)
from policy.paths import METHODS
from policy.statements import AccessPolicy
from policy.table import Table

HERE = Source("random.yaml", 1)
NOW = 1000
ENVIRONMENTS = ("dev", "prod")
TEAMS = tuple(f"group:default/t{number}" for number in range(5))
PEOPLE = tuple(f"user:default/p{number}" for number in range(5))
COMPONENTS = tuple(f"component:default/s{number}" for number in range(6))
APIS = tuple(f"api:default/a{number}" for number in range(4))
SCOPES = ("r", "w", "x", "wide")
VERBS = ("read", "write", "all")
#: What a selector may ask for, and the values that services here have (or just do not have).
SELECTORS = {
    "service": COMPONENTS,
    "system": ("shop", "bank", "none"),
    "domain": ("money", "none"),
    "type": ("service", "website", "library"),
    "tag": ("pci", "old", "none"),
    "api": APIS,
}
PARTS = ("a", "b", "B", "a.json", "{x}", "{y}", "a{z}", "{w}.json")
TEXTS = ("a", "a", "b", "A", "B", "a.json", "A.JSON", "b;v=1", "ab", "c", "", "a.x;y", "a%2Fb", "%61", "x")
METHOD_SETS = (["GET"], ["GET", "HEAD"], ["POST"], ["POST", "OPTIONS"], ["PUT", "DELETE"], ["HEAD"])


def maybe(rng: Random, chance: float) -> bool:
    return rng.random() < chance


def some(rng: Random, values: tuple[Any, ...], least: int = 0, most: int = 2) -> list[Any]:
    return rng.sample(values, rng.randint(least, min(most, len(values))))


# ------------------------------------------------------------------------------------------ access policies


def policy(rng: Random) -> AccessPolicy:
    """A policy without a fault; a document that the reader refuses fails here."""
    read, faults = read_policy(document(rng), lambda path: HERE)
    assert faults == [], faults
    return read


def document(rng: Random) -> dict[str, Any]:
    return {
        "version": 1,
        "environments": {name: _environment(rng) for name in ENVIRONMENTS},
        "roles": {
            f"role{number}": {"groups": some(rng, TEAMS, 1), "scopes": some(rng, SCOPES, 1)}
            for number in range(rng.randint(0, 2))
        },
        "scopes": {"wide": {**selector(rng, least=1), **_limit(rng)}} if maybe(rng, 0.5) else {},
        "defaults": [_default(rng) for _ in range(rng.randint(0, 2))],
        "rules": [_rule(rng) for _ in range(rng.randint(1, 7))],
    }


def _environment(rng: Random) -> dict[str, Any]:
    keys: dict[str, Any] = {
        "owners": some(rng, VERBS, 0, 2),
        "consumers": some(rng, (*VERBS, "declared", "declared"), 0, 2),
        "everyone": some(rng, VERBS, 0, 1),
        "groups": some(rng, VERBS, 0, 2),
        "consent": rng.choice(("named", "same-system", "any", "any")),
        "public": rng.choice(("never", "declared", "declared")),
        "temporary": {"longest": "8h", "approvers": ["owners", TEAMS[0]], "reason": "optional"},
    }
    if maybe(rng, 0.4):
        keys["people"] = {"require": _people(rng)}
    if maybe(rng, 0.4):
        keys["workloads"] = {"require": _programs(rng)}
    return {key: value for key, value in keys.items() if maybe(rng, 0.85)}


def _people(rng: Random) -> list[Any]:
    return some(rng, ("mfa", "mfa", {"fresh": "100s"}), 1, 2)


def _programs(rng: Random) -> list[Any]:
    known = ({"issuer": "main"}, {"issuer": ["main", "other"]}, {"network": ["10.0.0.0/8", "::1/128"]}, "certificate")
    return some(rng, known, 1, 2)


def selector(rng: Random, least: int = 0) -> dict[str, Any]:
    keys = rng.choices(sorted(SELECTORS), k=rng.choice((least, 1, 1, 2)))
    return {key: some(rng, SELECTORS[key], 1, 3) for key in keys}


def _limit(rng: Random) -> dict[str, Any]:
    return {"methods": rng.choice(METHOD_SETS)} if maybe(rng, 0.4) else {}


def _default(rng: Random) -> dict[str, Any]:
    where = {"in": some(rng, ENVIRONMENTS, 1)} if maybe(rng, 0.5) else {}
    chosen = selector(rng)
    which = {"for": chosen} if chosen else {}
    return {**which, "access": rng.choice(("owners", "consumers", "everyone", "everyone")), **where}


def _rule(rng: Random) -> dict[str, Any]:
    named = (*TEAMS, *TEAMS, *PEOPLE[:2], *COMPONENTS[:3], "all-people", "all-workloads")
    if maybe(rng, 0.25):
        return {"deny": some(rng, named, 1), **_deny(rng), "because": "A reason."}
    where = {"to": selector(rng, least=1), "in": some(rng, ENVIRONMENTS, 1), "because": "A reason."}
    if maybe(rng, 0.2):
        return {"allow": "anyone", **where, "operations": _named(rng)}
    limits: dict[str, Any] = {"operations": _named(rng)} if maybe(rng, 0.35) else _limit(rng)
    if maybe(rng, 0.4):
        limits["scopes"] = some(rng, SCOPES, 1)
    if maybe(rng, 0.4):
        limits["require"] = rng.choice((_people(rng), {"people": _people(rng), "workloads": _programs(rng)}))
    return {"allow": some(rng, named, 1, 3), **where, **limits}


def _deny(rng: Random) -> dict[str, Any]:
    keys: dict[str, Any] = {"to": selector(rng, least=1)} if maybe(rng, 0.8) else {}
    if maybe(rng, 0.6):
        keys["in"] = some(rng, ENVIRONMENTS, 1)
    if maybe(rng, 0.2):
        keys["except"] = ["grants"]
    return keys | ({"operations": _named(rng)} if maybe(rng, 0.4) else _limit(rng))


def _named(rng: Random) -> list[str]:
    return [f"{rng.choice(METHODS)} {template(rng)}" for _ in range(rng.randint(1, 3))]


def template(rng: Random) -> str:
    parts = [rng.choice(PARTS) for _ in range(rng.choice((0, 1, 1, 2, 2, 3)))]
    return "/" + "/".join(parts + rng.choice(([], [], [], ["**"], [""] if parts else [])))


# ------------------------------------------------------------------------------------------ catalogs


def catalog(rng: Random) -> Catalog:
    teams = {ref: Team(ref, ref, tuple(some(rng, TEAMS)), {}, HERE) for ref in TEAMS}
    people = {ref: Person(ref, ref, tuple(some(rng, TEAMS, 0, 2)), {}, HERE) for ref in PEOPLE}
    return Catalog(people, teams, {ref: _service(rng, number, ref) for number, ref in enumerate(COMPONENTS)})


def _service(rng: Random, number: int, ref: str) -> Service:
    apis = tuple(sorted(some(rng, APIS, 0, 2)))
    client = f"client{number}"
    system = rng.choice(("", "system:default/shop", "system:default/bank"))
    return Service(
        ref=ref,
        title=ref,
        type=rng.choice(("service", "website")),
        owner=rng.choice((*TEAMS, "")),
        system=system,
        domain="domain:default/money" if system == "system:default/bank" else "",
        tags=tuple(some(rng, ("pci", "old"))),
        access=rng.choice(("everyone", "everyone", "consumers", "consumers", "owners", "", "")),
        allow_groups=tuple(some(rng, TEAMS)),
        allow_consumers=tuple(some(rng, COMPONENTS)),
        provides=apis,
        consumes=tuple(some(rng, APIS, 0, 3)),
        client_ids=rng.choice(({"": client}, {"": client}, {"prod": client}, {"": "shared", "dev": client}, {})),
        exposures=tuple(_exposure(rng, number, name) for name in some(rng, ENVIRONMENTS, 1)),
        operations=tuple(_operation(rng, apis) for _ in range(rng.randint(0, 8))),
        has_definition=maybe(rng, 0.75),
        options=frozenset({"trailing-slash-same"}) if maybe(rng, 0.2) else frozenset(),
        source=HERE,
        instance=Instance(COMPONENTS[0], rng.choice(ENVIRONMENTS), maybe(rng, 0.5)) if ref == COMPONENTS[-1] else None,
    )


def _exposure(rng: Random, number: int, environment: str) -> Exposure:
    """Some on a host of their own, some on one host by prefix, one for every name below another."""
    host, prefix = rng.choice(
        (
            (f"s{number}.{environment}.test", "/"),
            (f"{environment}.test", rng.choice((f"/{number}", f"/{number}/a", "/a"))),
            (f"*.{environment}.test", rng.choice(("/", "/w"))),
        )
    )
    return Exposure(environment, host, prefix, ("http://10.0.0.1",), HERE, common=True)


def _operation(rng: Random, apis: tuple[str, ...]) -> Operation:
    scopes = rng.choice(((), (), ("r",), ("w", "r x"), ("r w",)))
    return Operation(
        rng.choice(("GET", "GET", "POST", "POST", "DELETE", "PUT", "PATCH", "HEAD", "OPTIONS")),
        template(rng),
        tuple(frozenset(each.split()) for each in scopes),
        rng.choice(apis) if apis else "",
        unresolved=maybe(rng, 0.06),
        public=maybe(rng, 0.25),
        source=HERE,
    )


# ------------------------------------------------------------------------------------------ callers and requests


def caller(rng: Random, table: Table, depth: int = 1) -> Principal:
    """Whom the directory knows, or nobody; sometimes through a client, sometimes with others acting."""
    actors = (caller(rng, table, depth - 1),) if depth and maybe(rng, 0.08) else ()
    kinds: tuple[Literal["person", "workload", "anonymous"], ...] = ("person", "workload", "anonymous")
    kind = rng.choices(kinds, (5, 3, 1))[0]
    if kind == "anonymous":
        refusal = rng.choice(("identity_required", "identity_unknown", "identity_ambiguous", ""))
        return Principal("anonymous", actors=actors, refusal=refusal)
    ref = rng.choice(PEOPLE)
    if kind == "workload":
        ref = table.workload(f"client{rng.randrange(len(COMPONENTS))}") or COMPONENTS[0]
    client = rng.choice(COMPONENTS) if maybe(rng, 0.1) else ""
    of_client = table.subjects_of(client) | {client, ALL_WORKLOADS, EVERYONE} if client else frozenset()
    return Principal(
        kind,
        ref,
        table.subjects_of(ref),
        client_subjects=of_client,
        actors=actors,
        scopes=frozenset(some(rng, SCOPES)),
        bounded=maybe(rng, 0.35),
        amr=frozenset({"mfa"} if maybe(rng, 0.6) else ()),
        auth_time=rng.choice((0, 850, 901, 1000)),
        issuer=rng.choice(("main", "main", "other", "")),
    )


def circumstances(rng: Random) -> Circumstances:
    return Circumstances(rng.choice(("10.0.0.1", "::ffff:10.0.0.1", "::1", "192.0.2.1", "")), maybe(rng, 0.5))


def host_and_target(rng: Random, exposures: list[Exposure]) -> tuple[str, bytes]:
    """Mostly below a prefix that is there, on its host or on one that a wildcard may stand for."""
    exposure = rng.choice(exposures)
    host = exposure.host.replace("*", rng.choice(("one", "s1", "two.three")))
    if maybe(rng, 0.05):
        host = rng.choice(("unknown.test", "a.b.dev.test", "*.dev.test"))
    prefix = exposure.prefix.rstrip("/") if maybe(rng, 0.92) else rng.choice(("", "/0", "/other"))
    below = [rng.choice(TEXTS) for _ in range(rng.choice((0, 1, 1, 2, 2, 3)))]
    return host, (f"{prefix}/{'/'.join(below)}" if below or maybe(rng, 0.8) else prefix or "/").encode()


def request_to(rng: Random, operation: Operation, prefix: str) -> bytes:
    """A path to an operation, its variables filled; sometimes in another spelling."""
    text = operation.template.replace("**", rng.choice(("", "t", "t/u")))
    for name in "xyzw":
        text = text.replace("{" + name + "}", rng.choice(("v", "a", "b.json", "B")))
    if maybe(rng, 0.25):
        text = rng.choice((text.upper(), text.rstrip("/") or "/", text + "/", text + ".pdf", text.replace("a", "%61")))
    return (prefix.rstrip("/") + text).encode()
