"""Decisions, told as scenes; and the table's figures: memory, time, sharing."""

from __future__ import annotations

import gc
import marshal
import time
import tracemalloc
from dataclasses import replace
from typing import Any

import pytest

from policy import reference
from policy.compile import compile_frames
from policy.derive import derive
from policy.exposure import Exposure
from policy.facts import ANONYMOUS, Catalog, Operation, Permit, Principal, Refusal
from policy.frames import EMPTY_NODE, Frame, packed
from policy.paths import template_of
from policy.statements import AccessPolicy, EnvironmentPolicy, PolicyRule, Requirement, Selector
from policy.table import IN_USE, Match, Table
from policy.table_builder import TableBuilder
from tests.support.policy_worlds import (
    HERE,
    catalog,
    frames_of,
    key_at,
    person,
    placed,
    places,
    service,
    table_of,
    team,
    world,
)

READ, WRITE = (frozenset({"pay:read"}),), (frozenset({"pay:write"}), frozenset({"admin", "pay"}))
PAYMENTS = service(
    "pay",
    Operation("GET", "/payments", READ, "api:default/pay"),
    Operation("POST", "/payments", WRITE, "api:default/pay"),
    Operation("GET", "/payments/{id}", READ, "api:default/pay"),
    Operation("GET", "/payments/all", WRITE, "api:default/pay"),
    Operation("GET", "/refunds/{id}", READ, "api:default/pay"),
    Operation("GET", "/fees", (), "api:default/pay"),
    Operation("GET", "/odd", READ, "api:default/pay", unresolved=True),
    Operation("OPTIONS", "/fees", WRITE, "api:default/pay"),
    owner="group:default/payments",
    access="consumers",
    allow_consumers=("component:default/orders",),
    allow_groups=("group:default/support",),
)
FACTS = catalog(
    PAYMENTS,
    service("orders", consumes=("api:default/pay",), client_ids={"": "orders"}, exposures=()),
    service("staged", consumes=("api:default/pay",), client_ids={"dev": "staged"}, exposures=()),
    team("finance"), team("payments", "finance"), team("support"), team("contractors"),
    person("jane", "payments"), person("sue", "support"), person("con", "payments", "contractors"), person("nobody"),
)  # fmt: skip
PROD = EnvironmentPolicy(
    "prod", ("all",), ("declared",), ("read",), ("read",), requirements=(Requirement("person", "fresh", 100),)
)


def deny(subject: str, methods: frozenset[str] | None = None, *operations: tuple[str, str]) -> PolicyRule:
    named = tuple((method, template_of(path)) for method, path in operations)
    return PolicyRule("deny", (subject,), Selector(), (), methods, named, frozenset(), (), False, "No.", HERE)


POLICY = AccessPolicy({"prod": PROD}, rules=(deny("group:default/contractors"),))


def ask(who: Principal | str, asked: str, policy: AccessPolicy = POLICY, facts: Catalog = FACTS, **claims: Any) -> str:
    """The reason, with what is missing; the table and the definition must agree on all of it."""
    derived, table = world(facts, policy)
    method, path = asked.split()
    match = table.match("pay.example.com", tuple(path[1:].split("/")))
    assert isinstance(match, Match)
    if isinstance(who, str):
        kind = "person" if who.startswith("user:") else "workload"
        claims = {"auth_time": 950} | claims
        who = Principal(kind, who, table.subjects_of(who), **claims)  # type: ignore[arg-type]  # a word of the type
    verdict = table.decide(match, method, who, 1000)
    assert verdict == reference.decide(derived, match.exposure.key, match.segments, method, who, 1000)
    return " ".join([verdict.reason, *getattr(verdict, "need", ())])


JANE, SUE, CON, NOBODY = (f"user:default/{name}" for name in ("jane", "sue", "con", "nobody"))
ORDERS = "component:default/orders"


