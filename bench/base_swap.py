"""How long a door is stalled while a base of many services is loaded and replaced, and what a base costs the engine.

    python -m bench.base_swap [SERVICES] [OPERATIONS]

Writes a catalog to a temporary folder, runs the engine's rounds over it, then follows the bases with the loader that
doors use, one step at a time, with the collector set as doors set it. Prints milliseconds of processor time, which a
busy machine does not inflate.
"""

from __future__ import annotations

import gc
import resource
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from time import process_time

from gateway.engine.journal import Journal
from gateway.engine.publisher import Publisher
from gateway.engine.rounds import Rounds
from gateway.snapshot import BaseLoader
from tests.support import catalogs


def main() -> None:
    services, operations = (int(word) for word in (*sys.argv[1:], "10000", "20")[:2])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        catalogs.large(folder / "catalog", services, operations)
        settings = catalogs.settings(folder)
        state = Path(settings.state_folder)
        publisher, journal = Publisher(state), Journal(state)
        rounds = Rounds(settings, publisher, journal)
        print(f"{services} services, {operations} operations each")
        print(f"first round        {_timed(rounds.round):9.1f}")
        print(f"round, no change   {_timed(rounds.round):9.1f}")
        loader = BaseLoader(state)
        gc.set_threshold(700, 10, 10**9)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(f"load at start      {_timed(loader.load):9.1f}")
        print(f"exposures          {len(loader.table.exposures):9d}")
        gc.collect()
        gc.freeze()
        one = folder / "catalog" / "services-00000.yaml"
        one.write_text(one.read_text().replace('"everyone"', '"owners"', 1))
        print(f"round, one service {_timed(rounds.round):9.1f}")
        _follow(loader, "one service")
        bounds = {
            each: replace(held, upstreams=(*held.upstreams, ".more")) for each, held in settings.environments.items()
        }
        for file in (folder / "catalog").glob("services-*.yaml"):
            file.write_text(file.read_text().replace("10.0.0.1:8080", "10.0.0.2:8080"))
        rounds = Rounds(replace(settings, environments=bounds), publisher, journal)
        print(f"round, all changed {_timed(rounds.round):9.1f}")
        _follow(loader, "all services")
        print(f"peak memory growth {(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024:9.1f} MB")


def _timed(act) -> float:  # type: ignore[no-untyped-def]  # any call without arguments
    began = process_time()
    act()
    return (process_time() - began) * 1000


def _follow(loader: BaseLoader, what: str) -> None:
    """Step by step, as a loop does; the step that gives the table is followed by dropping the old one."""
    gc.collect()
    gc.freeze()  # what the rounds made here is another process's, where there are doors
    steps = []
    loader.begin()
    while loader.busy:
        began = process_time()
        loader.step()
        steps.append(process_time() - began)
    steps.sort()
    print(
        f"swap of {what}: {len(steps)} steps, longest {steps[-1] * 1000:.2f}, "
        f"99.9 % {steps[int(len(steps) * 0.999)] * 1000:.2f}, all {sum(steps) * 1000:.0f}"
    )


if __name__ == "__main__":
    main()
