"""One company, measured in a process of its own: what the engine takes to compile it, and what each change costs then.

    python -m bench.company_engine FOLDER COMPONENTS

Prints figures as JSON. Times are of the processor, which a busy machine inflates a little and never doubles; memory is
the most that the process ever held.
"""

from __future__ import annotations

import gc
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench import company_catalog as made
from bench.processes import peak_mb
from gateway import config
from gateway.engine.catalogs import Sources
from gateway.engine.journal import Journal
from gateway.engine.publisher import Publisher
from gateway.engine.rounds import Rounds
from gateway.engine.sources.sharing import Held

CHANGES = 30


def settings_of(folder: Path) -> config.Settings:
    matches = (config.MatchField("sub", "metadata.name"), config.MatchField("email", "spec.profile.email"))
    return config.Settings(
        listeners=(),
        issuers=(config.Issuer("main", "http://127.0.0.1:9", ("api",), match=matches),),
        environments={
            name: config.Environment(name, (f".{made.DOMAIN}",), ("127.0.0.0/8",)) for name in made.ENVIRONMENTS
        },
        catalog=config.Catalog(files=(str(folder / "catalog"),)),
        access_policy=str(folder / "access.yaml"),
        state_folder=str(folder / "state"),
    )


class Engine:
    """The engine's rounds as the role runs them, without its event loop. Files that were touched are told, as the watch
    does."""

    def __init__(self, folder: Path) -> None:
        (folder / "state").mkdir(exist_ok=True)
        settings = settings_of(folder)
        self.folder = folder
        self.told_s = self.first_told_s = 0.0  # of processor time, when the doors were told last, and first
        state = Path(settings.state_folder)
        journal = Journal(state)
        self.sources = Sources(settings.catalog, held=Held(journal.sections["entities"]))
        self.rounds = Rounds(settings, Publisher(state), journal, self.sources, self._told)

    def _told(self, message: dict[str, Any]) -> None:
        self.told_s = time.process_time()
        self.first_told_s = self.first_told_s or self.told_s

    def change(self, path: Path) -> float:
        """Processor time from the hint to what the doors are told, in milliseconds."""
        self.sources.touched(frozenset((str(path), str(path.with_name(f".{path.name}")))))
        began_s = self.told_s = time.process_time()
        outcome = self.rounds.round()
        assert outcome.message is not None, f"a change of `{path}` changed nothing"
        return (self.told_s - began_s) * 1000


def changes_of(company: made.Company, folder: Path, what: str, first: int = 0) -> Iterator[Path]:
    """Makes one change after the other; each is saved when its path is yielded. ``first``: how many of them were made
    before: no two are alike."""
    for turn in range(first, first + CHANGES):
        number = (turn * 997 + 3) % company.components
        if what == "service":
            path = folder / "catalog" / made.component_file(number)
            made.save(path, _other_service(company, number, turn))
        elif what == "person":
            number = (turn * 37 + 1) % company.teams
            path = folder / "catalog" / made.team_file(number)
            made.save(path, _other_team(company, number, turn))
        else:
            path = folder / "access.yaml"
            path.write_text(made.access_policy(company, turn + 1))
        yield path


def _other_service(company: made.Company, number: int, turn: int) -> list[made.Document]:
    """In turn: opened otherwise with other operations, another owner, other annotations alone."""
    if turn % 3 == 0:
        return made.component(company, number, turn + 1)
    described = made.component(company, number)
    said = described[0]
    if turn % 3 == 1:
        said["spec"]["owner"] = _team_beside(company, said["spec"]["owner"])
    else:
        known = said["metadata"]["annotations"]
        known[f"{made.PREFIX}access"] = "owners" if known.get(f"{made.PREFIX}access") == "everyone" else "everyone"
        known[f"{made.PREFIX}allow-groups"] = _team_beside(company, said["spec"]["owner"])
    return described


def _other_team(company: made.Company, number: int, turn: int) -> list[made.Document]:
    """In turn: somebody leaves it, somebody goes over to another, it belongs elsewhere."""
    described = made.team(company, number)
    if turn % 3 == 0:
        described[1]["spec"]["memberOf"] = []
    elif turn % 3 == 1:
        described[1]["spec"]["memberOf"] = [_team_beside(company, described[0]["metadata"]["name"])]
    else:
        described[0]["spec"]["parent"] = "company"
    return described


def _team_beside(company: made.Company, team: str) -> str:
    return f"team-{(int(team.removeprefix('team-')) + 1) % company.teams:05}"


def _timed(act: Callable[[], Any]) -> tuple[float, Any]:
    began_s = time.process_time()
    found = act()
    return round(time.process_time() - began_s, 2), found


def figures(folder: Path, company: made.Company) -> dict[str, Any]:
    gc.set_threshold(100_000, 50, 1000)  # as the role does
    engine = Engine(folder)
    read_s, pull = _timed(engine.sources.pull)
    began_s = time.process_time()
    whole_s, outcome = _timed(engine.rounds.round)
    assert outcome.message is not None, outcome.faults[:5]
    assert engine.rounds.ground is not None
    compiled = engine.rounds.ground.compiled
    assert compiled is not None
    found: dict[str, Any] = {
        "components": company.components, "people": company.people, "entities": len(pull.entities),
        "exposures": len(compiled.published), "operations": sum(len(each.operations) for each in compiled.published),
        "faults": len(outcome.faults), "read_files_cpu_s": read_s,
        "full_compile_cpu_s": round(engine.first_told_s - began_s, 2), "and_remembered_cpu_s": whole_s,
    }  # fmt: skip
    engine.rounds.round()
    for what in ("service", "person", "rule"):
        took = [engine.change(path) for path in changes_of(company, folder, what)]
        found[f"{what}_cpu_ms"] = [round(statistics.median(took), 1), round(max(took), 1)]
    found["peak_rss_mb"] = peak_mb()
    return found


def main() -> None:
    folder, components = Path(sys.argv[1]), int(sys.argv[2])
    print(json.dumps(figures(folder, made.Company(components))))


if __name__ == "__main__":
    main()
