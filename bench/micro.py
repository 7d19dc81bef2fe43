"""The hot functions alone: time per call, calls made inside, bytes allocated at the peak.

`python -m bench.micro` prints the table. Times hold for this machine and this hour; calls and bytes are the same
everywhere, so the tests hold those against `bench/budgets.toml`. A :class:`Subject` is a call without arguments
whose inputs were prepared before: the request of the bench, one verified token, a table of so many services.
"""

from __future__ import annotations

import gc
import sys
import timeit
import tomllib
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric import rsa

from bench.credentials import claims, jwks, signed
from bench.ground import AUDIENCE, BENCH, DOMAIN, ISSUER
from bench.traffic import head as request_bytes
from bench.traffic import host
from gateway.config import Issuer, Limits, MatchField
from gateway.http1.forward import AnswerRules, answer_head, read_answer, request_head
from gateway.http1.forwarded import forwarded_block
from gateway.http1.head import HeadRules, read_head
from gateway.http1.request import Head
from gateway.http1.target import read_target
from gateway.identity.issuers import IssuerTable
from gateway.identity.jwks import KeyRing, read_jwks
from gateway.identity.principal import header_block
from gateway.identity.tokens import Verified, verify
from policy.access import read_policy
from policy.compile import compile_frames
from policy.derive import derive
from policy.facts import (
    ALL_PEOPLE,
    EVERYONE,
    Catalog,
    Exposure,
    Operation,
    Permit,
    Person,
    Principal,
    Service,
    Source,
    Team,
)
from policy.table import Match, Table
from policy.table_builder import TableBuilder

NOW = 1_800_000_000
TEAMS = 20
NOWHERE = Source("bench")
TEMPLATES = (
    "/orders", "/orders/{id}", "/orders/{id}/lines", "/customers", "/customers/{id}", "/status",
    "/reports/{year}/{month}", "/search", "/large", "/exports/{id}",
)  # fmt: skip


class Subject(NamedTuple):
    """What is timed. ``per`` is how many units of work one call does."""

    name: str
    call: Callable[[], object]
    per: int = 1


# ---- a table of any size ----


def _service(number: int) -> Service:
    name = f"component:default/svc-{number:05}"
    team = f"group:default/team-{number % TEAMS}"
    operations = tuple(Operation(verb, f"/v1{path}") for path in TEMPLATES for verb in ("GET", "POST"))
    exposure = Exposure("prod", host(number), "/", ("http://127.0.0.1:8080",), NOWHERE)
    return Service(
        name, name, "service", team, "", "", (), "", (), (), (), (), {}, (exposure,), operations, has_definition=True
    )


def table_of(services: int) -> Table:
    teams = {f"group:default/team-{n}": Team(f"group:default/team-{n}", "", (), {}, NOWHERE) for n in range(TEAMS)}
    jane = Person("user:default/jane", "Jane", ("group:default/team-0",), {"metadata.name": "jane"}, NOWHERE)
    published = {service.ref: service for service in map(_service, range(services))}
    catalog = Catalog({jane.ref: jane}, teams, published)
    document = {"version": 1, "environments": {"prod": {"owners": ["all"]}}}
    policy, faults = read_policy(document, lambda path: NOWHERE)
    assert not faults, faults
    frames = compile_frames(catalog, derive(catalog, policy, ("prod",)), ())
    builder = TableBuilder(Table.allow_none())
    for name, frame in frames.items():
        builder.put(name, frame)
    return builder.finish()


def jane() -> Principal:
    subjects = frozenset(("user:default/jane", "group:default/team-0", ALL_PEOPLE, EVERYONE))
    return Principal("person", "user:default/jane", subjects, issuer="bench", subject="jane")


