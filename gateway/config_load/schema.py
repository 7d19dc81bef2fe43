"""JSON Schema (2020-12) of `stagedoor.yaml`, for editors and for pipelines that check the file before it is deployed.

The models say it all; what is changed here is form. Noise goes (titles made of key names, defaults that are null), an
optional text is one type of two instead of an alternative, a mapping with checked keys refuses the others, and the
defaults that live in `gateway.config` stand beside their keys. The schema takes whatever the loader takes; the
loader alone knows what values mean together, so `stagedoor check` has the last word.
"""

from __future__ import annotations

from typing import Any, Final

from gateway import config
from gateway.config.sign_in import Sessions
from gateway.config_load.models import DocumentModel

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
IDENTITY: Final = "https://stagedoor.dev/schemas/stagedoor.json"
_SIZES: Final = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B"))
_DURATIONS: Final = ((3600, "h"), (60, "m"), (1, "s"))

Schema = dict[str, Any]


def configuration_schema() -> Schema:
    """The schema of the whole file."""
    made = DocumentModel.model_json_schema()
    kinds: Schema = made.pop("$defs")
    _put_defaults(kinds["LimitsModel"], config.Limits())
    _put_defaults(kinds["TimeoutsModel"], config.Timeouts())
    _put_defaults(kinds["SessionsModel"], Sessions())
    kinds["DrainModel"]["properties"]["finish"]["default"] = _written_s(config.Timeouts().drain_finish_s)
    return {
        "$schema": DIALECT,
        "$id": IDENTITY,
        "title": "stagedoor.yaml",
        "description": "The configuration of Stagedoor. Paths are relative to the file.",
        **_plain(made),
        "$defs": {name: _plain(kind) for name, kind in sorted(kinds.items())},
    }


def _put_defaults(kind: Schema, defaults: config.Limits | config.Timeouts | Sessions) -> None:
    """A dataclass of settings says what its keys mean when they are left out."""
    for key, said in kind["properties"].items():
        if (size := getattr(defaults, f"{key}_bytes", None)) is not None:
            said["default"] = _written_bytes(size) if size else None  # 0: without a limit
        elif (duration := getattr(defaults, f"{key}_s", None)) is not None:
            said["default"] = _written_s(duration)
        elif isinstance(number := getattr(defaults, key, None), int):
            said["default"] = number


def _written_bytes(size: int) -> str:
    unit, name = next(each for each in _SIZES if size % each[0] == 0)
    return f"{size // unit}{name}"


def _written_s(duration_s: float) -> str:
    unit, name = next((each for each in _DURATIONS if duration_s and duration_s % each[0] == 0), (1, "s"))
    return f"{duration_s / unit:g}{name}"


def _plain(schema: Schema) -> Schema:
    """One schema and all inside it, in the form described above."""
    made = _flat({key: _inner(key, value) for key, value in schema.items() if key != "title"})
    if made.get("default", "") is None or isinstance(made.get("default"), dict):
        del made["default"]  # what a left-out mapping holds is said key by key
    if "patternProperties" in made:
        made["additionalProperties"] = False
        made.pop("propertyNames", None)
    return made


def _inner(key: str, value: Any) -> Any:
    if key in ("properties", "patternProperties", "$defs"):
        return {name: _plain(each) for name, each in value.items()}
    if key in ("items", "additionalProperties", "propertyNames") and isinstance(value, dict):
        return _plain(value)
    return [_plain(each) for each in value] if key == "anyOf" else value


def _flat(schema: Schema) -> Schema:
    """`X or null` as one type of two, where X is a plain type."""
    alternatives: list[Schema] = schema.get("anyOf", [])
    if len(alternatives) != 2 or alternatives[1] != {"type": "null"}:
        return schema
    first = alternatives[0]
    if "type" not in first or "enum" in first:
        return schema
    outer = {key: value for key, value in schema.items() if key != "anyOf"}
    return {**first, **outer, "type": [first["type"], "null"]}
