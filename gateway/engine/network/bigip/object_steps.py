"""Steps for everything that is no data group: virtual servers, pools and their members, monitors, profiles.

A declared object that comes or goes is one step, a changed property another. What a property means to callers stands
in `_MEANINGS`, and reasons to look twice in `cautions.py`; a property in neither is told by its name and values. What
is added says where it leads, and whatever it holds that we never write.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from gateway.engine.network.bigip import cautions
from gateway.engine.network.bigip.classes import MEMBER_WRITTEN, WRITTEN
from gateway.engine.network.bigip.host_steps import host_of
from gateway.engine.network.bigip.names import MARK, SHARED
from gateway.engine.network.bigip.objects import at_port, listed, member_names, members_of, names_of, pointed
from gateway.engine.network.bigip.phrases import count, owner_of, some, word_of
from gateway.engine.network.bigip.records import Record, stamp
from gateway.engine.network.plan import Kind, Step

Declared = Mapping[str, Any]

_NAMES: Final = {
    "Service_HTTPS": "virtual server", "Service_HTTP": "plain HTTP virtual server", "Pool": "pool of doors",
    "Monitor": "monitor", "TLS_Client": "TLS profile towards the doors", "TLS_Server": "TLS profile towards clients",
    "HTTP_Profile": "HTTP profile", "Multiplex_Profile": "OneConnect profile", "Data_Group": "data group",
    "Certificate": "certificate", "iRule": "iRule", "Application": "application", "Tenant": "tenant",
}  # fmt: skip


class Scene:
    """What a plan is about. ``before`` and ``after``: records by place; ``configured``: members of the settings;
    ``shared``: what the tenant's virtual servers will have in common."""

    def __init__(
        self,
        tenant: str,
        environment: str,
        before: Mapping[str, Record],
        after: Mapping[str, Record],
        configured: Iterable[str],
        shared: object,
    ) -> None:
        self.tenant = tenant
        self.environment = environment
        self.configured = tuple(configured)
        self.common: Declared = shared if isinstance(shared, dict) else {}
        self.remaining = {record.entity for record in after.values()}
        by_entity: dict[str, set[str]] = {}
        for each in (before, after):
            for place, record in each.items():
                by_entity.setdefault(record.entity, set()).add(host_of(place))
        self._by_entity = {entity: tuple(sorted(hosts)) for entity, hosts in by_entity.items()}
        self._all = tuple(sorted(set().union(*by_entity.values())))

    def hosts(self, path: str, *services: Declared) -> tuple[str, ...]:
        """Whose callers an object serves: everybody's if it is shared, else those of its component."""
        if self.is_shared(path):
            return self._all
        entities = {stamp(service, "entity") for service in services}
        return tuple(sorted({host for entity in entities for host in self._by_entity.get(entity, ())}))

    def is_shared(self, path: str) -> bool:
        return path.split("/")[2:3] in ([SHARED], [])

    def whose(self, path: str, hosts: tuple[str, ...]) -> str:
        if self.is_shared(path) and len(hosts) > 1:
            return f"all {len(hosts)} hosts of {self.environment}"
        return ", ".join(hosts[:3]) or self.environment


def whole_step(scene: Scene, kind: Kind, path: str, value: Declared) -> Step:
    """An object that comes or goes."""
    verb = "Adds" if kind is Kind.ADD else "Removes"
    own = str(value.get("class", ""))
    hosts = scene.hosts(path, value)
    entity, owner = stamp(value, "entity"), stamp(value, "owner")
    about = f" for `{entity}` of {owner_of('' if owner == '-' else owner)}" if entity else ""
    sentence = f"{verb} {_NAMES.get(own, own)} `{path}`{about}"
    if kind is Kind.REMOVE:
        sentence += _where(own, value) + (f"; it served {scene.whose(path, hosts)}" if _is_service(own) else "")
        caution = _loss(scene, path, own, entity)
    else:
        detail, caution = _detail(scene, path, own, value)
        sentence += detail
    before, after = (None, dict(value)) if kind is Kind.ADD else (dict(value), None)
    return Step(kind, path, sentence + ".", (entity,) if entity else (), hosts, before, after, caution)


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


