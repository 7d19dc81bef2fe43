"""`/api/`: one request's parameters, answered. Which right it needs, which device it is for, which part does it.

On Panorama `target` names a managed firewall, which then answers under its own rights; it is silently ignored for `log`
and `version`, as the vendor's is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final
from xml.etree.ElementTree import Element, tostring

from gateway.lab.panos import committing, files, logs, operations, pushing, reports, shows
from gateway.lab.panos.admins import Admin
from gateway.lab.panos.answers import Answer, Declined, WebDeclined, element, read, succeeded
from gateway.lab.panos.device import Device, LogLine
from gateway.lab.panos.files import Upload
from gateway.lab.panos.kinds import scope_length
from gateway.lab.panos.tree import Change
from gateway.lab.panos.xpath import Malformed, made, one

Parameters = Mapping[str, str]
Doing = Callable[[Device, Admin, Parameters], Answer]
WRITES: Final = ("set", "edit", "delete", "rename", "move", "clone", "override")
TARGETLESS: Final = ("log", "version", "keygen")


def answer(device: Device, headers: Mapping[str, str], parameters: Parameters, upload: Upload | None = None) -> Answer:
    """Never raises `Declined` or `WebDeclined`: they are answers."""
    try:
        return _answered(device, headers, parameters, upload)
    except WebDeclined as refused:
        return refused.answer()
    except Declined as refused:
        return refused.answer()


def _answered(device: Device, headers: Mapping[str, str], parameters: Parameters, upload: Upload | None) -> Answer:
    kind = parameters.get("type", "")
    if not kind:
        raise WebDeclined(400, 'Missing value for parameter "type".')
    if kind == "keygen":
        key = device.admins.keygen(parameters.get("user", ""), parameters.get("password", ""))
        return Answer(f"<response status = 'success'><result><key>{key}</key></result></response>".encode())
    admin = device.admins.admitted(headers, parameters.get("key", ""))
    right, function = _doing(kind, upload)
    device.settle()
    if right:
        admin.need(right)
    if target := parameters.get("target", ""):
        device = _target(device, kind, target)
    device.settle()
    return function(device, admin, parameters)


def _doing(kind: str, upload: Upload | None) -> tuple[str, Doing]:
    """The right that it needs, and what does it. Raises `WebDeclined`."""
    if kind == "import" and upload is not None:
        return "import", partial(files.bring, upload)
    if kind not in TYPES:
        raise WebDeclined(400, f'Invalid value "{kind}" for parameter "type".')
    return TYPES[kind]


def _target(device: Device, kind: str, serial: str) -> Device:
    if kind in TARGETLESS or not device.panorama:
        return device
    found = device.managed.get(serial)
    if found is None or found.knobs.disconnected:
        raise Declined(13, f"{serial} not connected")
    return found


# === config ===


def _config(device: Device, admin: Admin, parameters: Parameters) -> Answer:
    action, xpath = parameters.get("action", ""), parameters.get("xpath", "")
    if action == "multi-config":
        return _several(device, admin, parameters)
    if action not in ("get", "show", *WRITES):
        raise WebDeclined(400, f'Invalid value "{action}" for parameter "action".')
    if action == "get":
        return device.configuration.get(xpath or "/config")
    if action == "show":
        return device.configuration.show(xpath or "/config")
    if not xpath:
        raise WebDeclined(400, 'Missing value for parameter "xpath".')
    change = Change(
        action,
        xpath,
        parameters.get("element", ""),
        parameters.get("where", ""),
        parameters.get("dst", ""),
        parameters.get("newname", ""),
        parameters.get("from", ""),
    )
    (effect,) = _write(device, admin, [change])
    return effect


def _write(device: Device, admin: Admin, changes: list[Change]) -> list[Answer]:
    for change in changes:
        device.refuse_write(admin, _scope(change.xpath))
    effects = device.configuration.write(admin.name, changes)
    for change in changes:
        device.log.append(LogLine(admin.name, change.action, change.xpath, device.now()))
    return [effect.said() for effect in effects]


def _scope(xpath: str) -> str:
    """Which locks a write meets."""
    try:
        place = made(Element("config"), one(xpath))
    except Malformed:
        return "shared"
    length = scope_length([node.tag for node in place])
    return place[length - 1].get("name", "shared") if length else "shared"


def _several(device: Device, admin: Admin, parameters: Parameters) -> Answer:
    """All or nothing; strict, it first takes back what the admin has uncommitted. Raises `Declined`."""
    root = read(parameters.get("element", ""))
    changes = [_change(step) for step in root]
    if parameters.get("strict-transactional", "no") == "yes":
        for change in changes:
            device.refuse_write(admin, _scope(change.xpath))
        committing.strict(device, admin)
    try:
        answers = _write(device, admin, changes)
    except Declined as refused:
        inner = read(refused.answer().body)
        return Answer(tostring(element("response", None, inner, status="error", code="13")))
    inside = []
    for change, answered in zip(changes, answers, strict=True):
        inner = read(answered.body)
        if change.identity:
            inner.set("id", change.identity)
        inside.append(inner)
    return succeeded(*inside, code=20)


def _change(step: Element) -> Change:
    body = "".join(tostring(child, "unicode") for child in step)
    return Change(
        step.tag,
        step.get("xpath", ""),
        body,
        step.get("where", ""),
        step.get("dst", ""),
        step.get("newname", ""),
        step.get("from", ""),
        step.get("id", ""),
    )


# === the other types ===


def _op(device: Device, admin: Admin, parameters: Parameters) -> Answer:
    return operations.operate(device, admin, read(_command(parameters)), parameters.get("vsys", ""))


def _commit(device: Device, admin: Admin, parameters: Parameters) -> Answer:
    command = read(_command(parameters))
    if parameters.get("action") == "all":
        return pushing.push(device, admin, command)
    return committing.commit(device, admin, command)


def _user_id(device: Device, _: Admin, parameters: Parameters) -> Answer:
    if "action" in parameters and parameters["action"] != "set":
        raise WebDeclined(400, f'Invalid value "{parameters["action"]}" for parameter "action".')
    vsys = parameters.get("vsys", "")
    document = _command(parameters)
    answered = device.identities_of(vsys).apply(document)
    peer = device.pair.peer_of(device) if device.pair is not None else None
    if peer is not None and device.pair is not None and device.pair.tags_cross and device.pair.is_active(device):
        peer.identities_of(vsys).apply(document)
    return answered


def _command(parameters: Parameters) -> str:
    if not parameters.get("cmd", ""):
        raise WebDeclined(400, 'Missing value for parameter "cmd".')
    return parameters["cmd"]


def _version(device: Device, _: Admin, __: Parameters) -> Answer:
    return shows.version(device)


TYPES: Final[dict[str, tuple[str, Doing]]] = {
    "config": ("config", _config),
    "op": ("op", _op),
    "commit": ("commit", _commit),
    "user-id": ("user-id", _user_id),
    "export": ("export", files.hand_out),
    "log": ("log", logs.answer),
    "report": ("report", reports.answer),
    "version": ("", _version),
}
