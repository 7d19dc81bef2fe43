"""Members that an operator took out of a pool, and declarations that leave them out.

A declaration that says nothing about a member puts it back into service. So what is sent says of each drained member
that it is drained, in the operator's way: `disable` lets its connections end, `offline` its sessions too. Kept is
what the device shows when something is sent, not what it showed when the plan was made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gateway.engine.network.bigip.objects import at_port, is_nameless, listed, names_of

IN_SERVICE: Final = "enable"


def drains_of(parts: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Path of the pool and name of the member -> the `adminState` that keeps it so."""
    return {
        path: "offline" if part.get("state") == "user-down" else "disable"
        for path, part in sorted(parts.items())
        if part.get("kind") == "member" and (part.get("session") == "user-disabled" or part.get("state") == "user-down")
    }


def with_drains(name: str, tenant: Mapping[str, Any], drains: Mapping[str, str]) -> dict[str, Any]:
    """The tenant ``name`` with the members of ``drains`` as they are, all others in service."""
    return {
        application: {
            own: _kept(f"/{name}/{application}/{own}", value, drains) if _is_pool(value) else value
            for own, value in members.items()
        }
        if isinstance(members, dict)
        else members
        for application, members in tenant.items()
    }


def _is_pool(value: object) -> bool:
    return isinstance(value, dict) and value.get("class") == "Pool" and isinstance(value.get("members"), list)


def _kept(path: str, pool: Mapping[str, Any], drains: Mapping[str, str]) -> dict[str, Any]:
    entries = []
    for entry in pool["members"]:
        if is_nameless(entry):
            entries.append(entry)
            continue
        bare = {key: value for key, value in entry.items() if key != "adminState"}
        by_state: dict[str, list[str]] = {IN_SERVICE: []}
        for address in listed(entry["serverAddresses"]):
            state = drains.get(f"{path} {at_port(str(address), entry.get('servicePort'))}", IN_SERVICE)
            by_state.setdefault(state, []).append(address)
        for state, addresses in by_state.items():
            if addresses:
                said = {} if state == IN_SERVICE else {"adminState": state}
                entries.append({**bare, "serverAddresses": addresses, **said})
    return {**pool, "members": entries}


def without_drains(name: str, tenant: Mapping[str, Any]) -> dict[str, Any]:
    """The tenant with its pools' members one by one, in order, all in service: so two declarations are compared."""
    kept = with_drains(name, tenant, {})
    for members in kept.values():
        for own, value in members.items() if isinstance(members, dict) else ():
            if _is_pool(value):
                members[own] = {**value, "members": _one_by_one(value["members"])}
    return kept


def _one_by_one(entries: list[Any]) -> list[Any]:
    """Those without addresses stay as they are: another writer's, that somebody else fills in."""
    single = [
        each
        for entry in entries
        for each in (
            [entry]
            if is_nameless(entry)
            else [{**entry, "serverAddresses": [address]} for address in listed(entry["serverAddresses"])]
        )
    ]
    return sorted(single, key=lambda entry: names_of(entry)[0])