#: Class and property -> what it means that it changed, from `{0}` to `{1}`; `{2}` is whose hosts.
_MEANINGS: Final[Mapping[tuple[str, str], str]] = {
    ("Service", "virtualAddresses"): "Moves the virtual server of {2} from {0} to {1}",
    ("Service", "virtualPort"): "Moves the virtual server of {2} from port {0} to port {1}",
    ("Service", "pool"): "Sends the requests of {2} to pool {1} instead of {0}",
    ("Service", "serverTLS"): "Shows the clients of {2} TLS profile {1} instead of {0}",
    ("Service", "clientTLS"): "Speaks to the doors of {2} with TLS profile {1} instead of {0}",
    ("Service", "iRules"): "Runs iRules {1} instead of {0} on the requests of {2}",
    ("Service", "profileAccess"): "Checks the people who come to {2} by APM profile {1} instead of {0}",
    ("Service", "policyPerRequestAccess"): "Checks the requests of {2} by APM policy {1} instead of {0}",
    ("Service", "enable"): "Turns the virtual server of {2} from {0} to {1}",
    ("Service", "snat"): "Changes the addresses that doors see BIG-IP come from, for {2}, from {0} to {1}",
    ("Pool", "monitors"): "Looks after the doors of {2} by monitor {1} instead of {0}",
    ("Monitor", "receive"): "Counts a door of {2} as up when it says {1}, not {0}",
    ("Monitor", "receiveDown"): "Counts a door of {2} as draining when it says {1}, not {0}",
    ("Monitor", "send"): "Asks the doors of {2} whether they are up by {1} instead of {0}",
    ("TLS_Client", "trustCA"): "Trusts {1} instead of {0} to sign the doors' certificates, for {2}",
    ("TLS_Client", "serverName"): "Expects the doors' certificate to be for {1} instead of {0}, for {2}",
    ("TLS_Client", "clientCertificate"): "Shows the doors of {2} certificate {1} instead of {0}",
    ("HTTP_Profile", "xForwardedFor"): "Turns telling doors the callers' addresses, for {2}, from {0} to {1}",
}


def change_steps(scene: Scene, path: str, old: Declared, new: Declared) -> Iterator[Step]:
    """The properties in which two declared objects differ."""
    own = str(new.get("class", ""))
    for key in sorted(old.keys() | new.keys()):
        was, becomes = old.get(key), new.get(key)
        if was == becomes or key in ("label", "remark") and own not in ("Tenant",):
            continue
        if own == "Pool" and key == "members":
            yield from _member_steps(scene, path, old, new)
        elif key == "metadata":
            yield from _stamp_steps(scene, path, old, new)
            if _not_ours(was) != _not_ours(becomes):
                yield _property_step(scene, path, key, old, new)
        else:
            yield _property_step(scene, path, key, old, new)


def _property_step(scene: Scene, path: str, key: str, old: Declared, new: Declared) -> Step:
    own = str(new.get("class", ""))
    sort = "Service" if own.startswith("Service_") else own
    was, becomes = old.get(key), new.get(key)
    if key == "metadata":
        was, becomes = _not_ours(was), _not_ours(becomes)
    hosts = scene.hosts(path, old, new)
    whose = scene.whose(path, hosts)
    if (sort, key) == ("TLS_Client", "validateCertificate"):
        said = f"{'Begins' if becomes is True else 'Stops'} checking the doors' certificates, for {whose}"
    elif (meaning := _MEANINGS.get((sort, key))) is not None:
        said = meaning.format(word_of(was), word_of(becomes), whose)
    else:
        what = f"`{key}` of {_NAMES.get(own, own)} `{path}`"
        said = f"Changes {what} from {word_of(was)} to {word_of(becomes)}, for {whose}"
    judge = cautions.OF_PROPERTY.get((sort, key))
    caution = judge(old, new) if judge else ""
    entity = stamp(new, "entity") or stamp(old, "entity")
    return Step(
        Kind.CHANGE, f"{path} {key}", said + ".", (entity,) if entity else (), hosts, was, becomes, caution
    )  # fmt: skip


