"""The schema of the access policy: it refuses nothing that the reader takes, and what it refuses the reader refuses."""

from __future__ import annotations

import copy
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.authoring.access_schema import access_schema
from gateway.documents import read_text
from policy.access import read_policy
from policy.facts import Source
from tests.support.node import ROOT
from tests.support.policy_golden import FOLDER, LINE

SCHEMA = access_schema()
VALIDATOR = jsonschema_rs.Draft202012Validator(SCHEMA)
EXAMPLE = (ROOT / "examples" / "access-policy.yaml").read_text()


def document(text: str) -> Any:
    found, faults = read_text(text.encode(), "access.yaml")
    assert not faults
    return found[0].value


def is_taken(value: Any) -> bool:
    return not read_policy(value, lambda path: Source("access.yaml"))[1]


CASES = {path.stem: document(path.read_text().partition(LINE)[0]) for path in sorted(FOLDER.glob("*.case"))}
TAKEN = {"example": document(EXAMPLE), **{name: value for name, value in CASES.items() if is_taken(value)}}


def test_it_is_a_schema() -> None:
    jsonschema_rs.meta.validate(SCHEMA)


@pytest.mark.parametrize("name", TAKEN)
def test_what_the_reader_takes_is_valid(name: str) -> None:
    assert is_taken(TAKEN[name])
    assert [str(error) for error in VALIDATOR.iter_errors(TAKEN[name])] == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("version: 1", "version: 2"),
        ("environments:", "environmens:"),
        ("owners: [all]", "owners: [everything]"),
        ("consent: any", "consent: some"),
        ("public: never", "public: always"),
        ("require: [mfa]", "require: [mfaa]"),
        ("require: [mfa]", "require: [{fresh: 12 hours}]"),
        ("access: everyone, in", "access: everybody, in"),
        ("to: {system: payments}", "to: {systems: payments}"),
        ("methods: [GET, HEAD]", "methods: [get]"),
        ("operations: [POST /webhooks/carrier]", "operations: [/webhooks/carrier]"),
        ("    because: Contractors never reach production.\n", ""),
        ("  - deny: group:default/contractors", "  - {}\n  - deny: group:default/contractors"),
        ("  - deny: group:default/contractors", "  - deny: group:default/a\n    allow: group:default/contractors"),
        ("rules:", "rule:"),
        ("never:", "nevr:"),
        ("in prod → refused denied", "in prod"),
        ("in prod → refused denied", "in prod → forbidden"),
        ("with: {scopes", "with: {scope"),
        ("    call: chargeCard\n", ""),
        ("    do: [chargeCard, createRefund]\n", ""),
        ("because: Contractors", "becuase: Contractors"),
    ],
)
def test_what_is_broken_is_refused_by_both(before: str, after: str) -> None:
    assert before in EXAMPLE
    broken = document(EXAMPLE.replace(before, after, 1))
    assert not is_taken(broken)
    assert not VALIDATOR.is_valid(broken)


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path, *(each for key, value in inner for each in places(value, (*path, key)))]


VALUES: st.SearchStrategy[Any] = st.sampled_from(
    [None, [], {}, "", " ", 1, True, "all", ["all"], "read", "declared", ["GET"], "GET", "GET /a", " POST  /a/{b}",
     "8h", "mfa", ["mfa", {"fresh": "12h"}], {"fresh": "5m"}, {"people": "mfa"}, {"workloads": {"issuer": "main"}},
     "owners", {"service": "payments"}, {"tag": ["a", "b"]}, "anyone", "all-people", "component:default/x", ["grants"],
     "a any prod", "only may any", "jane GET https://a.b/ → permit", ["contractors any"], {"mfa": True}, True,
     "createRefund", "permit owner", "refused", {"system": "a"}, "payments",
     "dev", {"require": []}, {"require": None}, {"longest": "8h"}, {"owners": "read"}]
)  # fmt: skip


@given(st.sampled_from(sorted(TAKEN)), st.data())
def test_the_schema_refuses_nothing_that_the_reader_takes(name: str, data: st.DataObject) -> None:
    """Documents the reader takes, with a value or two replaced or left out."""
    changed = copy.deepcopy(TAKEN[name])
    for _ in range(data.draw(st.integers(1, 2))):
        path = data.draw(st.sampled_from([place for place in places(changed) if place]))
        holder = changed
        for key in path[:-1]:
            holder = holder[key]
        if data.draw(st.booleans()):
            holder[path[-1]] = copy.deepcopy(data.draw(VALUES))
        else:
            del holder[path[-1]]
        if not [place for place in places(changed) if place]:
            break
    if is_taken(changed) and changed.get("version") is not True:  # `true` equals 1 in Python alone
        assert [str(error) for error in VALIDATOR.iter_errors(changed)] == []
