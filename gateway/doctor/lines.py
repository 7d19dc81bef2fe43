"""What an examination says: a verdict on one subject, what was found, and the fix in one sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

Verdict = Literal["OK", "WARN", "FAIL"]
NAMED: Final = 3  # examples that a line names before it counts


class Line(NamedTuple):
    """``check`` is of a closed list (`gateway.doctor.examination`); ``fix`` is empty when all is well."""

    check: str
    subject: str
    verdict: Verdict
    found: str
    fix: str = ""


def ok(check: str, subject: str, found: str) -> Line:
    return Line(check, subject, "OK", found)


def warn(check: str, subject: str, found: str, fix: str) -> Line:
    return Line(check, subject, "WARN", found, fix)


def fail(check: str, subject: str, found: str, fix: str) -> Line:
    return Line(check, subject, "FAIL", found, fix)


def some(texts: Sequence[str]) -> str:
    """The first few, and how many more there are."""
    more = len(texts) - NAMED
    return ", ".join(texts[:NAMED]) + (f" and {more} more" if more > 0 else "")


def counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
