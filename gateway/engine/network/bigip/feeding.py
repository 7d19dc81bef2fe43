"""What a BIG-IP, or a pipeline in its place, reads by itself: the declaration, and its data groups as external files.

    as3.json                  what `stagedoor bigip render` writes, and the engine would send
    data-groups/hosts.txt     for `sys file data-group … source-path`, or AS3's `externalFilePath`
    data-groups/policy.txt

A line of such a file is `"key" := "value",` for strings (F5, data group formatting rules for external classes), and
`:=` is the separator that both tmsh and AS3 assume. A text that holds the separator would be split in another place:
it is told apart by a hash, as other texts are that a device would not take for themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from gateway.config.devices import Bigip
from gateway.engine.network.bigip.as3.lint import faults_of
from gateway.engine.network.bigip.as3.names import SHARED, safe
from gateway.engine.network.bigip.as3.records import records_in
from gateway.engine.network.bigip.as3.schema import schema_faults
from gateway.engine.network.desired import Desired
from gateway.engine.network.documents import Document, Recipe, json_document, lines_document

VENDOR: Final = "bigip"
SEPARATOR: Final = ":="


def recipe_of(device: Bigip, render: Callable[[Desired], dict[str, Any]]) -> Recipe:
    """``render``: of one environment, as for its `BigipTarget`."""

    def faults(content: Any) -> Sequence[str]:
        return (*faults_of(content), *schema_faults(content, device.as3_schema))

    return Recipe(VENDOR, render, faults, documents_of)


def documents_of(declaration: Mapping[str, Any]) -> Mapping[str, Document]:
    """Raises `DeviceFault` where a data group has no record."""
    made = {"as3.json": json_document(declaration)}
    for tenant in declaration.values():
        shared = tenant.get(SHARED) if isinstance(tenant, dict) else None
        for name, group in shared.items() if isinstance(shared, dict) else ():
            if isinstance(group, dict) and group.get("class") == "Data_Group":
                records = records_in(group)
                made[f"data-groups/{name}.txt"] = lines_document(
                    f'"{_quoted(key)}" {SEPARATOR} "{_quoted(value)}",' for key, value in records.items()
                )
    return made


def _quoted(text: str) -> str:
    return safe(text.replace(SEPARATOR, "\0"))
