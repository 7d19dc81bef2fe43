"""Holds the table that doors decide with against the definition, over random worlds, and counts what it has seen.

    python -m tests.support.differential --decisions 1000000 [--seed 7]

The same answer, reason, rule, operation and need are asked for, and the same exposure. Each world has a number made of
the seed and its place, so a difference is found again with `--world`. A run that never saw something which the
language can say proves nothing about it: what must occur is listed in `MUST_OCCUR`.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import time
from collections import Counter
from random import Random

from gateway.errors import Refused
from gateway.http1.target import read_target
from policy import reference
from policy.compile import compile_frames
from policy.derive import Builtin, Derived, derive
from policy.facts import Operation, Permit, Principal, Refusal
from policy.paths import Segments, prefix_segments
from policy.reasons import IDENTITY_REQUIRED, NO_RULE, PERMIT_ORDER, REFUSAL_ORDER
from policy.routes import required
from policy.rule import Published, Rule
from policy.table import Match, Table
from tests.support import random_policies as draw
from tests.support.policy_worlds import table_of
from tests.support.random_policies import ENVIRONMENTS, NOW, SELECTORS, maybe

PER_WORLD = 160
BUILTIN = Builtin(
    "door.test", ("GET /",), ("GET /.stagedoor/api/v1/me",), ("GET /.stagedoor/api/v1/people",), draw.TEAMS[:1]
)
#: Temporary access is not compiled yet: nothing decides by a grant.
REASONS = (*(each for each in PERMIT_ORDER if each != "grant"), *REFUSAL_ORDER)
FEATURES = (
    "host by wildcard", "host of several", "outside every prefix", "website", "two definitions", "literal sibling",
    "HEAD by GET", "OPTIONS", "odd path", "other case", "slash at the end", "second spelling", "bounded token",
    "conferred by owning", "conferred by rule", "conferred by role", "named scope", "named operations",
    "limited methods", "limited APIs", "through a client", "denied by client", "refused by actor",
    "permitted with actor", "by instance",
    "opened by owner", "opened by default", "unresolved scheme", "exception for grants",
)  # fmt: skip
MUST_OCCUR = (
    *(f"reason {reason}" for reason in REASONS),
    *(f"selector {key}" for key in (*SELECTORS, "none")),
    *(f"{way} {name}" for way in ("met", "unmet") for name in ("mfa", "fresh", "issuer", "network", "certificate")),
    *(
        f"subject {each}"
        for each in ("user", "group", "component", "all-people", "all-workloads", "everyone", "anyone")
    ),
    *FEATURES,
)


Verdict = Permit | Refusal


class Difference(AssertionError):
    """The table and the definition do not agree."""


class World:
    """One random company, compiled."""

    def __init__(self, number: str) -> None:
        self.rng = Random(number)
        self.policy = draw.policy(self.rng)
        self.catalog = draw.catalog(self.rng)
        self.derived: Derived = derive(self.catalog, self.policy, ENVIRONMENTS, BUILTIN)
        self.table: Table = table_of(compile_frames(self.catalog, self.derived, ()))
        self.by_key = {each.key: each for each in self.derived.published}
        self.hosts = Counter(each.exposure.host for each in self.derived.published)

    def ask(self, seen: Counter[str]) -> None:
        """One random request of one random caller, decided twice."""
        rng = self.rng
        published = rng.choice(self.derived.published)
        host, raw = draw.host_and_target(rng, [published.exposure])
        if published.operations and maybe(rng, 0.75):
            raw = draw.request_to(rng, rng.choice(published.operations), published.exposure.prefix)
        method = rng.choice(("GET", "GET", "POST", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"))
        target = read_target(raw, method)
        who, call = self.caller(published.key), draw.circumstances(rng)
        if isinstance(target, Refused):
            seen["(no canonical reading)"] += 1
            return
        found = self.place(host, target.segments)
        match = self.table.match(host, target.segments)
        answer = match if isinstance(match, Refusal) else self.table.decide(match, method, who, NOW, call)
        if found is None:
            expected: Verdict = Refusal("host_unknown")
        elif not found.key:
            expected = _outside(who)
        else:
            path = target.segments[len(prefix_segments(found.exposure.prefix)) :]
            expected = reference.decide(self.derived, found.key, path, method, who, NOW, call)
            seen.update(_features(self, found, path, method, who, expected))
            seen.update(["odd path"] if target.odd else [])
        where = "" if not isinstance(match, Match) else match.exposure.key
        if answer != expected or where != (found.key if found is not None else ""):
            raise Difference(f"{method} {host}{raw.decode()}\n  table      {where} {answer}\n  definition {expected}")
        seen[f"reason {answer.reason}"] += 1
        seen["decisions"] += 1
        if found is not None and found.key:
            seen.update(["host by wildcard"] if found.exposure.host.startswith("*") else [])
            seen.update(["host of several"] if self.hosts[found.exposure.host] > 1 else [])
        seen.update(["outside every prefix"] if found is not None and not found.key else [])

    def caller(self, key: str) -> Principal:
        """Anybody; mostly somebody who has some right there, as far as a few tries find one."""
        reach = frozenset(self.table.exposures[key].reach)
        who = draw.caller(self.rng, self.table)
        for _ in range(4):
            if maybe(self.rng, 0.25) or not reach.isdisjoint(who.subjects):
                break
            who = draw.caller(self.rng, self.table)
        return who

    def place(self, host: str, path: Segments) -> Published | None:
        """The exposure of a request by the words of the design: an exact host before one label's wildcard, then the
        longest prefix. None: no such host. One without a key: a path outside every prefix."""
        for name in (host, "*." + host.partition(".")[2]):
            here = [each for each in self.derived.published if each.exposure.host == name]
            if here:
                fitting = [each for each in here if _is_below(each, path)]
                fitting.sort(key=lambda each: len(prefix_segments(each.exposure.prefix)))
                return fitting[-1] if fitting else _nowhere(here[0])
        return None


def _is_below(published: Published, path: Segments) -> bool:
    prefix = prefix_segments(published.exposure.prefix)
    return path[: len(prefix)] == prefix


def _nowhere(published: Published) -> Published:
    return Published("", published.service, published.exposure, (), ())


def _outside(who: Principal) -> Refusal:
    return Refusal((who.refusal or IDENTITY_REQUIRED) if who.kind == "anonymous" else NO_RULE)


# ------------------------------------------------------------------------------------------ what was seen


def _features(
    world: World, published: Published, path: Segments, method: str, who: Principal, verdict: Verdict
) -> list[str]:
    """What of the language had a say in a decision."""
    seen = _of_request(published, path, method, who, verdict)
    rule = next((each for each in published.rules if each.id == verdict.rule), None)
    if rule is not None:
        seen += _of_rule(world, published, rule, who, verdict)
    if isinstance(verdict, Refusal) and verdict.reason == "requirement_unmet":
        names = {"max_age": "fresh"}
        seen += [f"unmet {names.get(each.partition('=')[0], each.partition('=')[0])}" for each in verdict.need]
    if isinstance(verdict, Permit) and rule is not None and not rule.is_free and not who.actors:
        seen += [f"met {each.name}" for each in rule.requirements if each.kind == who.kind]
    return seen


def _of_request(published: Published, path: Segments, method: str, who: Principal, verdict: Verdict) -> list[str]:
    asked = required(published.operations, path, method)
    templates = {each.template for each in asked}
    is_permit = isinstance(verdict, Permit)
    told = {
        "website": not published.service.has_definition and published.service.type != "",
        "two definitions": len(asked) > len({(each.method, each.template) for each in asked}) and is_permit,
        "literal sibling": len(templates) > 1,
        "HEAD by GET": method == "HEAD" and is_permit and any(each.method == "GET" for each in asked),
        "OPTIONS": method == "OPTIONS" and is_permit,
        "other case": any(text != text.lower() for text in path),
        "slash at the end": len(path) > 1 and not path[-1],
        "second spelling": is_permit and any(each.stands_for for each in asked),
        "unresolved scheme": verdict.reason == "scope_missing" and any(each.unresolved for each in asked),
        "bounded token": who.bounded and is_permit and any(each.scopes for each in asked),
        "through a client": bool(who.client_subjects),
        "permitted with actor": bool(who.actors) and is_permit,
        "refused by actor": bool(who.actors) and verdict.reason in ("identity_unknown", "identity_ambiguous")
        and who.kind != "anonymous",
    }  # fmt: skip
    return [name for name, holds in told.items() if holds]


def _of_rule(world: World, published: Published, rule: Rule, who: Principal, verdict: Verdict) -> list[str]:
    service, seen = published.service, []
    if rule.origin == "access-policy":
        keys = [term.partition(" ")[0] for term in rule.target.split(" and ")]
        seen += [f"selector {key}" if key in SELECTORS else "selector none" for key in keys]
    seen.append(f"subject {rule.subject.partition(':')[0]}")
    asked = next((each for each in published.operations if each.name == verdict.operation), None)
    needs_more = asked is not None and asked.scopes and isinstance(verdict, Permit) and not who.bounded
    lacked = needs_more and not _holds(asked, who.scopes)
    roles = frozenset().union(*(world.derived.role_scopes.get(each, ()) for each in who.subjects))
    told = {
        "conferred by owning": lacked and rule.confers is None,
        "conferred by rule": lacked and rule.confers and _holds(asked, who.scopes | rule.confers),
        "conferred by role": lacked and rule.confers is not None and _holds(asked, who.scopes | roles),
        "named scope": asked is not None and frozenset({"wide"}) in asked.scopes and isinstance(verdict, Permit),
        "named operations": rule.operations,
        "limited methods": rule.methods is not None,
        "limited APIs": rule.apis is not None,
        "denied by client": not rule.is_permit and not _is_meant(rule, who),
        "by instance": service.instance is not None and rule.target.startswith(f"service {service.instance.of}")
        or (not rule.is_permit and rule.subject == draw.COMPONENTS[-1]),
        "opened by owner": rule.reason == "public" and rule.origin == "catalog",
        "opened by default": rule.reason in ("everyone", "consumer") and not service.access,
        "exception for grants": rule.except_grants,
    }  # fmt: skip
    return seen + [name for name, holds in told.items() if holds]


def _holds(operation: Operation | None, scopes: frozenset[str]) -> bool:
    return operation is not None and any(each <= scopes for each in operation.scopes)


def _is_meant(rule: Rule, who: Principal) -> bool:
    return any(each.partition("@")[0] == rule.subject for each in who.subjects)


# ------------------------------------------------------------------------------------------ runs


def run(seed: int, decisions: int, seconds: float = float("inf")) -> Counter[str]:
    """Decide until there are so many decisions, or the time is over. Raises `Difference` with the world's number."""
    seen: Counter[str] = Counter()
    ends = time.monotonic() + seconds
    while seen["decisions"] < decisions and time.monotonic() < ends:
        number = f"{seed}-{seen['worlds']}"
        world = World(number)
        seen["worlds"] += 1
        try:
            for _ in range(PER_WORLD):
                world.ask(seen)
        except Difference as difference:
            raise Difference(f"world {number}: {difference}") from None
    return seen


def never_seen(seen: Counter[str]) -> list[str]:
    return [each for each in MUST_OCCUR if not seen[each]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--decisions", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**9), help="default: a new one")
    parser.add_argument("--world", help="one world again, by the number that a difference names")
    given = parser.parse_args()
    started = time.monotonic()
    if given.world:
        world, seen = World(given.world), Counter[str]()
        for _ in range(PER_WORLD):
            world.ask(seen)
        print(f"world {given.world}: {seen['decisions']} decisions, no difference")
        return
    print(f"seed {given.seed}, {given.decisions:,} decisions", flush=True)
    seen = run(given.seed, given.decisions)
    for name in (*MUST_OCCUR, "(no canonical reading)"):
        print(f"  {seen[name]:>9,}  {name}")
    said = f"{seen['decisions']:,} decisions in {seen['worlds']:,} worlds"
    print(f"{said}, seed {given.seed}, {time.monotonic() - started:.0f} s: no difference")
    if missing := never_seen(seen):
        sys.exit(f"never seen: {', '.join(missing)}")


if __name__ == "__main__":
    main()
