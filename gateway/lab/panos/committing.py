"""`type=commit` on one device, and `validate`: what is committed, what stands against it, and the job that does it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from xml.etree.ElementTree import Element

from gateway.lab.panos import lists, references
from gateway.lab.panos.admins import Admin
from gateway.lab.panos.answers import Answer, Declined, at, element, result, said, texts
from gateway.lab.panos.configuration import Entry, Staged, Wanted
from gateway.lab.panos.device import RULE, Device
from gateway.lab.panos.jobs import Job

LONGEST_DESCRIPTION: Final = 512
NOTHING: Final = "There are no changes to commit."
SAME: Final = "The result of this commit would be the same as the previous commit queued/processed."
PARTS: Final = frozenset((
    "admin", "shared-object", "device-and-network", "policy-and-objects", "vsys", "no-vsys", "device-group",
    "no-device-group", "template", "no-template", "template-stack", "no-template-stack", "log-collector",
    "no-log-collector", "log-collector-group", "no-log-collector-group", "wildfire-appliance",
    "no-wildfire-appliance", "wildfire-appliance-cluster", "no-wildfire-appliance-cluster",
))  # fmt: skip
REORDERS_SINCE: Final = (11, 0, 1)  # an admin-level commit on Panorama can carry a new order


def commit(device: Device, admin: Admin, command: Element) -> Answer:
    """Raises `Declined`."""
    if command.tag != "commit":
        raise Declined(17, f"{command.tag} unexpected here")
    force, partial = _grammar(command)
    _refuse_blocked(device, admin)
    wanted = None if partial is None else wanted_by(partial)
    pending = device.configuration.pending() if wanted is None else device.configuration.pending(wanted)
    if not pending and not force:
        return said(NOTHING, 19)
    if partial is not None and needs_full(device, pending):
        raise Declined(14, "Partial commit is not allowed. Full system commit must be completed.")
    staged, about = device.configuration.staged(wanted), frozenset(map(id, pending))
    if not force and device.jobs.is_waiting(about):
        return said(SAME, 19)

    def work(job: Job) -> None:
        land(device, job, staged)

    job = device.jobs.add(admin.name, "Commit", device.knobs.job_s, work, at(command, "description"))
    job.about = about
    return enqueued("Commit", job)


def enqueued(noun: str, job: Job) -> Answer:
    line = element("msg", None, element("line", f"{noun} job enqueued with jobid {job.number}"))
    return result(line, element("job", str(job.number)), code=19)


def _grammar(command: Element) -> tuple[bool, Element | None]:
    """Force and partial are a choice; force may hold partial."""
    known = {"force", "partial", "description"}
    tags = [child.tag for child in command]
    wrong = next((tag for tag in tags if tag not in known), "force" if {"force", "partial"} <= set(tags) else "")
    if wrong:
        raise Declined(17, f"commit -> {wrong} unexpected here")
    if len(at(command, "description")) > LONGEST_DESCRIPTION:
        raise Declined(12, f"description can be at most {LONGEST_DESCRIPTION} characters")
    force = command.find("force")
    partial = command.find("partial") if force is None else force.find("partial")
    for part in partial if partial is not None else ():
        if part.tag not in PARTS:
            raise Declined(17, f"commit -> partial -> {part.tag} unexpected here")
    return force is not None, partial


def _refuse_blocked(device: Device, admin: Admin) -> None:
    if device.pair is not None:
        device.pair.refuse_passive(device)
    if device.commit_locks.of_others(admin.name) is not None:
        raise Declined(14, "Other administrators are holding device wide commit locks.")
    if device.config_locks.of_others(admin.name) is not None:
        raise Declined(14, "Other administrators are holding config locks.")


def wanted_by(partial: Element) -> Wanted:
    """Which lines of the journal a partial commit or revert is about."""
    admins = set(texts(partial, "admin/member"))
    vsys = set(texts(partial, "vsys/member"))
    groups = set(texts(partial, "device-group/member"))
    left_out = {name for name in ("shared-object", "device-and-network", "policy-and-objects") if at(partial, name)}
    left_out |= {part.tag for part in partial if part.tag in ("no-vsys", "no-device-group", "no-template")}

    def wanted(entry: Entry) -> bool:
        if admins and entry.admin not in admins:
            return False
        part, name = _part(entry.written)
        if part in left_out or (part == "vsys" and {"no-vsys", "policy-and-objects"} & left_out):
            return False
        if part == "device-group" and "no-device-group" in left_out:
            return False
        return not (part == "vsys" and vsys and name not in vsys) and not (
            part == "device-group" and groups and name not in groups
        )

    return wanted


def _part(path: str) -> tuple[str, str]:
    """Which part of the configuration, and its name where it has one."""
    if path.startswith("/config/shared"):
        return "shared-object", ""
    found = re.match(r"/config/devices/entry\[[^]]*\]/(vsys|device-group|template)/entry\[@name='([^']*)'\]", path)
    if found is None:
        return "device-and-network", ""
    return ("no-template" if found[1] == "template" else found[1]), found[2]


def needs_full(device: Device, pending: list[Entry]) -> bool:
    """A loaded configuration goes as a whole; on an older Panorama an admin's changes alone carry no new order."""
    if device.configuration.is_loaded:
        return True
    numbers = tuple(int(part) for part in re.findall(r"\d+", device.version)[:3])
    return device.panorama and numbers < REORDERS_SINCE and any(entry.reorders for entry in pending)


