"""What a greedy client takes from another one: `python -m bench.fairness [KIND …]`.

    door     a worker as it serves, in a process of its own on core 0, with two services and without limits
    greedy   a client that does one thing as fast as it can, on core 1 (`tests.support.greedy`)
    paced    a client that asks a hundred times a second over one connection, on core 1

Two measures, because on one machine a greedy client also takes the core of the paced one and of the services:

* **turns**: what a turn of the door's loop takes of its core. A request waits for the rest of the turn that it comes
  in, so the turns are weighed by their length: half of all moments lie in a turn no longer than the median, one in a
  hundred in one above the 99th percentile. It is processor time: what other programs take does not show.
* **times**: the paced client's answers, alone and beside the greedy one in turn, the best round of each. What both
  clients and the services take from each other on core 1 is in it; a control beside a greedy client of *another* door
  on core 0 would take that door's core as well, and is none.

With `--service-ms 5` the paced client's service takes that long for an answer, as services do. The promise is about
such a client: its 99th percentile moves by a fifth at most, and the run ends with 1 where it moves further.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.ground import GATEWAY_CORE, LOAD_CORE, PYTHON, ROOT
from gateway import config
from tests.support.door import running_door, settings_for
from tests.support.greedy import KINDS, WITH_TLS
from tests.support.parties import Party
from tests.support.small_catalog import publish, service, small_catalog
from tests.support.tokens import ES256

ROUNDS = 5
MOVED_AT_MOST = 0.2
SECONDS = 1.0
RATE = 100
UNSEEN = 512  # tokens, many more than the door keeps
KEPT = 16
TLS = {"yes": (True,), "no": (False,), "both": (False, True)}


# === the door, in a process of its own ===


def serve(folder: Path, greedy_port: str, paced_port: str, certificates: str) -> None:
    catalog = small_catalog()
    services = [
        service(name, (f"http://127.0.0.1:{port}",), "everyone")
        for name, port in (("greedy", greedy_port), ("paced", paced_port))
    ]
    catalog = replace(catalog, services={each.ref: each for each in services})
    tls = config.ListenerTls(f"{certificates}/door.pem", f"{certificates}/door.key") if certificates else None
    settings = settings_for(
        folder,
        listeners=(config.Listener("main", "127.0.0.1:0", tls),),
        limits=config.Limits(refusals=config.Rate(), cached_tokens=KEPT),
    )
    ends = int(time.time()) + 3600
    tokens = [ES256.token(sub="joe", exp=ends, iat=1, jti=str(number)).decode() for number in range(UNSEEN)]
    (folder / "tokens").write_text("\n".join(tokens))
    paced = ES256.token(sub="jane", exp=ends, iat=1).decode()
    with running_door(
        folder / "state", publish=lambda state: publish(state, catalog), settings=settings, signers=(ES256,)
    ) as door:
        place = f"tls:{door.port}" if tls else str(door.port)
        print(json.dumps({"port": place, "tokens": f"@{folder / 'tokens'}", "paced": paced}), flush=True)
        for line in sys.stdin:
            print(json.dumps(door.thread.wait(turns(float(line)), 60)), flush=True)


async def turns(seconds: float) -> dict[str, float]:
    """How long the turns of the running loop are, µs of its processor, for ``seconds``."""
    loop = asyncio.get_running_loop()
    lengths: list[int] = []
    ended = loop.create_future()
    until = time.monotonic() + seconds

    def look(before: int) -> None:
        now = time.thread_time_ns()
        lengths.append(now - before)
        if time.monotonic() < until:
            loop.call_soon(look, time.thread_time_ns())
        else:
            ended.set_result(None)

    loop.call_soon(look, time.thread_time_ns())
    await ended
    lengths.sort()
    return {"p50": _at(lengths, 0.5), "p99": _at(lengths, 0.99), "max": lengths[-1] / 1000}


def _at(lengths: list[int], part: float) -> float:
    """The length of the turn that lies at ``part`` of all time, µs."""
    left = part * sum(lengths)
    for length in lengths:
        left -= length
        if left <= 0:
            return length / 1000
    return 0.0


# === the measurement ===


@contextmanager
def standing(certificates: str, service_ms: str) -> Iterator[tuple[Party, dict[str, Any]]]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ports = [
            stack.enter_context(Party(LOAD_CORE, "tests.support.greedy", "upstream", *takes, urgent=urgent)).says()
            for takes, urgent in (((), False), ((service_ms,), True))
        ]
        door = stack.enter_context(Party(GATEWAY_CORE, "bench.fairness", "door", str(folder), *ports, certificates))
        yield door, json.loads(door.says())


def times(told: dict[str, Any]) -> tuple[float, float]:
    words = ("paced", told["port"], str(SECONDS), str(RATE), told["paced"])
    with Party(LOAD_CORE, "tests.support.greedy", *words, urgent=True) as paced:
        median, p99 = paced.says().split()
        return float(median), float(p99)


def measure(kind: str, certificates: str, asked: argparse.Namespace) -> dict[str, Any]:
    alone, beside, lengths = [], [], []
    with standing(certificates, str(asked.service_ms)) as (door, told):
        for _ in range(asked.rounds):
            alone.append(times(told))
            with Party(LOAD_CORE, "tests.support.greedy", "greedy", told["port"], kind, told["tokens"]) as greedy:
                greedy.says()
                beside.append(times(told))
                with socket.create_connection(("127.0.0.1", int(told["port"].rpartition(":")[2]))):  # somebody else
                    lengths.append(json.loads(door.ask(str(SECONDS))))
    return {
        "kind": kind,
        "tls": bool(certificates),
        "alone_ms": best(alone),
        "beside_ms": best(beside),
        "turns_us": {name: min(each[name] for each in lengths) for name in lengths[0]},
    }


def best(rounds: list[tuple[float, float]]) -> tuple[float, float]:
    return min(median for median, _ in rounds), min(p99 for _, p99 in rounds)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.fairness", description="What a greedy client takes.")
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(KINDS)}; all unless named")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--tls", choices=("yes", "no", "both"), default="both")
    parser.add_argument("--service-ms", type=float, default=0.0, help="what the paced client's service takes")
    asked = parser.parse_args()
    for kind in asked.kinds:
        if kind not in KINDS:
            parser.error(f"`{kind}` is no kind; there are {', '.join(KINDS)}")
    with tempfile.TemporaryDirectory() as certificates:
        command = [PYTHON, str(ROOT / "certs" / "make.py"), "--out", certificates, "--leaf", "door", "localhost"]
        subprocess.run(command, check=True, timeout=60, stdout=subprocess.DEVNULL)
        heads = ("alone p50", "p99 ms", "beside p50", "p99 ms", "moved by", "turn p50", "p99", "max µs")
        print(f"{'':18}" + "".join(f"{head:>11}" for head in heads))
        moved = [
            show(measure(kind, certificates if tls else "", asked))
            for kind in asked.kinds or KINDS
            for tls in ((True,) if kind in WITH_TLS else TLS[asked.tls])
        ]
    if asked.service_ms and max(moved) > MOVED_AT_MOST:
        raise SystemExit(f"a 99th percentile was moved by {max(moved):.0%}; a fifth is promised")


def show(row: dict[str, Any]) -> float:
    """Print it; by which part of itself the other's 99th percentile is later."""
    (median, p99), (beside, beside99), took = row["alone_ms"], row["beside_ms"], row["turns_us"]
    moved = float(beside99 / p99 - 1)
    print(
        f"{row['kind'] + (' TLS' if row['tls'] else ''):18}{median:11.2f}{p99:11.2f}{beside:11.2f}{beside99:11.2f}"
        f"{moved:11.0%}{took['p50']:11.0f}{took['p99']:11.0f}{took['max']:11.0f}   load {os.getloadavg()[0]:.1f}",
        flush=True,
    )
    return moved


if __name__ == "__main__":
    if sys.argv[1:2] == ["door"]:
        folder, *rest = sys.argv[2:]
        serve(Path(folder), *rest)
    else:
        main()
