"""Whether what an object of a declaration points to is in the declaration, and of the class that belongs there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

# Property → the class that it points to.
_POINTERS: Final = {
    "pool": "Pool", "profileHTTP": "HTTP_Profile", "profileMultiplex": "Multiplex_Profile", "clientTLS": "TLS_Client",
    "serverTLS": "TLS_Server", "monitors": "Monitor", "iRules": "iRule", "clientCertificate": "Certificate",
    "trustCA": "CA_Bundle",
}  # fmt: skip
_WORDS: Final = ("basic", "http", "https", "tcp", "icmp", "generic", "none")  # in place of a pointer


def pointer_faults(
    held: Mapping[str, Any], application: Mapping[str, Any], tenant: Mapping[str, Any], name: str
) -> Iterator[str]:
    """Of the object ``held`` in ``application`` of the tenant ``name``."""
    for pointer, wanted in _pointed(held):
        if fault := _leads_nowhere(pointer, wanted, application, tenant, name):
            yield fault


def _pointed(held: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What an object points to within the declaration, and of which class it should be."""
    for key, wanted in _POINTERS.items():
        values = held.get(key)
        for value in values if isinstance(values, list) else [values]:
            if isinstance(value, str) and value not in _WORDS:
                yield value, wanted
            elif isinstance(value, dict) and "use" in value:
                yield str(value["use"]), wanted


def _leads_nowhere(
    pointer: str, wanted: str, application: Mapping[str, Any], tenant: Mapping[str, Any], name: str
) -> str:
    parts = pointer.split("/")
    if len(parts[-1]) < 2:
        return f"points to `{pointer}`: AS3 refuses names of one character"
    if len(parts) == 1:
        found = application.get(pointer)
    elif len(parts) == 4 and parts[:2] == ["", name] and _is_a(tenant.get(parts[2]), "Application"):
        found = tenant[parts[2]].get(parts[3])
    else:
        found = None
    if not _is_a(found, wanted):
        return f"points to `{pointer}`, where there is no {wanted}"
    return ""


def _is_a(value: Any, kind: str) -> bool:
    return isinstance(value, dict) and value.get("class") == kind
