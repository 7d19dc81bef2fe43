"""One company's table, as a door and as who asks questions hold it, measured in one process of its own.

    python -m bench.company_table FOLDER COMPONENTS

FOLDER holds what `bench.company_engine` published. Prints figures as JSON: memory, the longest step of loading and of
swapping as a door does it (processor time, so a stall that another process makes is none), and what decisions and
questions take.
"""

from __future__ import annotations

import gc
import json
import statistics
import sys
import time
import timeit
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch
from zlib import crc32

from bench import company_catalog as made
from bench.processes import peak_mb, pss_mb
from gateway.snapshot import BaseLoader, read_manifest
from policy.facts import ALL_PEOPLE, EVERYONE, Principal, Refusal
from policy.offers import askers_of, leaves_of, path_of, what_can
from policy.paths import template_of
from policy.questions import who_can
from policy.table import Exposure, Match, Table

NOW = 1_800_000_000
ASKED = 50  # requests of a kind, each of another exposure; there may be half as many
SEGMENTS = 3  # of a path
KINDS = ("owner", "everyone", "rule", "carefully")
QUESTIONS = 12

Request = tuple[str, tuple[str, ...], Principal]


def figures(folder: Path, company: made.Company) -> dict[str, Any]:
    gc.set_threshold(700, 10, 10**9)  # as a door does
    before = _memory_mb()
    loader = BaseLoader(folder / "state")
    first_ms = _followed_ms(loader)
    after = _memory_mb()
    gc.freeze()
    found: dict[str, Any] = {
        "components": company.components, "exposures": len(loader.table.exposures),
        "worker_memory_mb": after, "of_the_table_mb": after - before, "load_longest_step_ms": first_ms,
    }  # fmt: skip
    found["swap_one_longest_step_ms"] = _swap(loader, folder, one=True)
    found["swap_all_longest_step_ms"] = _swap(loader, folder, one=False)
    found |= {"worker_peak_mb": peak_mb(), "decide_us": _decide_us(loader.table)}
    return found | _questions(loader.table, company)


def _followed_ms(loader: BaseLoader) -> float:
    """The longest step until the loader has taken everything."""
    longest_s = 0.0
    loader.begin()
    while loader.busy:
        began_s = time.process_time()
        loader.step()
        longest_s = max(longest_s, time.process_time() - began_s)
    assert not loader.fault, loader.fault
    return round(longest_s * 1000, 2)


def _swap(loader: BaseLoader, folder: Path, *, one: bool) -> float:
    """The loader is told that it has other exposures than those on disk: it decodes and replaces them."""
    manifest = read_manifest(folder / "state")
    assert manifest is not None
    names = [name for name in manifest.frames if name.startswith("exposure/")]
    for name in names[:1] if one else names:
        loader.names[name] = "another"
    return _followed_ms(loader)


def _decide_us(table: Table) -> dict[str, float]:
    """match + decide by kind of request, the best of many runs. Which kinds there are how often depends on the company
    and says nothing of the table: like is compared with like, over exposures spread all over it."""
    found = {}
    for kind, asked in sorted(_asked(table).items()):
        assert len(asked) >= ASKED // 2, f"too few requests: {kind}"

        def decide_all(asked: list[Request] = asked) -> None:
            for host, segments, who in asked:
                table.decide(table.match(host, segments), "GET", who, NOW)  # type: ignore[arg-type]  # always a Match

        decide_all()
        timer = timeit.Timer(decide_all, timer=time.process_time)
        found[kind] = round(min(timer.repeat(15, 200)) / 200 / len(asked) * 1e6, 3)
    return found


def _asked(table: Table) -> dict[str, list[Request]]:
    """Permitted requests by why, and apart from them those that the careful way decided: each of one exposure, and all
    as long."""
    asked: dict[str, list[Request]] = {kind: [] for kind in KINDS}
    exposures = [each for each in table.exposures.values() if each.environment == "prod"]
    for exposure in sorted(exposures, key=lambda each: crc32(each.key.encode())):
        permitted = {_kind(table, exposure, request): request for request in _requests(table, exposure)}
        for kind, request in permitted.items():
            if len(asked.get(kind, ())) < ASKED and kind in asked:
                asked[kind].append(request)
        if all(len(requests) == ASKED for requests in asked.values()):
            break
    return asked


def _requests(table: Table, exposure: Exposure) -> Iterator[Request]:
    """What people of the teams that it is open to, and anybody, may try to read."""
    for subject in sorted(exposure.reach):
        teams = table.team_subjects(subject) if subject.startswith("group:") else frozenset({"user:default/x"})
        who = Principal(
            "person", "user:default/x", teams | {ALL_PEOPLE, EVERYONE}, amr=frozenset(("mfa",)), auth_time=NOW
        )
        for template, methods, *_ in leaves_of(exposure.rules().tree):
            segments = exposure.prefix_segments + path_of(template_of(template), "48151623")
            if "GET" in methods and len(segments) == SEGMENTS:
                yield exposure.host, segments, who


def _kind(table: Table, exposure: Exposure, request: Request) -> str:
    with patch.object(Exposure, "verdict", autospec=True, side_effect=Exposure.verdict) as carefully:
        verdict = table.decide(Match(exposure, request[1]), "GET", request[2], NOW)
    if isinstance(verdict, Refusal):
        return ""
    return "carefully" if carefully.called else verdict.reason


def _questions(table: Table, company: made.Company) -> dict[str, list[float]]:
    """What it takes to say who can, and what somebody can: the median and the longest, in milliseconds."""
    exposures = sorted(table.exposures.values(), key=lambda each: each.key)
    who, what = [], []
    for turn in range(QUESTIONS):
        exposure = exposures[turn * 9973 % len(exposures)]
        leaf = next(leaves_of(exposure.rules().tree))
        match = Match(exposure, exposure.prefix_segments + path_of(template_of(leaf[0]), "48151623"))
        began_s = time.process_time()
        who_can(table, match, leaf[1][0], NOW)
        who.append((time.process_time() - began_s) * 1000)
        (asker,) = askers_of(table, made.person(turn * 9973 % company.people))
        began_s = time.process_time()
        assert list(what_can(table, asker, table.exposures.values(), NOW))
        what.append((time.process_time() - began_s) * 1000)
    return {
        name: [round(statistics.median(took), 1), round(max(took), 1)]
        for name, took in (("who_can_ms", who), ("what_can_ms", what))
    }


def _memory_mb() -> int:
    gc.collect()
    return pss_mb()


def main() -> None:
    folder, components = Path(sys.argv[1]), int(sys.argv[2])
    print(json.dumps(figures(folder, made.Company(components))))


if __name__ == "__main__":
    main()
