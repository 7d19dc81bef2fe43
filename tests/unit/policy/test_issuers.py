"""An issuer that nobody has configured is told where it is asked for."""

from __future__ import annotations

from policy.access import read_policy
from policy.facts import Source
from policy.issuers import unknown_issuers

POLICY, FAULTS = read_policy(
    {
        "version": 1,
        "environments": {"prod": {"workloads": {"require": [{"issuer": ["main", "mian"]}]}}},
        "rules": [
            {"allow": "group:a", "to": {"service": "x"}, "in": ["prod"], "because": "b",
             "require": {"workloads": [{"issuer": "elsewhere"}, "certificate"]}},
            {"allow": "group:a", "to": {"service": "x"}, "in": ["prod"], "because": "b", "require": ["mfa"]},
        ],
    },
    lambda path: Source("policy.yaml", len(path)),
)  # fmt: skip


def test_each_is_a_warning_at_its_place_with_what_was_meant() -> None:
    assert FAULTS == []
    found = unknown_issuers(POLICY, ("ci", "main"))
    assert [(each.severity, each.message, each.suggestion) for each in found] == [
        ("warning", "no issuer is called `mian`: no token is of it", "did you mean `main`?"),
        ("warning", "no issuer is called `elsewhere`: no token is of it", "configured are ci, main"),
    ]
    assert all(each.source.file == "policy.yaml" for each in found)


def test_configured_ones_are_silent() -> None:
    assert unknown_issuers(POLICY, ("main", "mian", "elsewhere")) == []