def _member_steps(scene: Scene, path: str, old: Declared, new: Declared) -> Iterator[Step]:
    before, after, addressed = _by_name(old), _by_name(new), member_names(new)
    hosts = scene.hosts(path)
    whose = scene.whose(path, hosts)
    for name in before.keys() - after.keys():
        said = f"Takes {name} out of the doors of {whose}; {count(len(after), 'door')} left."
        caution = "" if after else "no door is left: every request fails"
        yield Step(Kind.REMOVE, f"{path} {name}", said, (), hosts, before=before[name], caution=caution)
    for name in after.keys() - before.keys():
        said = f"Sends requests of {whose} to {name} too."
        caution = cautions.of_member(name, before, scene.configured) if name in addressed else cautions.NAMELESS
        yield Step(Kind.ADD, f"{path} {name}", said, (), hosts, after=after[name], caution=caution)
    for name in before.keys() & after.keys():
        for key in sorted(before[name].keys() | after[name].keys()):
            was, becomes = before[name].get(key), after[name].get(key)
            if was != becomes and key != "adminState":
                said = f"Changes `{key}` of door {name} from {word_of(was)} to {word_of(becomes)}, for {whose}."
                caution = "" if key in MEMBER_WRITTEN else cautions.OTHER_SHARE
                yield Step(Kind.CHANGE, f"{path} {name} {key}", said, (), hosts, was, becomes, caution)


def _by_name(pool: Declared) -> dict[str, dict[str, Any]]:
    return {
        name: {key: each for key, each in entry.items() if key != "serverAddresses"} if isinstance(entry, dict) else {}
        for entry in listed(pool.get("members"))
        for name in names_of(entry)
    }


def _stamp_steps(scene: Scene, path: str, old: Declared, new: Declared) -> Iterator[Step]:
    """Marks on an object. Those of versions are noted by the records already."""
    hosts = scene.hosts(path, old, new)
    entities = tuple(sorted({stamp(each, "entity") for each in (old, new)} - {""}))
    was, becomes = stamp(old, "owner"), stamp(new, "owner")
    if stamp(old, "entity") != stamp(new, "entity"):
        pair = (stamp(old, "entity"), stamp(new, "entity"))
        said = f"Hands virtual server `{path}` from {word_of(pair[0])} to {word_of(pair[1])}."
        caution = "another service answers at this address"
        yield Step(Kind.CHANGE, f"{path} metadata", said, entities, hosts, *pair, caution)
    elif was != becomes:
        said = f"Moves virtual server `{path}` from {owner_of(was)} to {owner_of(becomes)}: its callers notice nothing."
        caution = "another team decides who may come"
        yield Step(Kind.CHANGE, f"{path} metadata", said, entities, hosts, was, becomes, caution)
    else:
        said = f"{_MARKS} `{path}`: where requests go stays as it is."
        yield Step(
            Kind.CHANGE, f"{path} metadata", said, entities, hosts, old.get("metadata"), new.get("metadata")
        )


def _not_ours(metadata: object) -> object:
    if not isinstance(metadata, dict):
        return metadata or {}
    return {name: said for name, said in metadata.items() if not name.startswith(f"{MARK}.")}


_MARKS: Final = "Notes new marks on"


def is_mark(step: Step) -> bool:
    """Whether a step says what the records of the data groups say too."""
    return step.sentence.startswith(_MARKS)