def land(device: Device, job: Job, staged: Staged) -> None:
    """The end of a commit. Raises `Declined` with the details of a failure."""
    root = checked(device, job, staged)
    before = device.configuration.running
    device.configuration.land(staged, root)
    device.committed(job.user, staged.entries, before)


def checked(device: Device, job: Job, staged: Staged) -> Element:
    """What would be running. Raises `Declined` with every fault."""
    if device.knobs.fail_jobs:
        raise Declined(12, device.knobs.fail_jobs)
    root = device.configuration.built(staged)
    faults = [*references.check_whole(root), *_uncommented(device, staged)]
    if faults:
        raise Declined(12, ["Validation Error:", *faults, "Commit failed"])
    job.warnings += lists.warnings(root)
    return root


def _uncommented(device: Device, staged: Staged) -> Iterator[str]:
    pattern = device.knobs.required_comment
    if not pattern:
        return
    changes = [entry for entry in staged.entries if entry.kind == "rules" and entry.change.action != "delete"]
    for path in sorted({rule_of(path) for entry in changes for path in entry.after}):
        comment = device.comments.get(path)
        if comment is None or not re.search(pattern, comment.text):
            yield f"{path}: audit comment is required and must match {pattern}"


def rule_of(path: str) -> str:
    """The rule that a path lies in."""
    found = RULE.match(path)
    return found[0] if found else path


# === validate, revert ===


def validate(device: Device, admin: Admin, command: Element) -> Answer:
    """``command`` is `full` or `partial`."""
    staged = device.configuration.staged(wanted_by(command) if command.tag == "partial" else None)

    def work(job: Job) -> None:
        checked(device, job, staged)
        job.details = ["Configuration is valid"]

    job = device.jobs.add(admin.name, "Validate", device.knobs.job_s, work)
    return enqueued("Validate", job)


def revert(device: Device, admin: Admin, command: Element) -> Answer:
    """``command`` is `config`, with or without `partial`. Raises `Declined`."""
    if device.jobs.under_way():
        raise Declined(14, "Local commit jobs are queued. Revert operation is not allowed.")
    partial = command.find("partial")
    if partial is None:
        device.refuse_write(admin, "shared")
        device.configuration.revert()
    else:
        wanted = wanted_by(partial)
        if needs_full(device, device.configuration.pending(wanted)):
            raise Declined(14, "Partial revert is not allowed. Full system commit must be completed.")
        device.configuration.revert(wanted)
    return result(text="The changes were reverted from configuration")


def strict(device: Device, admin: Admin) -> None:
    """Before a strict multi-config: no commit is under way, the admin's own changes go. Raises `Declined`."""
    if device.jobs.under_way():
        raise Declined(14, "A commit is in progress")
    if any(entry.replaces and entry.admin == admin.name for entry in device.configuration.journal):
        raise Declined(14, "Partial revert is not allowed. Full system commit must be completed.")
    device.configuration.revert(lambda entry: entry.admin == admin.name)
