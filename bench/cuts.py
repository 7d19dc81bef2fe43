"""How soon a cut holds, and how soon a worker that was killed is replaced: `python -m bench.cuts`.

Both are measured where the client sits, with a whole node (`stagedoor serve`) of real roles and without pinned cores:

* **cut**: somebody has a request under way, again and again, and a WebSocket at every worker. From the moment a cut is
  asked for to the first refusal, and to the end of the WebSocket, at the worker that comes last. Most trials send the
  message that the command sends; in the others `stagedoor cut` itself runs, and the start of its process counts.
* **worker**: people are signed in, and the only worker is killed (SIGKILL) while nobody asks. From then to the last
  answer to all of them, who ask at once with their session cookies: nobody but the new worker can give it.

The greatest of all trials is what counts. A line for each measure; the exit status is 1 where one misses its promise.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from math import ceil
from pathlib import Path

from tests.support import oidc_provider
from tests.support.cutting import CLOSED_S, REFUSED_S, by_command, by_socket, measured, populated
from tests.support.replacing import SERVED_S, replaced
from tests.support.signing_in import signing_in
from tests.support.whole_node import whole_node

TRIALS = 1000
COMMANDS = 30
KILLS = 20
WORKERS = 2


def told(name: str, took: Sequence[float], promised_s: float) -> bool:
    """Print the line; whether the promise was kept each time."""
    ordered = sorted(took)
    print(
        f"{name:34}{len(took):7}{statistics.median(ordered) * 1000:10.1f}"
        f"{ordered[ceil(0.99 * len(ordered)) - 1] * 1000:10.1f}{ordered[-1] * 1000:10.1f}{promised_s * 1000:10.0f}"
        f"   load {os.getloadavg()[0]:.1f}",
        flush=True,
    )
    return ordered[-1] <= promised_s


def cuts(trials: int, commands: int) -> bool:
    kept = True
    with tempfile.TemporaryDirectory() as folder, whole_node(Path(folder), workers=WORKERS) as node:
        populated(node, trials + commands)
        for name, first, count, cut in (
            ("socket", 0, trials, by_socket(node)), ("command", trials, commands, by_command(node)),
        ):  # fmt: skip
            if count:
                took = measured(node, first, count, cut)
                kept &= told(f"cut by {name}: refused", [each.refused for each in took], REFUSED_S)
                kept &= told(f"cut by {name}: WebSocket closed", [each.closed for each in took], CLOSED_S)
    return kept


def workers(kills: int) -> bool:
    if why := oidc_provider.why_not():
        print(f"worker: not measured, {why}")
        return False
    with tempfile.TemporaryDirectory() as folder, signing_in(Path(folder), workers=1) as place:
        took = [each.took for each in replaced(place, kills)]
        return told("worker replaced: sessions served", took, SERVED_S)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.cuts", description="How soon a cut holds.")
    parser.add_argument("--trials", type=int, default=TRIALS, help="cuts over the control socket")
    parser.add_argument("--commands", type=int, default=COMMANDS, help="cuts by the command")
    parser.add_argument("--kills", type=int, default=KILLS, help="workers that are killed")
    asked = parser.parse_args()
    print(f"{'':34}{'trials':>7}{'median':>10}{'p99':>10}{'max ms':>10}{'promised':>10}", flush=True)
    kept = [cuts(asked.trials, asked.commands) if asked.trials or asked.commands else True]
    kept.append(workers(asked.kills) if asked.kills else True)
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