def decisions(services: int, asked_services: int = 50) -> Subject:
    """match + decide over services that Jane's team owns, spread over the table, four paths each, all permitted.

    Fifty is what one token of the bench asks for. With hundreds in turn the processor's caches hold none of them,
    and memory is what is measured.
    """
    table, principal = table_of(services), jane()
    owned = range(0, services, TEAMS)
    paths = (("v1", "orders"), ("v1", "orders", "48151623"), ("v1", "status"), ("v1", "reports", "2026", "11"))
    asked = [(host(number), path) for number in owned[:: max(1, len(owned) // asked_services)] for path in paths]

    def decide_all() -> None:
        match, decide = table.match, table.decide
        for name, segments in asked:
            decide(match(name, segments), "GET", principal, NOW)  # type: ignore[arg-type]  # always a Match here

    for name, segments in asked:
        found = table.match(name, segments)
        assert isinstance(found, Match), found
        assert isinstance(table.decide(found, "GET", principal, NOW), Permit), (name, segments)
    return Subject(f"match + decide, {services:,} services, {len(asked) // len(paths)} asked", decide_all, len(asked))


# ---- one request ----


def _fields(text: bytes) -> list[tuple[bytes, bytes]]:
    pairs = (line.partition(b": ") for line in text.rstrip().split(b"\r\n")[1:])
    return [(name, value) for name, _, value in pairs]


def request_subjects() -> Iterator[Subject]:
    key = rsa.generate_private_key(65537, 2048)
    token = signed(key, claims(0, NOW))
    issuer = Issuer("bench", ISSUER, (AUDIENCE,), algorithms=("RS256",), match=(MatchField("sub", "metadata.name"),))
    issuers = IssuerTable.from_settings((issuer,))
    found, _ = read_jwks(jwks(key).encode(), ("RS256",))
    ring = KeyRing().with_issuer("bench", found, NOW)
    fields = _fields(request_bytes(0, "/", token))
    rules, answer_rules = HeadRules(Limits()), AnswerRules()
    head = read_head(b"GET", b"/v1/orders/48151623", "1.1", fields, rules, True)
    assert isinstance(head, Head), head
    principal = jane()
    identity, forwarded = header_block(principal), forwarded_block("203.0.113.57", "https")
    answer_fields = [
        (b"Server", b"upstream"), (b"Date", b"Thu, 01 Jan 2026 00:00:00 GMT"), (b"Content-Type", b"application/json"),
        (b"Cache-Control", b"private, no-store"), (b"ETag", b'"6f1c-5e2"'), (b"Vary", b"Accept-Encoding"),
        (b"X-Content-Type-Options", b"nosniff"), (b"Content-Length", b"1024"),
    ]  # fmt: skip
    answer = read_answer(200, "1.1", answer_fields, "GET", answer_rules)
    raw = token.encode()
    number = iter(range(10_000_000, 10**9))
    first = verify(raw, issuers, ring, NOW + 60)
    assert isinstance(first, Verified), first
    yield Subject("read_target, seen", lambda: read_target(b"/v1/orders/48151623?limit=20", "GET"))
    yield Subject("read_target, new", lambda: read_target(b"/v1/orders/%d" % next(number), "GET"))
    yield Subject("read_head", lambda: read_head(b"GET", b"/v1/orders/48151623", "1.1", fields, rules, True))
    yield Subject("request_head", lambda: request_head(head, identity, forwarded, b"a1b2-3c4d"))
    yield Subject("read_answer", lambda: read_answer(200, "1.1", answer_fields, "GET", answer_rules))
    yield Subject("answer_head", lambda: answer_head(answer, 11, False, b"a1b2-3c4d"))  # type: ignore[arg-type]  # an Answer
    yield Subject("header_block", lambda: header_block(principal))
    yield Subject("verify", lambda: verify(raw, issuers, ring, NOW + 60))


def subjects() -> list[Subject]:
    """Everything with a budget. The table is small here: its budget is about calls and bytes, not about caches."""
    return [*request_subjects(), decisions(100)]


# ---- measuring ----


def time_us(subject: Subject) -> float:
    """The best of seven runs of about a tenth of a second each: what the code costs when nothing disturbs it."""
    timer = timeit.Timer(subject.call)
    number, took = timer.autorange()
    number = max(1, int(number * 0.1 / took))
    return min(timer.repeat(7, number)) / number / subject.per * 1e6


def calls(subject: Subject) -> float:
    """Python and C calls made by one unit of work, itself included."""
    counted = 0

    def count(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal counted
        counted += event in ("call", "c_call")

    subject.call()
    gc.disable()
    sys.setprofile(count)
    try:
        subject.call()
    finally:
        sys.setprofile(None)
        gc.enable()
    return round((counted - 1) / subject.per, 2)  # without the call that ends the profile


def peak_bytes(subject: Subject) -> int:
    """What one call holds at most beyond what was held before it."""
    subject.call()
    gc.disable()  # what it frees, and calls, is others'
    tracemalloc.start()
    try:
        subject.call()
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        subject.call()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
        gc.enable()


def budgets() -> Mapping[str, Mapping[str, float]]:
    return tomllib.loads((BENCH / "budgets.toml").read_text())


def decide_figures() -> dict[str, float]:
    """match + decide for the table of results, by number of services."""
    found = {f"decide_{services}_us": time_us(decisions(services)) for services in (100, 10_000)}
    found["decide_10000_in_turn_us"] = time_us(decisions(10_000, 500))
    return {name: round(value, 3) for name, value in found.items()}


def main() -> None:
    ceilings = budgets()
    print(f"{'':44}{'µs':>9}{'ceiling':>9}{'calls':>8}{'bytes':>8}")
    for subject in (*subjects(), decisions(10_000), decisions(10_000, 500)):
        ceiling = ceilings.get(subject.name, {}).get("time_us")
        limit = f"{ceiling:.2f}" if ceiling else "—"
        print(f"{subject.name:44}{time_us(subject):9.3f}{limit:>9}{calls(subject):8.1f}{peak_bytes(subject):8}")
    print(f"hosts under {DOMAIN}, python {sys.version.split()[0]}")


if __name__ == "__main__":
    main()
