"""Holds a declaration against AS3's own JSON schema, where the operator has given it and `jsonschema-rs` is installed.

The schema is the device's: `as3-schema.json` of the release that runs there. It finds what `lint.py` does not look
for (types, ranges, required properties); what it lets pass is lint's business. Without it nothing here finds a fault.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from typing import Any, Final

from gateway.engine.network.faults import DeviceFault

SHOWN: Final = 20  # faults of one declaration
DIALECT: Final = "http://json-schema.org/draft-07/schema#"
_Examine = Callable[[Mapping[str, Any]], list[str]]
_examiners: dict[tuple[str, int, int], _Examine] = {}  # by file, time and size; compiling one takes a while


def schema_faults(declaration: Mapping[str, Any], file: str) -> list[str]:
    """Each fault as one sentence that begins with its place; [] without a ``file``. Raises `DeviceFault` when the
    schema cannot be used, or nothing is installed that could."""
    return _examiner(file)(declaration) if file else []


def _examiner(file: str) -> _Examine:
    try:
        state = os.stat(file)
        stamp = (file, state.st_mtime_ns, state.st_size)
        if stamp not in _examiners:
            with open(file, "rb") as opened:
                schema = json.load(opened)
            _examiners.clear()
            _examiners[stamp] = _compiled(schema)
    except OSError as error:
        raise DeviceFault(f"cannot read `{file}`: {str(error.strerror).lower()}") from None
    except ValueError as error:
        raise DeviceFault(f"`{file}` is no schema that can be used: {_first_line(error)}") from None
    return _examiners[stamp]


def _compiled(schema: Any) -> _Examine:
    """Of a single declaration: against the whole schema nobody could tell which of its five forms was meant."""
    try:
        import jsonschema_rs
    except ImportError:
        message = "`as3_schema` needs jsonschema-rs: install `stagedoor[server,as3]`, or leave the key out"
        raise DeviceFault(message) from None
    if not isinstance(schema, dict) or "ADC" not in schema.get("definitions", {}):
        raise ValueError("it defines no `ADC`")
    dialect = schema.get("$schema", DIALECT)
    form = {"$schema": dialect, "$ref": "#/definitions/ADC", "definitions": schema["definitions"]}
    validator = jsonschema_rs.validator_for(form)

    def examine(declaration: Mapping[str, Any]) -> list[str]:
        faults: dict[str, None] = {}
        for error in validator.iter_errors(declaration):
            faults[f"/{'/'.join(map(str, error.instance_path))}: {_first_line(error)}"] = None
            if len(faults) == SHOWN:
                break
        return list(faults)

    return examine


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]
