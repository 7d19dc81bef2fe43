"""Promise: what says nothing never widens. Wherever somebody may have meant to narrow (the access policy, annotations,
fields of the catalog, definitions), an empty, blank or wrong value or entry of a list is told, and permits nobody more
than the value that was meant: all places, all slips, in a company where each of those words narrows something.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.narrowing import DEFINITION, POLICY, Company, Entities, entities, places, policy_of, replaced

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
SLIPS: tuple[Any, ...] = (None, [], {}, "", " ", False, [None], [""], [{}], {"": None})
BLANKS = ("", " ", "\t", ",", " , ")  # of an annotation: it is a text
NAMES = (("kind",), ("metadata", "name"), ("metadata", "namespace"))  # of whom the entry speaks, and not what it says
#: Backstage's own way of saying that there are none of these.
NONE_OF_THEM = (("metadata", "tags"), ("spec", "providesApis"), ("metadata", "annotations"))
MEMBERSHIPS = ("memberOf", "children", "members", "parent")  # to be in none is what somebody who left says
LIKE_OTHERS = ("base", "payments", "support", "jane", "sam")  # entities that say nothing that no other one says
STATED = "security"  # `[]` and `{}` say that none is needed


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Company:
    company = Company(tmp_path_factory.mktemp("narrowing"))
    assert len(company.before.permitted) > 300
    return company


def slips_in(document: Any) -> Iterator[tuple[tuple[Any, ...], object]]:
    for path in places(document):
        yield from ((path, slip) for slip in SLIPS if path)


def is_a_statement(path: tuple[Any, ...], slip: object) -> bool:
    """Whether a policy says so in so many words: a part of it that holds nothing, an environment that is worth
    nothing."""
    return len(path) == 1 or (path[0] == "environments" and len(path) == 2 and slip == {})


def test_a_slip_in_the_access_policy_is_a_fault_or_permits_no_more(company: Company) -> None:
    wider, taken = [], 0
    for path, slip in slips_in(POLICY):
        policy, faults = policy_of(replaced(POLICY, path, slip))
        if faults or is_a_statement(path, slip):
            continue
        taken += 1
        if path[0] in ("never", "only") or company.with_policy(policy).more_than(company.before):
            wider.append((path, slip))
    assert wider == []
    assert taken, "some slips take rights away, such as `owners: []`, and are taken"


@pytest.mark.parametrize("key", ["never", "only"])
def test_an_invariant_with_a_slip_is_never_another_invariant(key: str) -> None:
    """An invariant about nobody, or nowhere, would hold whatever is permitted."""
    meant = policy_of(POLICY)[0].invariants
    for path, slip in slips_in(POLICY[key]):
        policy, faults = policy_of({**POLICY, key: replaced(POLICY[key], path, slip)})
        assert faults or policy.invariants == meant, (path, slip)


def test_a_blank_annotation_is_told_and_permits_no_more(company: Company) -> None:
    wrong = []
    for name, key in _annotations():
        for blank in BLANKS:
            changed: Entities = entities()
            changed[name]["metadata"]["annotations"][key] = blank
            outcome = company.with_entities(changed)
            if not outcome.faults - company.before.faults or outcome.more_than(company.before):
                wrong.append((name, key, blank, sorted(outcome.more_than(company.before))[:2]))
    assert wrong == []


def _annotations() -> list[tuple[str, str]]:
    found = [
        (name, key) for name, document in entities().items() for key in document["metadata"].get("annotations", ())
    ]
    assert len(found) > 20
    return found


def test_a_slip_in_an_entity_permits_no_more(company: Company) -> None:
    wider = []
    for name, document in entities().items():
        for path, slip in slips_in(document) if name not in LIKE_OTHERS else ():
            if path in NAMES or (path in NONE_OF_THEM and slip in ([], {}, None) and not _is_told(path, slip)):
                continue
            if path[:2] == ("metadata", "annotations") and len(path) == 3 and slip not in (None, False):
                continue  # texts are looked at above, and one that is none is like another
            if path[-1] in MEMBERSHIPS and slip in (None, []) or (path == ("spec",) and isinstance(slip, dict)):
                continue
            outcome = company.with_entities({**entities(), name: replaced(document, path, slip)})
            if outcome.more_than(company.before):
                wider.append((name, path, slip, sorted(outcome.more_than(company.before))[:2]))
    assert wider == []


def _is_told(path: tuple[Any, ...], slip: object) -> bool:
    return slip is None and path != ("metadata", "annotations")


def test_a_slip_in_a_definition_permits_no_more(company: Company) -> None:
    wider = []
    for path, slip in slips_in(DEFINITION):
        if path[0] in ("servers", "info") or (STATED in path and slip in ([], {}, [{}])):
            continue  # where it is, and that nothing is needed
        if path[0] == "paths" and len(path) in (1, 3) and isinstance(slip, dict):
            continue  # no paths, and an operation that needs what all of them need
        changed = entities()
        changed["api"]["spec"]["definition"] = json.dumps(replaced(DEFINITION, path, slip))
        outcome = company.with_entities(changed)
        if outcome.more_than(company.before):
            wider.append((path, slip, sorted(outcome.more_than(company.before))[:2]))
    assert wider == []