@pytest.mark.parametrize(
    ("who", "asked", "expected"),
    [
        (JANE, "GET /payments", "owner"),
        (JANE, "POST /payments", "owner"),
        (JANE, "HEAD /payments", "owner"),
        (JANE, "GET /payments/1", "owner"),
        (JANE, "GET /payments/all", "owner"),
        (JANE, "GET /payments/ALL", "owner"),
        (JANE, "DELETE /payments", "operation_unknown"),
        (JANE, "GET /payments/", "operation_unknown"),
        (JANE, "GET /payments/1.json", "owner"),
        (JANE, "GET /refunds/1", "owner"),
        (JANE, "GET /refunds/", "operation_unknown"),
        (JANE, "GET /odd", "scope_missing"),
        (JANE, "OPTIONS /fees", "owner"),
        (JANE, "OPTIONS /nothing", "operation_unknown"),
        (SUE, "GET /payments", "scope_missing pay:read"),
        (SUE, "GET /fees", "rule"),
        (SUE, "POST /payments", "no_rule"),
        (SUE, "OPTIONS /payments", "scope_missing pay:read"),
        (CON, "GET /payments", "denied"),
        (CON, "GET /nothing", "denied"),
        (NOBODY, "GET /payments", "no_rule"),
        (NOBODY, "GET /nothing", "no_rule"),
        (ORDERS, "GET /fees", "consumer"),
        (ORDERS, "GET /payments", "scope_missing pay:read"),
        ("component:default/staged@dev", "GET /fees", "no_rule"),
        (ANONYMOUS, "GET /fees", "identity_required"),
        (ANONYMOUS, "GET /nothing", "identity_required"),
        (Principal("anonymous", refusal="identity_unknown"), "GET /fees", "identity_unknown"),
        (Principal("anonymous", "x", frozenset({"group:default/payments"})), "GET /fees", "identity_required"),
    ],
)  # fmt: skip
def test_a_scene(who: Principal | str, asked: str, expected: str) -> None:
    """One service, its owners, a team it names, a consumer, a contractor, and people who have no right on it."""
    assert ask(who, asked) == expected


@pytest.mark.parametrize(
    ("claims", "asked", "expected"),
    [
        ({"auth_time": 0}, "GET /fees", "requirement_unmet max_age=100"),
        ({"auth_time": 900}, "GET /fees", "requirement_unmet max_age=100"),
        ({"auth_time": 901}, "GET /fees", "owner"),
        ({"bounded": True}, "GET /payments", "scope_missing pay:read"),
        ({"bounded": True}, "GET /fees", "owner"),
        ({"bounded": True, "scopes": frozenset({"pay:read"})}, "GET /payments", "owner"),
        ({"bounded": True, "scopes": frozenset({"admin"})}, "POST /payments", "scope_missing pay"),
        ({"bounded": True, "scopes": frozenset({"admin", "pay"})}, "POST /payments", "owner"),
        ({"bounded": True, "auth_time": 0}, "GET /payments", "scope_missing pay:read"),
        ({"bounded": True, "scopes": frozenset({"pay:read"})}, "GET /payments/1", "owner"),
        ({"bounded": True, "scopes": frozenset({"pay:read"})}, "GET /payments/ALL", "scope_missing pay:write"),
        ({"bounded": True, "scopes": frozenset({"pay:read"})}, "GET /payments/all.json", "scope_missing pay:write"),
        ({"bounded": True, "scopes": frozenset({"pay:read"})}, "GET /payments/all;v=1", "scope_missing pay:write"),
        ({"client_subjects": frozenset({"group:default/contractors"})}, "GET /fees", "denied"),
        ({"client_subjects": frozenset({ORDERS})}, "GET /fees", "owner"),
        ({"actors": (ANONYMOUS,)}, "GET /fees", "identity_required"),
        ({"actors": (Principal("person", "x", frozenset({"x"})),)}, "GET /fees", "no_rule"),
        ({"actors": (Principal("workload", ORDERS, frozenset({ORDERS})),)}, "GET /fees", "owner"),
        ({"actors": (Principal("workload", ORDERS, frozenset({ORDERS}), actors=(ANONYMOUS,)),)}, "GET /fees",
         "identity_required"),
        ({"actors": (Principal("workload", ORDERS, frozenset({ORDERS})),), "auth_time": 0}, "GET /fees",
         "requirement_unmet max_age=100"),
    ],
)  # fmt: skip
def test_what_the_owner_s_token_says(claims: dict[str, Any], asked: str, expected: str) -> None:
    """Freshness is half-open; a bounded token has its own scopes alone, and needs those of a literal sibling, too, that
    its path comes near; clients and actors count."""
    assert ask(JANE, asked, **claims) == expected


