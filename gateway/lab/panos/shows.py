"""Operational commands about the device: system, jobs, locks, what is pending, the pair, what Panorama manages."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from xml.etree.ElementTree import Element

from gateway.lab.panos import accounts
from gateway.lab.panos.admins import Admin
from gateway.lab.panos.answers import Answer, Declined, at, element, result
from gateway.lab.panos.committing import needs_full, wanted_by
from gateway.lab.panos.configuration import Entry, anything
from gateway.lab.panos.device import Device


@dataclass(frozen=True)
class Asked:
    """One operational command. ``node`` is where its name ends; what lies below are its arguments."""

    device: Device
    admin: Admin
    node: Element
    vsys: str


def system_info(asked: Asked) -> Answer:
    device = asked.device
    said = {
        "hostname": device.hostname,
        "devicename": device.hostname,
        "ip-address": device.address,
        "model": "Panorama" if device.panorama else device.model,
        "serial": device.serial,
        "sw-version": device.version,
        "app-version": "8800-1000",
        "family": "pc" if device.panorama else "vm",
        "operational-mode": "normal",
        "system-mode": "panorama",
        "multi-vsys": "on" if len(device.vsys) > 1 else "off",
        "time": datetime.fromtimestamp(device.now(), UTC).strftime("%a %b %d %H:%M:%S %Y"),
    }
    if not device.panorama:
        del said["system-mode"]
    return result(element("system", None, *(element(name, text) for name, text in said.items())))


def version(device: Device) -> Answer:
    """`type=version`."""
    return result(
        element("sw-version", device.version),
        element("multi-vsys", "on" if len(device.vsys) > 1 else "off"),
        element("model", "Panorama" if device.panorama else device.model),
        element("serial", device.serial),
    )


def clock(asked: Asked) -> Answer:
    return result(text=datetime.fromtimestamp(asked.device.now(), UTC).strftime("%a %b %d %H:%M:%S UTC %Y\n"))


def interface(asked: Asked) -> Answer:
    """The management interface alone."""
    if (asked.node.text or "").strip() != "management":
        raise Declined(17, "interface takes management here")
    counters = element("counters", None, element("rx-packets", "1"), element("tx-packets", "1"))
    return result(element("info", None, element("name", "Management Interface")), counters)


def admins(asked: Asked) -> Answer:
    """Who asks is logged in, though only the configuration may know them."""
    entries = (
        element("entry", None, element("admin", name), element("self", "yes" if name == asked.admin.name else "no"))
        for name in dict.fromkeys((*asked.device.admins.by_name, asked.admin.name))
    )
    return result(element("admins", None, *entries))


def restart(asked: Asked) -> Answer:
    asked.device.reboot()
    return result(text="Command succeeded with no output")


def expire_keys(asked: Asked) -> Answer:
    asked.device.admins.expire()
    return result(text="All API keys expired")


def password_hash(asked: Asked) -> Answer:
    return result(element("phash", accounts.password_hash(asked.node.text or "")))


# === jobs ===


def job(asked: Asked) -> Answer:
    return result(asked.device.jobs.shown((asked.node.text or "").strip()))


def jobs(asked: Asked) -> Answer:
    status = {"pending": "PEND", "processed": "FIN"}.get(asked.node.tag, "")
    return result(*asked.device.jobs.listed(status))


# === locks ===


def lock(asked: Asked) -> Answer:
    """`request {config-lock|commit-lock} {add|remove}`; ``node`` is the lock."""
    device, node = asked.device, asked.node
    locks = device.config_locks if node.tag == "config-lock" else device.commit_locks
    scope = device.scope_named(asked.vsys)
    add, remove = node.find("add"), node.find("remove")
    if add is not None:
        return result(text=locks.add(asked.admin.name, scope, at(add, "comment"), device.now()))
    if remove is None:
        raise Declined(17, f"{node.tag} takes add or remove")
    owner = at(remove, "admin") if locks is device.commit_locks else ""  # a commit lock alone can be taken from another
    return result(text=locks.remove(owner or asked.admin.name, scope))


def locks(asked: Asked) -> Answer:
    device = asked.device
    found = device.config_locks if asked.node.tag == "config-locks" else device.commit_locks
    everywhere = asked.vsys in ("", "all") or at(asked.node, "vsys") == "all"
    return result(found.listed("" if everywhere else device.scope_named(asked.vsys)))


# === what is pending ===


def pending(asked: Asked) -> Answer:
    return result(text="yes" if asked.device.configuration.journal else "no")


def full_commit_required(asked: Asked) -> Answer:
    configuration = asked.device.configuration
    return result(text="yes" if needs_full(asked.device, configuration.pending()) else "no")


def changes(asked: Asked) -> Answer:
    """`show config list changes`, of everybody or of some admins."""
    entries = (_journal(entry, path) for entry in _pending(asked) for path in entry.paths)
    return result(element("journal", None, *entries))


def _pending(asked: Asked) -> list[Entry]:
    partial = asked.node.find("partial")
    wanted = anything if partial is None else wanted_by(partial)
    return asked.device.configuration.pending(wanted)


def _journal(entry: Entry, path: str) -> Element:
    return element(
        "entry",
        None,
        element("xpath", path),
        element("owner", entry.admin),
        element("action", entry.change.action.upper()),
        element("admin-history", entry.admin),
        element("component-type", entry.kind),
    )


def change_summary(asked: Asked) -> Answer:
    owners = sorted({entry.admin for entry in _pending(asked)})
    return result(element("summary", None, element("admin", None, *(element("member", one) for one in owners))))


def pushed(asked: Asked) -> Answer:
    """What Panorama pushed for a vsys, or for all."""
    found = asked.device.configuration.running.findall("./panorama/vsys/entry")
    wanted = at(asked.node, "vsys") or asked.vsys
    return result(element("policy", None, *(one for one in found if wanted in ("", one.get("name")))))


# === the pair, Panorama ===


def high_availability(asked: Asked) -> Answer:
    device = asked.device
    if device.pair is None:
        return result(element("enabled", "no"))
    group = device.pair.state(device)
    if device.panorama:
        state = f"primary-{at(group, 'local-info/state')}"
        return result(element("enabled", "yes"), element("local-info", None, element("state", state)))
    return result(element("enabled", "yes"), group)


def suspend(asked: Asked) -> Answer:
    device = asked.device
    if device.pair is None:
        raise Declined(14, "High-availability is not enabled")
    if device.pair.is_active(device):
        device.pair.fail_over()
    return result(text="Successfully changed HA state to suspended")


def functional(asked: Asked) -> Answer:
    return result(text="Successfully changed HA state to functional")


def synchronise(asked: Asked) -> Answer:
    if asked.device.pair is None:
        raise Declined(14, "High-availability is not enabled")
    asked.device.pair.synchronise(asked.device)
    return result(element("msg", None, element("line", "Synchronized running config to HA peer")))


def devices(asked: Asked) -> Answer:
    """`show devices {all|connected}`."""
    found = asked.device.managed.items()
    wanted = [(serial, one) for serial, one in found if asked.node.tag == "all" or not one.knobs.disconnected]
    return result(element("devices", None, *(_managed(serial, one) for serial, one in wanted)))


def _managed(serial: str, one: Device) -> Element:
    vsys = element(
        "vsys", None, *(element("entry", None, element("display-name", name), name=name) for name in one.vsys)
    )
    said = (
        element("serial", serial),
        element("connected", "no" if one.knobs.disconnected else "yes"),
        element("hostname", one.hostname),
        element("ip-address", one.address),
        element("model", one.model),
        element("sw-version", one.version),
        element("multi-vsys", "yes" if len(one.vsys) > 1 else "no"),
        vsys,
    )
    return element("entry", None, *said, name=serial)


def device_groups(asked: Asked) -> Answer:
    device = asked.device
    found = []
    for group in device.configuration.running.findall("./devices/entry/device-group/entry"):
        serials = [entry.get("name", "") for entry in group.findall("devices/entry")]
        known = [_managed(serial, device.managed[serial]) for serial in serials if serial in device.managed]
        found.append(element("entry", None, element("devices", None, *known), name=group.get("name", "")))
    return result(element("devicegroups", None, *found))


# === external lists ===


def refresh_list(asked: Asked) -> Answer:
    """Fetched at the next beat of the clock."""
    for kind in asked.node.find("type") or ():
        one = asked.device.lists.held.get(at(kind, "name"))
        if one is None:
            raise Declined(7, f"external list {at(kind, 'name')} is not used")
        one.fetched_at = float("-inf")
    return result(text="EDL refresh job enqueued")


def list_capacities(asked: Asked) -> Answer:
    capacity, held = asked.device.knobs.list_capacity, asked.device.lists.held.values()
    said = []
    for kind in ("ip", "url", "domain"):
        running = sum(len(one.entries) for one in held if one.kind == kind)
        said.append(element(kind, None, element("running", str(running)), element("max", str(capacity))))
    return result(*said)


def show_list(asked: Asked) -> Answer:
    for kind in asked.node.find("type") or ():
        one = asked.device.lists.held.get(at(kind, "name"))
        if one is not None:
            valid = element("valid-members", None, *(element("member", entry) for entry in one.entries))
            state = element("state", one.state)
            return result(element("external-list", None, state, element("total-valid", str(len(one.entries))), valid))
    raise Declined(7, "external list is not used")
