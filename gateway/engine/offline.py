"""What the files say now, compiled to the end without a running node: for `explain`, `lint`, `check` and `doctor`.

Nothing is contacted: of a catalog that is read over its API, what the node in this state folder remembers stands in.
It is the engine's own reading and compile, with nothing published or remembered: no guard, no last good form, no
incumbent. So a claim that a running node would refuse to a newcomer is seen here as it stands in the files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from gateway import config
from gateway.engine.access_files import AccessRead, read_access
from gateway.engine.catalogs import Remembered, Sources
from gateway.engine.compilation import Compiler, no_past
from gateway.engine.journal import Journal
from gateway.engine.sources.entities import Entity
from gateway.snapshot import WHY
from policy.facts import Catalog
from policy.reading import Fault
from policy.rule import Published
from policy.table import Table
from policy.table_builder import TableBuilder


class Compilation(NamedTuple):
    """``table`` allows nothing and ``why`` is empty when the access policy cannot be used."""

    table: Table
    why: Mapping[str, Any]  # frames of sentences and sources
    kinds: Mapping[str, int]  # how many entities of each kind were read
    access: AccessRead
    catalog_faults: tuple[Fault, ...]  # of reading and of compiling, the access policy's own aside
    entities: Mapping[str, Entity]
    catalog: Catalog
    published: tuple[Published, ...]
    base: str = ""  # that a node would publish it under; "" without an access policy

    @property
    def faults(self) -> list[Fault]:
        return list(dict.fromkeys((*self.access.faults, *self.catalog_faults)))

    @property
    def rules(self) -> int:
        return sum(map(len, self.why.values()))


def compile_offline(settings: config.Settings) -> Compilation:
    pull = _sources(settings.catalog, Path(settings.state_folder)).pull()
    kinds = Counter(ref.partition(":")[0] for ref in pull.entities)
    access = read_access(settings.access_policy)
    if access.policy is None:
        nothing = Catalog({}, {}, {})
        return Compilation(Table.allow_none(), {}, kinds, access, tuple(pull.faults), pull.entities, nothing, ())
    compiler = Compiler(settings)
    base = compiler.base(pull.entities, access.digest)
    compiled = compiler.compile(pull.entities, access.policy, no_past())
    builder = TableBuilder(Table.allow_none())
    why = {}
    for name, frame in compiled.frames.items():
        if name.startswith(WHY):
            why[name] = frame
        else:
            builder.put(name, frame)
    faults = (*pull.faults, *compiled.faults)
    table = builder.finish()
    return Compilation(table, why, kinds, access, faults, pull.entities, compiled.catalog, compiled.published, base)


def _sources(catalog: config.Catalog, state: Path) -> Sources:
    if not catalog.backstage:
        return Sources(catalog)
    remembered = Journal(state).sections["entities"]
    return Sources(catalog, [Remembered(each, remembered) for each in catalog.backstage])
