"""The APM mapping: which access profile and per-request policy of a BIG-IP stand before which services, and which
claims their branches are expected to test. One file, reviewed like the access policy, for all environments of a device.

    version: 1
    environments:
      prod:
        - for: {teams: [hr]}
          access_profile: /Common/hr
          per_request_policy: /Common/hr-claims
          claims: {groups: [hr, payroll], acr: []}

Profiles and policies exist on the device and are attached by name; nothing of APM is written. An entry is for services
with an address of their own: an address has one profile, so the shared one has what the settings of the environment
say, as has every service that no entry is for. Of several entries that are for a service the first decides. ``for``
must fit in all that it says. No claim is compared here: branches are looked at on the device, read-only.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from gateway import documents
from gateway.config.devices import ApmEntry
from policy.facts import Source
from policy.reading import Fault, Reader, ref_of

VERSION: Final = 1
MOST: Final = 1000  # entries of one environment
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
IDENTITY: Final = "https://stagedoor.dev/schemas/apm-mapping.json"
OBJECT: Final = r"(?:/[0-9A-Za-z_][0-9A-Za-z_.-]{0,127}){2,3}"
CLAIM: Final = r"[A-Za-z0-9_.:/-]{1,128}"
_HOST: Final = r"(?:\*\.)?[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?"
_SELECTORS: Final = ("services", "teams", "hosts")
_KEYS: Final = ("for", "access_profile", "per_request_policy", "claims")
_OBJECT_FORM: Final = re.compile(OBJECT + r"\Z")
_CLAIM_FORM: Final = re.compile(CLAIM + r"\Z")
_HOST_FORM: Final = re.compile(_HOST + r"\Z")
_VALUE_FORM: Final = re.compile(r"[\x20-\x7e]{1,200}\Z")
_NO_OBJECT: Final = "write the whole path of what exists on the BIG-IP, `/Common/name`"

Path_ = tuple[str | int, ...]


def read_mapping(file: str) -> tuple[dict[str, tuple[ApmEntry, ...]], tuple[Fault, ...]]:
    """By environment, the entries of a file; to be used only where it has no fault."""
    found, faults = documents.read_file(Path(file))
    faults = [*faults, *(fault for document in found for fault in document.faults)]
    if not faults and len(found) != 1:
        faults = [Fault(Source(file), f"file holds {len(found)} documents, expected one")]
    if faults:
        return {}, tuple(faults)
    reader = Reader(found[0].locate)
    said = reader.mapping(found[0].value, (), ("version", "environments"))
    if said.get("version") != VERSION:
        reader.fault(("version",), f"`version` must be {VERSION}", f"write `version: {VERSION}`")
    environments = reader.mapping(said.get("environments"), ("environments",), example="{prod: […]}")
    if not environments:
        reader.fault(("environments",), "`environments` names none", "say which entries are for which environment")
    made = {name: _entries(reader, entries, name) for name, entries in environments.items()}
    return made, tuple(reader.faults)


def _entries(reader: Reader, node: object, environment: str) -> tuple[ApmEntry, ...]:
    path: Path_ = ("environments", environment)
    listed = reader.mappings(node, path)
    if len(listed) > MOST:
        reader.fault(path, f"`{environment}` has {len(listed)} entries, and {MOST} is the most", "select by team")
    entries = [_entry(reader, item, place) for place, item in listed[:MOST]]
    seen: dict[tuple[Any, ...], int] = {}
    for number, entry in enumerate(entries, start=1):
        first = seen.setdefault((entry.services, entry.teams, entry.hosts), number)
        if first != number:
            message = f"entry {number} of `{environment}` is for the same as entry {first}, which decides"
            reader.fault((*path, number - 1), message, "leave one of them out")
    return tuple(entries)


def _entry(reader: Reader, node: object, path: Path_) -> ApmEntry:
    said = reader.mapping(node, path, _KEYS)
    wanted = reader.mapping(said.get("for"), (*path, "for"), _SELECTORS, "{teams: [NAME]}")
    if not any(wanted.values()):
        hint = "what all services have is said by `access_profile` of the environment's settings"
        reader.fault(path, "an entry says `for` which services it is: `services`, `teams`, `hosts`", hint)
    hosts = _listed(reader, wanted, "hosts", path)
    for host in hosts:
        if not _HOST_FORM.match(host):
            reader.fault((*path, "for", "hosts"), f"`{host[:60]}` is no host", "write `pay.example.com`, without port")
    if "access_profile" not in said:
        reader.fault(path, "`access_profile` is missing", "an entry attaches one")
    at = reader.locate(path)
    return ApmEntry(
        services=tuple(ref_of(each, "component") for each in _listed(reader, wanted, "services", path)),
        teams=tuple(ref_of(each, "group") for each in _listed(reader, wanted, "teams", path)),
        hosts=tuple(host.lower() for host in hosts),
        access_profile=_object(reader, said, "access_profile", path),
        per_request_policy=_object(reader, said, "per_request_policy", path),
        claims=_claims(reader, said.get("claims"), (*path, "claims")),
        place=f"{Path(at.file).name}:{at.line}",
    )


def _listed(reader: Reader, wanted: Any, key: str, path: Path_) -> tuple[str, ...]:
    return reader.texts(wanted[key], (*path, "for", key)) if key in wanted else ()


def _object(reader: Reader, said: Any, key: str, path: Path_) -> str:
    if key not in said:
        return ""
    text = reader.text(said[key], (*path, key))
    if text and not _OBJECT_FORM.match(text):
        reader.fault((*path, key), f"`{text[:60]}` names nothing on a BIG-IP", _NO_OBJECT)
    return text


def _claims(reader: Reader, node: object, path: Path_) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Claim -> values that its branches have to compare it with; () for any."""
    found = []
    for claim, values in reader.mapping(node, path, example="{groups: [NAME]}").items():
        texts = reader.texts(values, (*path, claim))
        if not _CLAIM_FORM.match(claim):
            reader.fault((*path, claim), f"`{claim[:60]}` is no name of a claim")
        for text in texts:
            if not _VALUE_FORM.match(text):
                reader.fault((*path, claim), f"a value of `{claim[:60]}` is not at most 200 plain characters")
        found.append((claim, texts))
    return tuple(found)


