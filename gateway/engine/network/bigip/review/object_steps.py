"""Steps for objects that come or go and are no data group: virtual servers, pools, monitors, profiles.

What is added says where it leads, and whatever it holds that we never write. Reasons to look twice are in
`cautions.py`.
"""

from __future__ import annotations

from gateway.engine.network.bigip.as3.classes import MEMBER_WRITTEN, WRITTEN
from gateway.engine.network.bigip.as3.records import NOBODY, Record, stamp
from gateway.engine.network.bigip.objects import at_port, listed, member_names, members_of, pointed
from gateway.engine.network.bigip.review import cautions
from gateway.engine.network.bigip.review.scene import NAMES, Declared, Scene
from gateway.engine.network.plans.phrases import clean, owner_of, some, word_of
from gateway.engine.network.plans.plan import Kind, Step
from gateway.engine.network.transport.texts import LONGEST


def whole_step(scene: Scene, kind: Kind, path: str, value: Declared) -> Step:
    """An object that comes or goes."""
    verb = "Adds" if kind is Kind.ADD else "Removes"
    own = str(value.get("class", ""))
    hosts = scene.hosts(path, value)
    entity, owner = stamp(value, "entity"), stamp(value, "owner")
    about = f" for `{entity}`" if entity else ""
    about += f" of {owner_of('' if owner == NOBODY else owner)}" if owner else ""
    sentence = f"{verb} {NAMES.get(own, own)} `{path}`{about}"
    if kind is Kind.ADD:
        detail, caution = _detail(scene, path, own, value)
        entities = (entity,) if entity else ()
        return Step(kind, path, f"{sentence}{detail}.", entities, hosts, None, dict(value), caution)
    sentence += _where(own, value) + (f"; it served {scene.whose(path, hosts)}" if _is_service(own) else "")
    if (heir := scene.heir(value) if _is_service(own) else None) is not None:
        sentence += f"; {goes_to(heir)}."
        return Step(
            kind, path, sentence, (entity, heir.entity), hosts, dict(value), heir._asdict(), cautions.OTHER_ANSWERS
        )
    caution = _loss(scene, path, own, entity)
    return Step(kind, path, sentence + ".", (entity,) if entity else (), hosts, dict(value), None, caution)


def goes_to(heir: Record) -> str:
    """Of an address that another component gets."""
    name = clean(heir.entity, LONGEST)
    return f"the address goes to `{name}` of {owner_of(heir.owner)}, and `{name}` answers there from then on"


def _is_service(own: str) -> bool:
    return own.startswith("Service_")


def _loss(scene: Scene, path: str, own: str, entity: str) -> str:
    if scene.is_shared(path):
        return cautions.LOSSES.get(own, "")
    return cautions.CUT_OFF if own == "Service_HTTPS" and entity in scene.remaining else ""


def _where(own: str, value: Declared) -> str:
    if _is_service(own):
        port = value.get("virtualPort", 443 if own == "Service_HTTPS" else 80)
        return f" at {word_of([at_port(str(each), port) for each in listed(value.get('virtualAddresses'))])}"
    return f" with {word_of(list(members_of(value)))}" if own == "Pool" else ""


def _detail(scene: Scene, path: str, own: str, value: Declared) -> tuple[str, str]:
    """What the sentence about an object that is added says of it, and why to look twice."""
    said = _where(own, value)
    found: list[str] = []
    if _is_service(own):
        said += _leads(path, value)
        found = cautions.of_service(path, value, scene.common)
        if (forebear := scene.forebear(value)) is not None:
            said += f"; until now `{clean(forebear.entity, LONGEST)}` of {owner_of(forebear.owner)} answered there"
            found.append(cautions.OTHER_ANSWERS)
    elif own == "Pool":
        addressed = member_names(value)
        names = [name for name in members_of(value) if name in addressed]
        found = [f"{name}: {why}" for name in names if (why := cautions.of_member(name, (), scene.configured))]
        found += [f"{name}: {why}" for name, why in cautions.of_outsiders(names).items() if why]
        found += [cautions.NAMELESS] if len(members_of(value)) > len(names) else []
    elif own == "Monitor":
        said = _asks(value)
        found = [cautions.of_monitor(value)]
    elif own == "TLS_Client":
        name, asked, own_one = (word_of(value.get(key)) for key in ("serverName", "sendSNI", "clientCertificate"))
        said = f", trusting {word_of(value.get('trustCA'))} to sign for {name}, asking for {asked}, showing {own_one}"
        found = [] if value.get("validateCertificate") is True else [cautions.UNCHECKED]
    elif own == "HTTP_Profile" and value.get("xForwardedFor") is False:
        found = [cautions.NO_XFF]
    elif own == "Certificate":
        said = f" of {word_of(value.get('certificate'))} with key {word_of(value.get('privateKey'))}"
    elif own == "iRule":
        found = [cautions.ANYTHING]
    if odd := _odd(own, value):
        said += f", with {some(odd)}"
        found.append(f"Stagedoor writes no {some(odd)}")
    return said, "; ".join(dict.fromkeys(filter(None, found)))


def _asks(monitor: Declared) -> str:
    port = f" at port {word_of(monitor['targetPort'])}" if "targetPort" in monitor else ""
    shows = f" with the certificate of {word_of(monitor['clientTLS'])}" if monitor.get("clientTLS") else ""
    times = f"each {word_of(monitor.get('interval', 5))} s, for {word_of(monitor.get('timeout', 16))} s at most"
    up, drain = word_of(monitor.get("receive", "HTTP/1.")), word_of(monitor.get("receiveDown"))
    return f" that asks {word_of(monitor.get('send'))}{port}{shows} {times}, up is {up}, draining is {drain}"


def _leads(path: str, value: Declared) -> str:
    """Where a virtual server's requests go, and what they pass on the way."""
    folder = path.rpartition("/")[0]
    said = []
    if value.get("pool"):
        tls = value.get("clientTLS")
        over = f"over TLS by {word_of(pointed(folder, tls))}" if tls else "in the clear"
        said.append(f"requests go to pool {word_of(pointed(folder, value['pool']))} {over}")
    if value.get("iRules"):
        said.append(f"iRules {word_of([pointed(folder, each) for each in listed(value['iRules'])])}")
    if value.get("serverTLS"):
        said.append(f"clients see {word_of(value['serverTLS'])}")
    if apm := [value[key] for key in ("profileAccess", "policyPerRequestAccess") if value.get(key)]:
        said.append(f"APM checks by {word_of(apm)}")
    return f": {', '.join(said)}" if said else ""


def _odd(own: str, value: Declared) -> list[str]:
    """What an object holds that we never write. Remarks mean nothing."""
    odd = value.keys() - WRITTEN.get(own, frozenset(("class",))) - {"label", "remark"}
    for entry in listed(value.get("members")) if own == "Pool" else ():
        odd |= entry.keys() - MEMBER_WRITTEN if isinstance(entry, dict) else set()
    return sorted(odd)
