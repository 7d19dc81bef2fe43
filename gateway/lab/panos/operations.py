"""`type=op`: which function a command is for. A command's name is the way down its elements, until its arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from xml.etree.ElementTree import Element

from gateway.lab.panos import committing, identity_shows, rule_shows, saved, shows
from gateway.lab.panos.admins import Admin
from gateway.lab.panos.answers import Answer, Declined, result
from gateway.lab.panos.device import Device
from gateway.lab.panos.shows import Asked

Operation = Callable[[Asked], Answer]


def _validate(asked: Asked) -> Answer:
    return committing.validate(asked.device, asked.admin, asked.node)


def _revert(asked: Asked) -> Answer:
    return committing.revert(asked.device, asked.admin, asked.node)


def _ready(_: Asked) -> Answer:
    return result(text="yes\n")


COMMANDS: Final[dict[str, Operation]] = {
    "check full-commit-required": shows.full_commit_required,
    "check pending-changes": shows.pending,
    "clear rule-hit-count": rule_shows.clear_hits,
    "delete config saved": saved.delete,
    "load config from": saved.load,
    "load config last-saved": saved.load,
    "load config version": saved.load,
    "request api key expiration": shows.expire_keys,
    "request commit-lock": shows.lock,
    "request config-lock": shows.lock,
    "request high-availability state functional": shows.functional,
    "request high-availability state suspend": shows.suspend,
    "request high-availability sync-to-remote running-config": shows.synchronise,
    "request password-hash password": shows.password_hash,
    "request restart system": shows.restart,
    "request system external-list list-capacities": shows.list_capacities,
    "request system external-list refresh": shows.refresh_list,
    "request system external-list show": shows.show_list,
    "revert config": _revert,
    "save config to": saved.save,
    "set audit-comment": rule_shows.set_comment,
    "show admins": shows.admins,
    "show chassis-ready": _ready,
    "show clock": shows.clock,
    "show commit-locks": shows.locks,
    "show config audit version": saved.audited,
    "show config candidate": saved.show_one,
    "show config diff": saved.differences,
    "show config list audit-comments": rule_shows.comments,
    "show config list change-summary": shows.change_summary,
    "show config list changes": shows.changes,
    "show config merged": saved.show_one,
    "show config pushed-shared-policy": shows.pushed,
    "show config running": saved.show_one,
    "show config saved": saved.show,
    "show config-locks": shows.locks,
    "show devicegroups": shows.device_groups,
    "show devices all": shows.devices,
    "show devices connected": shows.devices,
    "show high-availability state": shows.high_availability,
    "show interface": shows.interface,
    "show jobs all": shows.jobs,
    "show jobs id": shows.job,
    "show jobs pending": shows.jobs,
    "show jobs processed": shows.jobs,
    "show object dynamic-address-group": identity_shows.dynamic_address_groups,
    "show object registered-ip": identity_shows.registered_addresses,
    "show object registered-user": identity_shows.registered_users,
    "show rule-hit-count": rule_shows.hit_counts,
    "show running security-policy": rule_shows.running_policy,
    "show system info": shows.system_info,
    "show user group list": identity_shows.user_groups,
    "show user group name": identity_shows.user_group,
    "show user ip-user-mapping": identity_shows.mappings,
    "show user ip-user-mapping-mp": identity_shows.mappings,
    "test security-policy-match": rule_shows.match,
    "validate full": _validate,
    "validate partial": _validate,
}
ON_PANORAMA_ALONE: Final = ("show devices", "show devicegroups")
SCOPED_ELSEWHERE: Final = ("request config-lock", "request commit-lock", "show config-locks", "show commit-locks")


def operate(device: Device, admin: Admin, command: Element, vsys: str) -> Answer:
    """Raises `Declined`; 17 for what is not known here."""
    name, node = _named(command)
    if name not in COMMANDS or (name.startswith(ON_PANORAMA_ALONE) and not device.panorama):
        raise Declined(17, f"{name.replace(' ', ' -> ')} unexpected here")
    if vsys and not device.panorama and name not in SCOPED_ELSEWHERE:
        device.vsys_named(vsys)
    return COMMANDS[name](Asked(device, admin, node, vsys))


def _named(command: Element) -> tuple[str, Element]:
    """The longest name that is known on the way down the first children, and where it ends."""
    steps, node, found = [command.tag], command, ("", command)
    while True:
        if " ".join(steps) in COMMANDS:
            found = (" ".join(steps), node)
        if not len(node) or len(steps) > 6:
            break
        node = node[0]
        steps.append(node.tag)
    return found if found[0] else (" ".join(steps), node)
