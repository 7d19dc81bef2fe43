"""What the files say now, compiled to the end without a running node: for `explain`, `check` and `doctor`.

It is the engine's own reading and compile, with nothing published or remembered: no guard, no last good form, no
incumbent. So a claim that a running node would refuse to a newcomer is seen here as it stands in the files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from gateway import config
from gateway.engine.access_files import AccessRead, read_access
from gateway.engine.compilation import Compiler, no_past
from gateway.engine.sources.files import FileSource
from gateway.snapshot import WHY
from policy.reading import Fault
from policy.table import Table, TableBuilder


class Compilation(NamedTuple):
    """``table`` allows nothing and ``why`` is empty when the access policy cannot be used."""

    table: Table
    why: Mapping[str, Any]  # frames of sentences and sources
    kinds: Mapping[str, int]  # how many entities of each kind were read
    access: AccessRead
    catalog_faults: tuple[Fault, ...]  # of reading and of compiling, the access policy's own aside

    @property
    def faults(self) -> list[Fault]:
        return list(dict.fromkeys((*self.access.faults, *self.catalog_faults)))

    @property
    def rules(self) -> int:
        return sum(map(len, self.why.values()))


def compile_offline(settings: config.Settings) -> Compilation:
    pull = FileSource(settings.catalog.files, settings.catalog.prefix).pull()
    kinds = Counter(ref.partition(":")[0] for ref in pull.entities)
    access = read_access(settings.access_policy)
    if access.policy is None:
        return Compilation(Table.allow_none(), {}, kinds, access, tuple(pull.faults))
    compiled = Compiler(settings).compile(pull.entities, access.policy, no_past())
    builder = TableBuilder(Table.allow_none())
    why = {}
    for name, frame in compiled.frames.items():
        if name.startswith(WHY):
            why[name] = frame
        else:
            builder.put(name, frame)
    return Compilation(builder.finish(), why, kinds, access, (*pull.faults, *compiled.faults))
