"""AS3's JSON schema, as a file that the caller names: validation with AJV's words, and the names it knows at all.

The project ships no schema. Without the file a device refuses by its other rules alone.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import jsonschema_rs

from gateway.lab.bigip.refusals import Json

SECRET_HEADER: Final = "eyJhbGciOiJkaXIiLCJlbmMiOiJub25lIn0"
WORDS: Final[dict[str, Callable[[Any], str]]] = {
    "maximum": lambda kind: f"should be <= {kind.limit}",
    "minimum": lambda kind: f"should be >= {kind.limit}",
    "exclusiveMaximum": lambda kind: f"should be < {kind.limit}",
    "exclusiveMinimum": lambda kind: f"should be > {kind.limit}",
    "type": lambda kind: f"should be {','.join(kind.types)}",
    "required": lambda kind: f"should have required property '{kind.property}'",
    "additionalProperties": lambda _: "should NOT have additional properties",
    "enum": lambda kind: f"should be equal to one of the allowed values {_listed(kind.options)}",
    "format": lambda kind: f'should match format "{kind.format}"',
    "const": lambda _: "should be equal to constant",
    "maxLength": lambda kind: f"should NOT be longer than {kind.limit} characters",
    "minLength": lambda kind: f"should NOT be shorter than {kind.limit} characters",
    "maxItems": lambda kind: f"should NOT have more than {kind.limit} items",
    "minItems": lambda kind: f"should NOT have fewer than {kind.limit} items",
    "maxProperties": lambda kind: f"should NOT have more than {kind.limit} properties",
    "minProperties": lambda kind: f"should NOT have fewer than {kind.limit} properties",
    "oneOf": lambda _: "should match exactly one schema in oneOf",
    "not": lambda _: "should NOT be valid",
    "uniqueItems": lambda _: "should NOT have duplicate items",
}


def _listed(options: Any) -> str:
    return json.dumps(options, separators=(",", ":"))


def is_address(text: str) -> bool:
    """An IP address, with or without a route domain and the length of a network."""
    address, _, bits = text.partition("/")
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return not text
    return not bits or (bits.isdecimal() and int(bits) <= found.max_prefixlen)


class Schema:
    """Raises `OSError` and `ValueError` for a file that is no schema."""

    def __init__(self, path: Path) -> None:
        whole: Json = json.loads(path.read_bytes())
        definitions = whole["definitions"]
        self._adc = jsonschema_rs.Draft7Validator({**_head(whole), "definitions": definitions,
                                                   "$ref": "#/definitions/ADC"},
                                                  validate_formats=True, formats={"f5ip": is_address})  # fmt: skip
        self.names = frozenset(_property_names(whole))

    def first_error(self, declaration: Json) -> str:
        """Empty where the declaration is valid once the device has filled in what it fills in."""
        for error in self._adc.iter_errors(filled(declaration)):
            return _said(error)
        return ""


def _head(whole: Json) -> Json:
    return {"$schema": whole["$schema"]}


def _property_names(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        properties = part.get("properties")
        if isinstance(properties, dict):
            yield from properties
        for value in part.values():
            yield from _property_names(value)
    elif isinstance(part, list):
        for value in part:
            yield from _property_names(value)


def _said(error: Any) -> str:
    """The path and AJV's words, of the first way in which nothing matches."""
    while error.kind.name in ("anyOf", "oneOf") and getattr(error.kind, "context", None) and error.kind.context[0]:
        error = error.kind.context[0][0]
    where = "/" + "/".join(str(step) for step in error.instance_path)
    if error.kind.name == "propertyNames":
        inner = error.kind.error
        said = _said(inner).rpartition("should ")[2]
        return f"{where}: propertyName {json.dumps(inner.instance)} should {said}"
    if error.kind.name == "pattern":
        return f'{where}: data {json.dumps(error.instance)} should match pattern "{error.kind.pattern}"'
    words = WORDS.get(error.kind.name)
    return f"{where}: {words(error.kind) if words else error.message}"


def filled(part: Any, name: str = "") -> Any:
    """A copy with the defaults that examples leave out and the device supplies."""
    if isinstance(part, list):
        return [filled(item, name) for item in part]
    if not isinstance(part, dict):
        return part
    found = {key: filled(value, key) for key, value in part.items()}
    if name == "controls":
        found.setdefault("class", "Controls")
    if "ciphertext" in found:
        found.setdefault("protected", SECRET_HEADER)
    if "values" in found and name == "port":
        found.setdefault("operand", "equals")
    return found
