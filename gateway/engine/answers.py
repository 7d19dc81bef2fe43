"""What control asks of the compile that is published: who owns a service, what a rule comes from, what lint finds.

The same code answers the command line on files (`gateway.engine.origins`, `gateway.engine.linting`). Everything here
is read from immutable values, in a thread beside the rounds. Who may hear an answer is control's business, and what it
needs to judge that (owners) is told with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from gateway.engine.access_files import AccessRead
from gateway.engine.linting import counts_of, findings_as_json, ground_of
from gateway.engine.origins import origin_of
from gateway.engine.sources.entities import Entity
from policy.facts import Catalog
from policy.lint.checks import lint
from policy.lint.findings import Finding
from policy.rule import Published

ANSWERED: Final = frozenset(("owners", "cards", "why", "lint"))
CARDS: Final = 2000  # in one answer
FINDINGS_LIMIT: Final = 1000  # in one answer


class Live(NamedTuple):
    """What is published and what it was made of: a `gateway.engine.origins.Compilation`."""

    published: tuple[Published, ...]
    catalog: Catalog
    entities: Mapping[str, Entity]
    access: AccessRead


class Answers:
    """For lint asked by one thread at a time. What it found is kept until something else is published or the day is
    over: everybody who is signed in may ask for it. ``give_way`` is called in between."""

    def __init__(self, give_way: Callable[[], None] = lambda: None) -> None:
        self._give_way = give_way
        self._found: tuple[Live | None, str, tuple[Finding, ...]] = (None, "", ())

    def answer(self, live: Live | None, question: Mapping[str, Any], now: int) -> dict[str, Any]:
        """The answer, or ``{"fault": CODE}`` with a code of the API's problems. ``now``: epoch seconds."""
        kind = question.get("t")
        if live is None or live.access.policy is None:
            return {"fault": "policy_unavailable"}
        if kind == "owners":
            return _owners(live, question)
        if kind == "cards":
            return _cards(live, question)
        return _why(live, question) if kind == "why" else _page_of(live, self._findings(live, now), question)

    def _findings(self, live: Live, now: int) -> tuple[Finding, ...]:
        today = datetime.fromtimestamp(now, UTC).date().isoformat()
        if self._found[0] is not live or self._found[1] != today:
            assert live.access.policy is not None  # or it would not have been compiled
            ground = ground_of(live, live.access.policy, self._give_way)
            self._found = (live, today, tuple(lint(ground, today)))
        return self._found[2]


def _owners(live: Live, question: Mapping[str, Any]) -> dict[str, Any]:
    """Of published services and of those that call them; what is unknown has none."""
    services = question.get("services")
    refs = [str(each) for each in services] if isinstance(services, list) else []
    return {"owners": {ref: live.catalog.services[ref].owner for ref in refs if ref in live.catalog.services}}


def _cards(live: Live, question: Mapping[str, Any]) -> dict[str, Any]:
    """What published services are called and whose they are, for pages: those behind a ref, so many at once."""
    after = str(question.get("after", ""))
    refs = sorted({each.service.ref for each in live.published if each.service.ref > after})
    listed = [live.catalog.services[ref] for ref in refs[:CARDS] if ref in live.catalog.services]
    cards = {each.ref: [each.title, each.owner, each.domain] for each in listed}
    return {"cards": cards, "next": refs[CARDS - 1] if len(refs) > CARDS else ""}


def _why(live: Live, question: Mapping[str, Any]) -> dict[str, Any]:
    origin = origin_of(live, str(question.get("rule", "")))
    if origin is None:
        return {"origin": None, "owners": {}}
    holding = frozenset(origin.exposures)
    return {
        "origin": origin.as_json(),
        "owners": {each.key: each.service.owner for each in live.published if each.key in holding},
    }


def _page_of(live: Live, found: Iterable[Finding], question: Mapping[str, Any]) -> dict[str, Any]:
    """All findings, or those about services of certain owners; from one of them on, as many as asked for."""
    owners = question.get("owners")
    if isinstance(owners, list):
        found = _about_services_of(live, found, frozenset(map(str, owners)))
    listed = list(found)
    begin, most = _number(question.get("begin")), min(_number(question.get("most")), FINDINGS_LIMIT)
    page = listed[begin : begin + most]
    return {"counts": dict(counts_of(listed)), "findings": findings_as_json(page), "total": len(listed)}


def _about_services_of(live: Live, findings: Iterable[Finding], owners: frozenset[str]) -> Iterable[Finding]:
    """Findings that are about a service, an exposure or an API of these owners, or about the team itself."""
    services = live.catalog.services
    theirs = {ref for ref, service in services.items() if service.owner in owners}
    theirs |= {api for ref in theirs for api in services[ref].provides} | owners
    return (each for each in findings if _subject_of(each) in theirs or each.source.entity in theirs)


def _subject_of(finding: Finding) -> str:
    """The ref that a finding begins with: of `component:default/x@prod GET /y` the component."""
    return finding.about.partition(" ")[0].partition("@")[0]


def _number(said: object) -> int:
    return said if type(said) is int and said > 0 else 0