@pytest.mark.parametrize(
    ("rule", "asked", "expected"),
    [
        (deny("group:default/payments", frozenset({"GET"})), "GET /fees", "denied"),
        (deny("group:default/payments", frozenset({"GET"})), "POST /payments", "owner"),
        (deny("group:default/payments", frozenset({"GET"})), "HEAD /fees", "denied"),
        (deny("group:default/payments", frozenset({"HEAD"})), "HEAD /fees", "denied"),
        (deny("group:default/payments", frozenset({"OPTIONS"})), "OPTIONS /fees", "denied"),
        (deny("group:default/payments", None, ("GET", "/FEES")), "GET /fees", "denied"),
        (deny("group:default/payments", None, ("GET", "/payments/all")), "GET /payments/all.json", "denied"),
        (deny("group:default/payments", None, ("GET", "/payments/all")), "GET /payments/1", "owner"),
        (deny("group:default/payments", None, ("GET", "/gone")), "GET /Gone/", "denied"),
        (deny("group:default/payments", None, ("POST", "/fees")), "GET /fees", "owner"),
        (deny("all-people"), "GET /fees", "denied"),
        (deny("all-workloads"), "GET /fees", "owner"),
    ],
)  # fmt: skip
def test_a_deny(rule: PolicyRule, asked: str, expected: str) -> None:
    """It holds over every permit; by path it also holds for whatever comes near."""
    assert ask(JANE, asked, replace(POLICY, rules=(rule,))) == expected


def test_a_deny_is_not_told_to_who_has_no_right() -> None:
    """Without a right on the exposure the answer is the same whatever exists, is denied, or not."""
    assert ask(NOBODY, "GET /fees", replace(POLICY, rules=(deny("all-people"),))) == "no_rule"


# --------------------------------------------------------------------------------------------------- match


def test_the_longest_prefix_wins_by_whole_segments() -> None:
    table = places("/", "/v1", "/v1/pay")
    found = [key_at(table, "a.example.com", path) for path in ("/", "/v1", "/v1/", "/v1/payments", "/v1/pay/x", "/V1")]
    assert found == [f"component:default/s{n}@prod" for n in (0, 1, 1, 1, 2, 0)]


def test_a_path_outside_every_prefix_belongs_to_nobody() -> None:
    table = places("/v1")
    assert key_at(table, "a.example.com", "/v2") == ""
    assert key_at(table, "b.example.com", "/v1") == "host_unknown"


def test_an_exact_host_beats_a_wildcard_of_one_label() -> None:
    table = places("/", host="*.example.com")
    assert key_at(table, "a.example.com", "/") == "component:default/s0@prod"
    assert key_at(table, "a.b.example.com", "/") == "host_unknown"
    both = table_of(frames_of(placed("exact", "/")), table)
    assert key_at(both, "a.example.com", "/") == "component:default/exact@prod"
    assert key_at(both, "b.example.com", "/") == "component:default/s0@prod"


def test_nothing_is_allowed_before_the_first_base() -> None:
    empty = Table.allow_none()
    assert not empty.ready
    assert empty.match("a.example.com", ("",)) == Refusal("host_unknown")
    assert empty.subjects_of("user:default/jane") == frozenset()
    assert empty.person("i", "sub", "x") is None
    assert empty.team("i", "groups", "x") is None
    assert empty.workload("x") is None
    assert empty.team_subjects("group:default/a") == frozenset()


# ------------------------------------------------------------------------------------------------- figures


def many(services: int) -> dict[str, Frame]:
    """Frames of services with 20 operations each; nothing of a path or name is shared between two of them."""
    facts = catalog(
        *(
            service(
                f"s{n}",
                *(
                    Operation(method, f"/things{part}of{n}{rest}", (frozenset({f"s{n % 50}"}),), f"api:default/a{n}")
                    for part in range(5)
                    for rest, methods in (("", ("GET", "POST")), ("/{id}", ("GET", "DELETE")))
                    for method in methods
                ),
                access="everyone",
                owner=f"group:default/t{n % 300}",
                consumes=(f"api:default/a{n - 1}",),
                allow_consumers=(f"component:default/s{n + 1}",),
            )
            for n in range(services)
        )
    )
    prod = EnvironmentPolicy("prod", ("all",), ("declared",), ("read",), requirements=(Requirement("person", "mfa"),))
    derived = derive(facts, AccessPolicy({"prod": prod}, rules=(deny("group:default/contractors"),)), ("prod",))
    return compile_frames(facts, derived, ())


def test_a_service_of_twenty_operations_costs_under_4_kb() -> None:
    """Ten thousand of them stay under 40 MB. Allocations are counted, not resident pages: the figure is exact."""
    blobs = {name: marshal.dumps(frame, 2) for name, frame in many(300).items() if name.startswith("exposure/")}
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        builder = TableBuilder(Table.allow_none())
        for name, blob in blobs.items():
            builder.put(name, marshal.loads(blob))
        table = builder.finish()
        del builder
        gc.collect()
        used = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert len(table.exposures) == 300
    assert used / 300 < 4_000


