"""APM objects that an environment and its mapping name: are they there, and do their branches test what is expected?

Three requests, however many services have profiles of their own. What branches do beside that is nobody's word but
theirs: doors check every token again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final
from urllib.parse import quote

from gateway.engine.network.bigip.as3.apm import Apm
from gateway.engine.network.bigip.device.client import Client
from gateway.engine.network.bigip.device.looking_up import Held, absent, objects_at
from gateway.engine.network.bigip.objects import Parts, listed
from gateway.engine.network.plans.phrases import some
from gateway.engine.network.transport.texts import shown

PROFILES: Final = "apm/profile/access"
POLICIES: Final = "apm/policy/access-policy"
ITEMS: Final = "apm/policy/policy-item"
_PER_REQUEST: Final = "per-rq-policy"


async def apm_parts(client: Client, wanted: Sequence[Apm]) -> Parts:
    """By path; a ``remark`` where something is wrong. Raises `DeviceFault`."""
    if not wanted:
        return {}
    profiles = await objects_at(client, PROFILES, (apm.access_profile for apm in wanted))
    testing = [apm for apm in wanted if apm.claims and apm.access_profile in profiles]
    named = {policy for apm in testing if (policy := _policy_of(profiles[apm.access_profile]))}
    asked = {apm.per_request_policy for apm in wanted} - {""}
    policies = await objects_at(client, POLICIES, named | asked)
    tested = await _expressions(client, policies) if testing else {}
    parts: Parts = {}
    for apm in wanted:
        if apm.access_profile not in profiles:
            parts[apm.access_profile] = absent(apm.access_profile, "access_profile")
        else:
            parts.setdefault(apm.access_profile, {"kind": "access"})
    for path in sorted(asked):
        parts[path] = _request_policy(path, policies.get(path))
    for apm in testing:
        both = [_policy_of(profiles[apm.access_profile]), apm.per_request_policy]
        if remarks := list(_untested(apm, [path for path in both if path], tested)):
            held = parts[apm.access_profile]
            told = [*filter(None, [held.get("remark", "")]), *remarks]
            parts[apm.access_profile] = {**held, "remark": "; ".join(dict.fromkeys(told))}
    return parts


def _policy_of(profile: Held) -> str:
    policy = profile.get("accessPolicy")
    return policy if isinstance(policy, str) else ""


def _request_policy(path: str, held: Held | None) -> dict[str, Any]:
    if held is None:
        return absent(path, "per_request_policy")
    kind = held.get("type")
    if isinstance(kind, str) and kind != _PER_REQUEST:
        return {"kind": "access", "remark": f"`{path}` (`per_request_policy`) is no per-request policy: {shown(kind)}"}
    return {"kind": "access"}


async def _expressions(client: Client, policies: dict[str, Held]) -> dict[str, list[str]]:
    """The Tcl tests on the items of each policy."""
    partitions = {_partition_of(path) for path in policies}
    only = f"?$filter=partition+eq+{quote(min(partitions), safe='')}" if len(partitions) == 1 else ""
    answer = await client.read(f"/mgmt/tm/{ITEMS}{only}")
    items: dict[str, list[Held]] = {}
    for item in listed(answer.get("items")) if isinstance(answer, dict) else ():
        if isinstance(item, dict):
            items.setdefault(min(partitions) if only else str(item.get("partition")), []).append(item)
    return {path: _tests(held, items.get(_partition_of(path), [])) for path, held in policies.items()}


def _partition_of(path: str) -> str:
    return path.strip("/").partition("/")[0]


def _tests(policy: Held, items: Iterable[Held]) -> list[str]:
    own = {str(each.get("name")) for each in listed(policy.get("items")) if isinstance(each, dict)}
    rules = [rule for item in items if str(item.get("name")) in own for rule in listed(item.get("rules"))]
    return [str(rule.get("expression", "")) for rule in rules if isinstance(rule, dict)]


def _untested(apm: Apm, policies: Sequence[str], tested: dict[str, list[str]]) -> Iterator[str]:
    """Claims that no branch looks at, and values that none compares them with."""
    where = f"access policy {' and '.join(f'`{shown(path)}`' for path in policies) or 'of that profile'}"
    expressions = [each for path in policies for each in tested.get(path, [])]
    by_claim = {claim: [each for each in expressions if _looks_at(claim, each)] for claim, _ in apm.claims}
    if none := [claim for claim, found in by_claim.items() if not found]:
        yield f"no branch of {where} tests {some(none)}"
    for claim, values in apm.claims:
        missing = [value for value in values if not any(_holds(value, each) for each in by_claim[claim])]
        if missing and by_claim[claim]:
            yield f"no branch of {where} compares `{claim}` with {some(missing)}"


def _looks_at(claim: str, expression: str) -> bool:
    """Whether a session variable that ends in the claim's name is in it."""
    return re.search(rf"\{{[\w.-]*\b{re.escape(claim)}\}}", expression) is not None


def _holds(value: str, expression: str) -> bool:
    """Whether the value stands there as a word of its own."""
    return re.search(rf"(?<![\w./:-]){re.escape(value)}(?![\w./:-])", expression) is not None
