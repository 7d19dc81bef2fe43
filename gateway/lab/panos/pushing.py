"""`commit-all`: what Panorama's running configuration makes of its firewalls.

The defaults are the vendor's, and dangerous: without `merge-with-candidate-cfg` no the push commits whatever the
firewall's own admins have half-finished, too. A zone that a target lacks, a lock held there or a lost connection fails
that target, and its job line says why.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement

from gateway.lab.panos import kinds, references, tree
from gateway.lab.panos.admins import Admin
from gateway.lab.panos.answers import Answer, Declined, at, element
from gateway.lab.panos.committing import enqueued
from gateway.lab.panos.device import Device
from gateway.lab.panos.jobs import DeviceResult, Job
from gateway.lab.panos.xpath import container


@dataclass(frozen=True)
class Push:
    """What a `shared-policy` command asks for, with the true defaults."""

    group: str
    serials: tuple[str, ...]  # empty: every device of the group
    merge: bool
    template: bool
    dry_run: bool


def push(panorama: Device, admin: Admin, command: Element) -> Answer:
    """Raises `Declined`."""
    if command.tag != "commit-all" or not panorama.panorama:
        raise Declined(17, f"{command.tag} unexpected here")
    shared = command.find("shared-policy")
    if shared is None:
        raise Declined(17, "commit-all takes shared-policy here")
    if panorama.commit_locks.of_others(admin.name) is not None:
        raise Declined(14, "Other administrators are holding device wide commit locks.")
    pushes = [_read(shared, entry) for entry in _groups(shared)]
    for one in pushes:
        group_named(panorama, one.group)
    if not pushes:
        raise Declined(17, "shared-policy takes device-group")

    def work(job: Job) -> None:
        for one in pushes:
            _push(panorama, job, one)

    return enqueued(
        "Commit", panorama.jobs.add(admin.name, "CommitAll", panorama.knobs.job_s, work, at(shared, "description"))
    )


def _groups(shared: Element) -> list[Element]:
    """As entries, or one by its name alone, which is how older clients write it."""
    name = at(shared, "device-group")
    return [element("entry", None, name=name)] if name else shared.findall("device-group/entry")


def _read(shared: Element, entry: Element) -> Push:
    serials = tuple(one.get("name", "") for one in entry.findall("devices/entry"))
    dry = at(shared, "validate-only") == "yes" or shared.find("validate-partial") is not None
    merge = (at(shared, "merge-with-candidate-cfg") or "yes") == "yes"
    template = (at(shared, "include-template") or "yes") == "yes"
    return Push(entry.get("name", ""), serials, merge, template, dry)


def group_named(panorama: Device, name: str) -> Element:
    """As it runs. Raises `Declined`."""
    for entry in panorama.configuration.running.findall("./devices/entry/device-group/entry"):
        if entry.get("name") == name:
            return entry
    raise Declined(7, f"device-group {name} is not present")


def _push(panorama: Device, job: Job, asked: Push) -> None:
    group = group_named(panorama, asked.group)
    since = panorama.now() + panorama.knobs.device_lag_s
    for entry in group.findall("devices/entry"):
        serial = entry.get("name", "")
        if asked.serials and serial not in asked.serials:
            continue
        target = panorama.managed.get(serial)
        try:
            if target is None or target.knobs.disconnected:
                raise Declined(13, f"{serial} not connected")
            _one(panorama, group, target, job, asked)
            job.devices.append(DeviceResult(serial, target.hostname, "OK", [], since))
        except Declined as refused:
            name = serial if target is None else target.hostname
            job.devices.append(DeviceResult(serial, name, "FAIL", refused.lines, since))


def _one(panorama: Device, group: Element, target: Device, job: Job, asked: Push) -> None:
    """Raises `Declined` with what the target says."""
    if target.config_locks.any_held() or target.commit_locks.any_held():
        raise Declined(14, "Other administrators are holding config or commit locks.")
    held = target.configuration
    if asked.merge:
        staged = held.staged()
        root = held.built(staged)
    else:
        staged = held.staged(lambda entry: False)
        root = held.built(staged)
    _put(root, panorama.configuration.running, group, target.vsys)
    faults = references.check_whole(root)
    if target.knobs.fail_jobs:
        faults.append(target.knobs.fail_jobs)
    if faults:
        raise Declined(12, ["Validation Error:", *faults])
    if not asked.dry_run:
        before = held.running
        held.land(staged, root)
        _put(held.candidate, panorama.configuration.running, group, target.vsys)
        target.committed(job.user, staged.entries, before)


def _put(root: Element, shared_root: Element, group: Element, vsys: tuple[str, ...]) -> None:
    """Order on the box: shared before the group's, before local; the group's after, then shared."""
    shared = shared_root.find("shared")
    holder = container(root, "panorama", "vsys")
    for entry in list(holder):
        holder.remove(entry)
    for name in vsys:
        made = SubElement(holder, "entry", {"name": name})
        for kind in (*kinds.KINDS, "pre-rulebase", "post-rulebase"):
            if kind in ("pre-rulebase", "post-rulebase"):
                sources = (shared, group) if kind == "pre-rulebase" else (group, shared)
                rules = [rule for source in sources for rule in _rules(source, kind)]
                made.append(element(kind, None, element("security", None, element("rules", None, *rules))))
            elif kind != kinds.RULES:
                objects = [one for source in (group, shared) for one in _objects(source, kind)]
                made.append(element(kind, None, *objects))
    tree.unstamp(holder, None)


def _objects(source: Element | None, kind: str) -> list[Element]:
    found = [] if source is None else source.findall(f"{kind}/entry")
    return [_pushed(one, source) for one in found]


def _rules(source: Element | None, base: str) -> list[Element]:
    """Disabled ones stay at home."""
    found = [] if source is None else source.findall(f"{base}/security/rules/entry")
    return [_pushed(one, source) for one in found if at(one, "disabled") != "yes"]


def _pushed(one: Element, source: Element | None) -> Element:
    copy = deepcopy(one)
    copy.set("loc", "shared" if source is None or source.tag == "shared" else source.get("name", ""))
    return copy
