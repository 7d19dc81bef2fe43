"""What `lint` can find: a closed list of kinds, findings with stable ids, and what a waiver does to them.

A finding is no fault: the files mean what they say, and somebody may mean it. Whoever does says so in a waiver, which
gives a reason and ends. An id is a hash of the kind and of what the finding is about, not of its place or its words:
moving an entity keeps it, and so does a second operation that joins a list.
"""

from __future__ import annotations

from base64 import b32encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

from policy.facts import Source
from policy.statements import Waiver

Severity = Literal["error", "warning", "note"]
SEVERITIES: Final[tuple[Severity, ...]] = ("note", "warning", "error")  # the weakest first


class Check(NamedTuple):
    """One kind of finding. ``meaning`` says what is found, for lists of rules."""

    severity: Severity
    meaning: str


CHECKS: Final[Mapping[str, Check]] = MappingProxyType(
    {
        "everyone_everything": Check("error", "Everyone may do everything in production."),
        "wildcard": Check("warning", "A host, an operation or a network is a wildcard that covers nearly all."),
        "rule_never_matches": Check("warning", "A rule is about nobody, no service or no operation."),
        "rule_twice": Check("warning", "Two statements say the same."),
        "sentence_too_long": Check("warning", "What a rule says does not fit one sentence."),
        "operation_unreachable": Check("warning", "Nobody can call an operation of a definition."),
        "route_mismatch": Check("warning", "What is published is not what the definition describes."),
        "scope_unheld": Check("warning", "People reach an operation whose scope nothing confers on them."),
        "scope_unused": Check("warning", "A scope is conferred that no operation asks for."),
        "service_without_owner": Check("warning", "A published service has no owning team."),
        "team_without_people": Check("note", "Nobody is in a team or in the teams below it."),
        "definition_without_security": Check("warning", "A definition asks for no scope anywhere."),
        "definition_weak_security": Check("warning", "A definition knows API keys or passwords alone."),
        "definition_unsupported": Check("warning", "An API is of a type that the door cannot guard by operation."),
        "waiver_expired": Check("error", "A waiver's last day is over."),
        "waiver_unused": Check("warning", "A waiver is about nothing that is found."),
    }
)


@dataclass(frozen=True, slots=True)
class Finding:
    """``about`` is a ref, an exposure key, an environment, a rule id, …; ``waived`` the waiver that accepts it."""

    kind: str
    about: str
    source: Source
    sentence: str
    fix: str
    waived: Waiver | None = None

    @property
    def severity(self) -> Severity:
        return CHECKS[self.kind].severity

    @property
    def id(self) -> str:
        digest = blake2b(f"{self.kind} {self.about}".encode(), digest_size=10).digest()
        return "f-" + b32encode(digest)[:10].decode().lower()


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """By place, each id once."""
    found = {each.id: each for each in sorted(findings, key=_order, reverse=True)}
    return tuple(sorted(found.values(), key=_order))


def with_waivers(findings: Iterable[Finding], waivers: Iterable[Waiver], today: str) -> tuple[Finding, ...]:
    """The findings, the waived ones marked, and what is wrong with the waivers. ``today`` is a day, UTC."""
    found = list(findings)
    for waiver in waivers:
        meant = [position for position, each in enumerate(found) if _is_meant(waiver, each)]
        if waiver.until < today:
            found.append(_about_waiver("waiver_expired", waiver, f"ended on {waiver.until}", "mend what it waives, or"))
        elif not meant:
            found.append(_about_waiver("waiver_unused", waiver, "is about nothing that is found", "remove it, or"))
        else:
            for position in meant:
                found[position] = replace(found[position], waived=waiver)
    return in_order(found)


def reaches(finding: Finding, least: Severity) -> bool:
    """Whether it counts: not waived, and at least as severe."""
    return finding.waived is None and SEVERITIES.index(finding.severity) >= SEVERITIES.index(least)


def _is_meant(waiver: Waiver, finding: Finding) -> bool:
    """By id, or by kind and what it is about; a service stands for its exposures."""
    if finding.kind.startswith("waiver_"):
        return False
    if not waiver.about:
        return finding.id == waiver.finding
    about = finding.about.lower()
    return finding.kind == waiver.finding and waiver.about in (about, about.partition("@")[0])


def _about_waiver(kind: str, waiver: Waiver, complaint: str, fix: str) -> Finding:
    name = f"{waiver.finding} for {waiver.about}" if waiver.about else waiver.finding
    last = "give it a later day with a reason" if kind == "waiver_expired" else "correct what it names"
    return Finding(kind, name, waiver.source, f"The waiver of `{name}` {complaint}.", f"{fix} {last}")


def _order(finding: Finding) -> tuple[str, int, str, str, str]:
    return (finding.source.file, finding.source.line, finding.kind, finding.about, finding.sentence)
