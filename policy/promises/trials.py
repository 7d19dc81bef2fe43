"""Whether a test of the access policy comes to what it expects: one call, decided by the table as a door decides it.

The caller shows what the test says and nothing more: a sign-in a moment ago with one factor, a token without scopes.
Somebody the catalog does not know is who a door would find nobody for. Such a one is refused everywhere, and so is
everybody at a host that no service has: a test that expects just `refused` there could not fail, and is void.
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
from policy.questions import people_of, workloads_of
from policy.reading import did_you_mean
from policy.reasons import HOST_UNKNOWN, IDENTITY_UNKNOWN, OPERATION_UNKNOWN
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
    trial = _tried(expectation, table, places, now)
    if expectation.allowed or expectation.reason or not isinstance(trial.verdict, Refusal):
        return trial
    subject = expectation.subject
    if trial.verdict.reason == HOST_UNKNOWN:
        said = f"no service is published under `{expectation.host}`"
        return trial._replace(verdict=None, void=said, hint="correct the URL, or write `refused host_unknown`")
    if trial.verdict.reason == IDENTITY_UNKNOWN and not _identified(subject, table, "").subjects:
        said = f"nobody is called `{subject}`" if subject.startswith("user:") else f"nobody calls as `{subject}`"
        hint = _namesake(subject, table) or "correct the name, or write `refused identity_unknown`"
        return trial._replace(verdict=None, void=said, hint=hint)
    return trial


def _namesake(subject: str, table: Table) -> str:
    """Who of another kind has the name, or who of the same kind one like it: a bare name is a person."""
    kind, _, name = subject.partition(":")
    programs = {each.partition("@")[0] for each in workloads_of(table)}
    if kind == "user" and f"component:{name}" in programs:
        return f"did you mean `component:{name}`?"
    if kind == "user" and table.team_subjects(f"group:{name}"):
        return f"did you mean `group:{name}`?"
    return did_you_mean(subject, programs if kind == "component" else [ref for ref, _ in people_of(table)])


def _tried(expectation: Expectation, table: Table, places: Mapping[str, Place], now: int) -> Trial:
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
