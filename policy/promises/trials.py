"""Whether a test of the access policy comes to what it expects: one call, decided by the table as a door decides it.

The caller shows what the test says and nothing more: a sign-in a moment ago with one factor, a token without scopes.
Somebody the catalog does not know is who a door would find nobody for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from policy.builtin import BUILTIN_SERVICE
from policy.claims import key_of
from policy.facts import ALL_WORKLOADS, ANONYMOUS, EVERYONE, UNSEEN, Circumstances, Permit, Principal, Refusal
from policy.paths import VARIABLE, Segments
from policy.promises.proofs import Place
from policy.promises.samples import Samples
from policy.promises.universe import named
from policy.questions import workloads_of
from policy.reading import did_you_mean
from policy.reasons import IDENTITY_UNKNOWN, OPERATION_UNKNOWN
from policy.rule import names_of
from policy.statements import ANYONE, Expectation
from policy.table import Exposure, Match, Table

OWN_SEGMENT = ".stagedoor"  # on every host but the central one this is the door's own


class Trial(NamedTuple):
    """What came of one test. ``void``: why it could not be asked, and so says nothing. ``request``: "GET /refunds"."""

    expectation: Expectation
    verdict: Permit | Refusal | None
    exposure: str = ""
    request: str = ""
    void: str = ""
    hint: str = ""

    @property
    def passed(self) -> bool:
        if self.verdict is None:
            return False
        expected = self.expectation
        is_allowed = isinstance(self.verdict, Permit)
        return is_allowed == expected.allowed and expected.reason in ("", self.verdict.reason)


def trial_of(expectation: Expectation, table: Table, places: Mapping[str, Place], now: int) -> Trial:
    """``places`` by exposure key; ``now`` in epoch seconds."""
    found = _asked(expectation, table, places)
    if isinstance(found, Trial):
        return found
    match, method, request = found
    key = match.exposure.key
    if expectation.environment and key and match.exposure.environment != expectation.environment:
        said = f"it is a call in `{match.exposure.environment}`, not in `{expectation.environment}`"
        return Trial(expectation, None, key, request, said, "correct the URL or `in`")
    if expectation.subject.startswith("group:") and not table.team_subjects(expectation.subject):
        return Trial(expectation, None, key, request, f"there is no `{expectation.subject}`", "correct the name")
    caller = principal_of(expectation, table, match.exposure.environment, now)
    own = bool(match.segments) and match.segments[0] == OWN_SEGMENT and match.exposure.service != BUILTIN_SERVICE.ref
    if own:
        return Trial(expectation, Refusal(OPERATION_UNKNOWN), key, request)
    shown = expectation.shown
    call = Circumstances(shown.address, shown.certificate) if shown.address or shown.certificate else UNSEEN
    return Trial(expectation, table.decide(match, method, caller, now, call), key, request)


def principal_of(expectation: Expectation, table: Table, environment: str, now: int) -> Principal:
    """The caller as a door would see them."""
    shown = expectation.shown
    caller = _identified(expectation.subject, table, environment)
    if caller.kind == "anonymous":
        return caller
    through = table.subjects_of(shown.through)
    if shown.through and not through:
        through = frozenset({shown.through, ALL_WORKLOADS, EVERYONE})
    acting = tuple(_identified(each, table, environment) for each in shown.acting)
    return Principal(
        caller.kind,
        caller.ref,
        caller.subjects,
        client_subjects=through,
        actors=acting,
        scopes=shown.scopes,
        bounded=bool(shown.scopes),
        amr=frozenset({"mfa"} if shown.mfa else ()),
        auth_time=now - shown.signed_in_s,
        issuer=shown.issuer,
    )


def _identified(subject: str, table: Table, environment: str) -> Principal:
    """A person, a member of a team, a program by the name that its client id has there, or nobody known."""
    if subject == ANYONE:
        return ANONYMOUS
    if subject.startswith("component:"):
        names = [each for each in workloads_of(table) if each.partition("@")[0] == subject]
        meant = frozenset(names_of(subject, environment))
        ref = next((each for each in sorted(names) if table.subjects_of(each) & meant), next(iter(sorted(names)), ""))
        return Principal("workload", ref, table.subjects_of(ref)) if ref else _unknown()
    asker = named(subject, table.directory)
    if asker is None:
        return _unknown()
    return Principal(asker.kind, asker.ref or subject, asker.subjects)


def _unknown() -> Principal:
    return Principal("anonymous", refusal=IDENTITY_UNKNOWN)


def _asked(expectation: Expectation, table: Table, places: Mapping[str, Place]) -> tuple[Match, str, str] | Trial:
    """What is asked about, how, and the request in words."""
    if expectation.host:
        path = expectation.path or ("",)
        request = f"{expectation.method} /{'/'.join(path)}"
        match = table.match(expectation.host, path)
        if isinstance(match, Refusal):
            return Trial(expectation, match, "", request)
        return match, expectation.method, request
    key = key_of(expectation.service, expectation.environment)
    exposure = table.exposures.get(key)
    if exposure is None:
        hint = did_you_mean(expectation.service, {each.service for each in table.exposures.values()})
        said = f"`{expectation.service}` is not published in `{expectation.environment}`"
        return Trial(expectation, None, key, "", said, hint or "correct `of` or `in`")
    if expectation.operation:
        return _by_operation(expectation, exposure, places)
    template = expectation.path or ("",)
    path = next(Samples(exposure.rules()).paths(template, template)) if _is_open(template) else template
    request = _request(expectation.method, exposure, path)
    return Match(exposure, exposure.prefix_segments + path), expectation.method, request


def _by_operation(
    expectation: Expectation, exposure: Exposure, places: Mapping[str, Place]
) -> tuple[Match, str, str] | Trial:
    known = places[exposure.key].named if exposure.key in places else {}
    calls = known.get(expectation.operation, ())
    if not calls:
        said = f"`{exposure.key}` has no operation `{expectation.operation}`"
        hint = did_you_mean(expectation.operation, known) or "compare with `operationId` in its definition"
        return Trial(expectation, None, exposure.key, "", said, hint)
    method, template = calls[0]
    path = next(Samples(exposure.rules()).paths(template))
    return Match(exposure, exposure.prefix_segments + path), method, _request(method, exposure, path)


def _is_open(template: tuple[str, ...]) -> bool:
    return any(VARIABLE in part or part == "**" for part in template)


def _request(method: str, exposure: Exposure, path: Segments) -> str:
    return f"{method} {exposure.prefix.rstrip('/')}/{'/'.join(path)}"