# === for editors ===


def mapping_schema() -> dict[str, Any]:
    """JSON Schema of the file. The reader is the authority; this says the same as far as a schema can."""
    return {
        "$schema": DIALECT,
        "$id": IDENTITY,
        "title": "APM mapping",
        "description": "Which APM profiles stand before which services with an address of their own.",
        **_object_of({"version": {"const": VERSION}, "environments": _environments()}, ["version", "environments"]),
    }


def _environments() -> dict[str, Any]:
    entry = _object_of(
        {
            "for": {
                **_object_of({
                    "services": _texts("Components, by ref."),
                    "teams": _texts("Groups that own them, by ref."),
                    "hosts": _texts("Hosts; one of the service's is enough.", _HOST),
                }, []),
                "minProperties": 1, "description": "All of it must fit.",
            },
            "access_profile": _path("An APM access profile that exists."),
            "per_request_policy": _path("An APM per-request policy that exists."),
            "claims": {
                "description": "Claims that branches must test, each with the values they must compare it with.",
                "type": ["object", "null"], "additionalProperties": False,
                "patternProperties": {f"^{CLAIM}$": _texts("Values; none: any.")},
            },
        },
        ["for", "access_profile"],
    )  # fmt: skip
    lists = {"type": ["array", "null"], "maxItems": MOST, "items": entry}
    return {"description": "By environment; the first entry that fits decides.", "type": "object", "minProperties": 1,
            "additionalProperties": lists}  # fmt: skip


def _object_of(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    made = {"type": "object", "additionalProperties": False, "properties": properties}
    return {**made, "required": required} if required else made


def _path(description: str) -> dict[str, Any]:
    return {"description": description, "type": "string", "pattern": f"^{OBJECT}$"}


def _texts(description: str, pattern: str = r"\S") -> dict[str, Any]:
    one = {"type": "string", "pattern": pattern if pattern == r"\S" else f"^{pattern}$"}
    return {"description": description, "anyOf": [one, {"type": "array", "items": one}, {"type": "null"}]}
