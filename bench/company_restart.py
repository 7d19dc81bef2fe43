"""One company, measured in a process of its own: what the engine takes that starts over what it remembers.

    python -m bench.company_restart FOLDER COMPONENTS

FOLDER holds what `bench.company_engine` remembered and published, and the files of then. Prints figures as JSON: the
most memory that the process ever held is what a node has to have for its engine.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from pathlib import Path
from typing import Any

from bench.company_engine import Engine
from bench.processes import peak_mb


def figures(folder: Path, components: int) -> dict[str, Any]:
    gc.set_threshold(100_000, 50, 1000)  # as the role does
    engine = Engine(folder)
    remembered_s = time.process_time()
    engine.rounds.round()
    assert engine.rounds.ground is not None
    engine.rounds.chronicle()
    return {
        "components": components, "entities": len(engine.rounds.ground.pull.entities),
        "remembered_cpu_s": round(remembered_s, 2), "whole_cpu_s": round(time.process_time(), 2),
        "peak_rss_mb": peak_mb(),
    }  # fmt: skip


def main() -> None:
    folder, components = Path(sys.argv[1]), int(sys.argv[2])
    print(json.dumps(figures(folder, components)))


if __name__ == "__main__":
    main()
