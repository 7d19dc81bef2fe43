"""The steps by which an exposure comes to keep an invariant, and that each takes no more than it must."""

from __future__ import annotations

import pytest

from policy.compile import exposure_frame
from policy.derive import derive
from policy.facts import ANONYMOUS, Operation, Permit, Principal
from policy.frames import NO_RULES, Rules
from policy.promises.invariants import invariants_in
from policy.promises.narrowing import rules_of
from policy.promises.promised import place_in
from policy.promises.universe import Universe
from policy.promises.withholding import Ground, Withheld, withheld
from policy.reading import Reader
from policy.statements import ANYONE, AccessPolicy, EnvironmentPolicy, PolicyRule, Selector
from policy.table import Exposure, Table
from tests.support.policy_worlds import HERE, catalog, person, service, team, world

OPERATIONS = tuple(
    Operation(*text.partition(" ")[::2], api="api:default/a") for text in ("GET /a", "POST /a", "GET /b/{x}")
)
FACTS = catalog(
    team("all"), team("owners", "all"), team("guests"), team("support"),
    person("jane", "owners"), person("joe", "guests", "support"), person("kim", "support"),
    service("a", *OPERATIONS, access="everyone", allow_groups=("group:default/support",)),
    service("site", access="everyone", has_definition=False),
)  # fmt: skip
PUBLIC = PolicyRule(
    "allow", (ANYONE,), Selector((("type", ("service",)),)), ("prod",), None, (("GET", ("a",)),), frozenset(), (),
    False, "because", HERE,
)  # fmt: skip


def held(said: str, name: str = "a", before: Rules | None = None) -> tuple[Withheld, Table]:
    """What is published of a service that breaks one invariant."""
    kind, _, line = said.partition(": ")
    invariants = invariants_in(Reader(lambda path: HERE), {kind: line}, ("dev", "prod"))
    policy = AccessPolicy({"prod": EnvironmentPolicy("prod", ("all",), (), ("read",), ("all",))}, rules=(PUBLIC,))
    derived, table = world(FACTS, policy)
    (published,) = (each for each in derived.published if each.service.ref.endswith(f"/{name}"))
    ground = Ground(place_in(published.service, published.operations), Universe(table.directory), invariants)
    frame = exposure_frame(published)
    assert ground.breaches(Exposure(frame)), "it is to be broken"
    found = withheld(frame, before, ground)
    assert ground.breaches(Exposure(found.frame)) == []
    return found, table


def who_may(found: Withheld, table: Table, call: str) -> set[str]:
    method, _, path = call.partition(" ")
    people = ("jane", "joe", "kim")
    callers = {name: Principal("person", name, table.subjects_of(f"user:default/{name}")) for name in people}
    callers["nobody"] = ANONYMOUS
    exposure = Exposure(found.frame)
    verdicts = {name: exposure.verdict(tuple(path[1:].split("/")), method, who, 0, {}) for name, who in callers.items()}
    return {name for name, verdict in verdicts.items() if isinstance(verdict, Permit)}


def test_never_becomes_a_deny_on_whom_it_is_about_and_nobody_else() -> None:
    found, table = held("never: guests write in prod")
    assert found.how == "enforced"
    (rule,) = found.denies
    assert (rule.subject, rule.source, rule.because) == ("group:default/guests", HERE, "`never: guests write in prod`")
    assert who_may(found, table, "POST /a") == {"jane", "kim"}
    assert who_may(found, table, "GET /b/1") == {"jane", "joe", "kim"}


@pytest.mark.parametrize("said", ["never: anyone any", "never: anyone GET /a", "never: anyone read"])
def test_what_is_open_to_the_public_is_closed_to_it_alone(said: str) -> None:
    found, table = held(said)
    assert who_may(found, table, "GET /a") == {"jane", "joe", "kim"}


def test_only_leaves_an_operation_to_whom_it_names() -> None:
    """Also where they had it as one of many: as owners, or with everybody."""
    found, table = held("only: support may POST /a")
    assert who_may(found, table, "POST /a") == {"joe", "kim"}
    assert who_may(found, table, "GET /b/1") == {"jane", "joe", "kim"}
    found, table = held("only: owners may GET /b/{y}")
    assert who_may(found, table, "GET /b/1") == {"jane"}
    found, table = held("only: all may any")
    assert who_may(found, table, "GET /a") == {"jane"}, "a team above is its members'"


def test_a_path_that_is_part_of_an_operation_is_nobodys() -> None:
    """The rest of the operation stays as it was."""
    found, table = held("only: owners may GET /admin/**", "site")
    assert who_may(found, table, "GET /admin/users") == set()
    assert who_may(found, table, "GET /shop") == {"jane", "joe", "kim"}


def test_what_was_in_force_before_comes_first() -> None:
    before = AccessPolicy({"prod": EnvironmentPolicy("prod", ("all",))})
    published = derive(FACTS, before, ("prod",)).published[0]
    found, table = held("never: guests any", before=rules_of(exposure_frame(published)))
    assert (found.how, found.denies) == ("narrowed", ())
    assert who_may(found, table, "POST /a") == {"jane"}, "the change as a whole is held"
    assert who_may(held("never: guests any", before=NO_RULES)[0], table, "GET /a") == set()