@pytest.mark.slow
def test_only_so_many_services_are_kept_open() -> None:
    """What is in use costs memory, however many services are asked for in turn, and closing one changes no answer."""
    frame = next(frame for name, frame in many(1).items() if name.startswith("exposure/"))
    builder = TableBuilder(Table.allow_none())
    for number in range(IN_USE + 10):
        key, host = f"component:default/s{number}@prod", f"s{number}.example.com"
        builder.put(f"exposure/{key}", (frame[0], key, *frame[2:4], host, *frame[5:]))
    table = builder.finish()
    who = Principal("person", "u", frozenset({"u", "everyone"}), scopes=frozenset({"s0"}), amr=frozenset({"mfa"}))

    def ask(number: int) -> object:
        match = table.match(f"s{number}.example.com", ("things0of0", "7"))
        assert isinstance(match, Match)
        return table.decide(match, "GET", who, 0)

    first = ask(0)
    assert isinstance(first, Permit), first
    for number in range(1, IN_USE + 10):
        ask(number)
    opened = [exposure for exposure in table.exposures.values() if exposure.opened is not None]
    assert len(opened) == len(table.in_use) == IN_USE
    assert ask(0) == first


def test_services_with_equal_paths_share_one_tree_and_nothing_else() -> None:
    """In every environment a service has the same paths; who may is each exposure's own."""
    frames = [frame for name, frame in many(3).items() if name.startswith("exposure/")]
    rules = [Exposure(frame).rules() for frame in frames]
    builder = TableBuilder(Table.allow_none())
    for number, tree in enumerate((rules[0].tree, rules[0].tree, rules[1].tree)):
        mixed = packed(rules[number]._replace(tree=tree))
        key = f"component:default/s{number}@prod"
        builder.put(f"exposure/{key}", (*frames[0][:1], key, *frames[number][2:-1], mixed))
    table = builder.finish()
    for each in table.exposures.values():
        match = table.match(each.host, ("none",))
        assert isinstance(match, Match)
        table.decide(match, "GET", Principal("person", "u", frozenset({"u"})), 0)
    one, other, third = [each.opened for each in table.exposures.values()]
    assert one is not None and other is not None and third is not None
    assert one.tree is other.tree and third.tree == rules[1].tree
    assert (one.permits, other.permits) == (rules[0].permits, rules[1].permits) and one.permits != other.permits
    assert len(table.trees) == 2


def test_the_memory_of_shared_trees_is_bounded() -> None:
    """It starts afresh, so that trees that nobody has any more go at last."""
    table = places("/")
    table.trees.update({b"%d" % number: EMPTY_NODE for number in range(IN_USE + 1)})
    match = table.match("a.example.com", ("",))
    assert isinstance(match, Match)
    table.decide(match, "GET", Principal("person", "u", frozenset({"u"})), 0)
    assert len(table.trees) <= 1


def test_deciding_allocates_the_answer_and_nothing_else() -> None:
    """A thousand plain permits leave nothing behind that was not there before."""
    table = table_of(many(2))
    match = table.match("s1.example.com", ("things1of1", "7"))
    assert isinstance(match, Match)
    who = Principal("person", "u", frozenset({"u", "everyone", "group:default/t1"}), amr=frozenset({"mfa"}))
    permit = table.decide(match, "GET", who, 0)
    assert isinstance(permit, Permit)
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(1000):
            table.decide(match, "GET", who, 0)
        assert tracemalloc.get_traced_memory()[0] - before < 500
    finally:
        tracemalloc.stop()


@pytest.mark.bench
@pytest.mark.parametrize("services", [100, 10_000])
def test_match_and_decide_take_under_a_microsecond(services: int) -> None:
    table = table_of(many(services))
    who = Principal("person", "u", frozenset({"u", "everyone", "group:default/t1"}), amr=frozenset({"mfa"}))
    host, path = "s1.example.com", ("things1of1", "7")
    best = 1.0
    for _ in range(200):
        started = time.perf_counter()
        for _ in range(1000):
            table.decide(table.match(host, path), "GET", who, 0)  # type: ignore[arg-type]  # the host is known
        best = min(best, (time.perf_counter() - started) / 1000)
    assert best < 1e-6
