"""The emulator takes the vendor's own example declarations, and refuses those that the engine refuses.

A dry run, as the engine's own, does not ask the device; a deploy does. Without the examples these skip.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from gateway.lab.bigip import requests
from gateway.lab.bigip.collections import UNMAPPED
from gateway.lab.bigip.refusals import Refusal
from gateway.lab.bigip.unit import Unit
from tests.support.bigip import official_schema, recorded

MISSPELT = "example-mcp-irule.json"  # says `proflieSSE`: valid by the schema, and a name that exists nowhere
COLLIDING = "example-using-ftp-sip-profiles.json"  # two virtual servers at one address and port
PATCH = "example-add-application-to-tenant-via-patch.json"


def _device_objects(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("bigip"), str) and "class" not in part:
            yield part["bigip"]
        for value in part.values():
            yield from _device_objects(value)
    elif isinstance(part, list):
        for value in part:
            yield from _device_objects(value)


def _unit_with(declaration: Any) -> Unit:
    """A device that has what the example refers to."""
    unit = Unit(schema=official_schema())
    for path in _device_objects(declaration):
        if not any(unit.tree.find(collection, path) for collection in unit.tree.collections()):
            unit.tree.put(UNMAPPED, path, {"declared": {}})
    return unit


def _outcome(declaration: Any, *, dry_run: bool) -> tuple[int, Any]:
    """Of each declaration in turn; the first that is not taken ends it."""
    unit = _unit_with(declaration)
    query = {"controls.dryRun": "true"} if dry_run else {}
    for one in declaration if isinstance(declaration, list) else [declaration]:
        if one.get("action") == "redeploy":
            continue  # of a history that nobody has here
        try:
            unit.engine.check_names(one)
            status, body = asyncio.run(unit.engine.run(requests.asked_of(one, query)))
        except Refusal as refusal:
            return refusal.status, refusal.body
        if status != 200:
            return status, body
    return 200, None


def _examples(*, valid: bool) -> list[dict[str, Any]]:
    return [one for one in recorded("as3/examples.json") if one["schema"] == "as3" and one["valid"] is valid]


def test_every_valid_example_is_accepted() -> None:
    examples = _examples(valid=True)
    assert len(examples) == 275
    for example in examples:
        if example["name"] == PATCH:
            continue
        status, body = _outcome(example["declaration"], dry_run=True)
        if example["name"] == MISSPELT:
            assert (status, body["message"]) == (422, "Invalid data property: proflieSSE")
        else:
            assert status == 200, f"{example['name']}: {body}"


def test_the_patch_example_is_taken_as_a_patch() -> None:
    (example,) = [one for one in _examples(valid=True) if one["name"] == PATCH]
    tenant = example["declaration"][0]["path"].split("/")[1]
    patched = requests.patched({"class": "ADC", tenant: {"class": "Tenant"}}, example["declaration"])
    assert patched[tenant]["NewAPP"] == example["declaration"][0]["value"]


def test_the_device_takes_all_but_the_one_that_collides() -> None:
    """A dry run accepts what the device then refuses."""
    refused = {}
    for one in _examples(valid=True):
        if one["name"] not in (PATCH, MISSPELT):
            status, body = _outcome(one["declaration"], dry_run=False)
            if status != 200:
                refused[one["name"]] = body["results"][0]["response"]
    assert list(refused) == [COLLIDING]
    assert "illegally shares destination address" in refused[COLLIDING]


def test_invalid_examples_are_refused_unless_the_device_supplies_what_lacks() -> None:
    supplied = []
    for example in _examples(valid=False):
        status, body = _outcome(example["declaration"], dry_run=True)
        if status == 200:
            supplied.append(example["name"])
        else:
            assert status == 422, f"{example['name']}: {body}"
    assert sorted(supplied) == [
        "example-big-ip-pem.json",
        "example-dry-run-controls.json",
        "example-endpoint-policy-tcp-condition.json",
        "example-http-extra-virtual-servers.json",
        "example-http-https-one-declaration.json",
        "example-pem-irule.json",
        "example-using-firewall-rules-policies-logging.json",
    ]
