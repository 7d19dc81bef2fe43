"""Steps for everything that is no data group: virtual servers, pools and their members, monitors, profiles.

A declared object that comes or goes is one step, a changed property another. What a property means to callers stands
in two tables, `_MEANINGS` in sentences and `_CAUTIONS` in reasons to look twice; a property in neither is told by its
name and values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from gateway.engine.network.bigip import cautions
from gateway.engine.network.bigip.host_steps import host_of
from gateway.engine.network.bigip.names import SHARED
from gateway.engine.network.bigip.objects import at_port, listed, members_of
from gateway.engine.network.bigip.phrases import count, owner_of, word_of
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
    """What a plan is about. ``records``: by place, before and after; ``configured``: members of the settings."""

    def __init__(
        self, tenant: str, environment: str, records: Iterable[Mapping[str, Record]], configured: Iterable[str]
    ) -> None:
        self.tenant = tenant
        self.environment = environment
        self.configured = tuple(configured)
        by_entity: dict[str, set[str]] = {}
        for each in records:
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
    detail, caution = _detail(scene, own, value)
    sentence = f"{verb} {_NAMES.get(own, own)} `{path}`{about}{detail}"
    if kind is Kind.REMOVE:
        caution = _LOSSES.get(own, "") if scene.is_shared(path) else ""
        sentence += f"; it served {scene.whose(path, hosts)}" if own.startswith("Service_") else ""
    before, after = (None, dict(value)) if kind is Kind.ADD else (dict(value), None)
    return Step(kind, path, sentence + ".", (entity,) if entity else (), hosts, before, after, caution)


_LOSSES: Final = {
    "Service_HTTPS": "nothing answers at its address any more",
    "Pool": "requests have nowhere to go",
    "Monitor": "nobody looks any more whether doors are up",
    "TLS_Client": "BIG-IP speaks to the doors without TLS",
}


def _detail(scene: Scene, own: str, value: Declared) -> tuple[str, str]:
    """What the sentence about a whole object adds, and why to look twice."""
    if own.startswith("Service_"):
        ports = {"Service_HTTPS": 443}
        where = [at_port(str(each), value.get("virtualPort", ports.get(own, 80)))
                 for each in listed(value.get("virtualAddresses"))]  # fmt: skip
        plain = own == "Service_HTTPS" and not value.get("serverTLS")
        return f" at {word_of(where)}", "clients would be spoken to without TLS" if plain else ""
    if own == "Pool":
        names = list(members_of(value))
        strange = [f"{name}: {why}" for name in names if (why := cautions.of_member(name, (), scene.configured))]
        strange += [f"{name}: {why}" for name, why in cautions.of_outsiders(names).items() if why]
        return f" with {word_of(names)}", "; ".join(dict.fromkeys(strange))
    if own == "Monitor":
        return f", up is {word_of(value.get('receive', 'HTTP/1.'))}", cautions.of_monitor(value)
    if own == "TLS_Client" and value.get("validateCertificate") is not True:
        return "", _UNCHECKED
    if own == "HTTP_Profile" and value.get("xForwardedFor") is False:
        return "", _NO_XFF
    if own == "iRule":
        return "", _ANYTHING
    return "", ""


_UNCHECKED: Final = "the doors' certificate is not checked: whoever gets in between reads all and answers for them"
_NO_XFF: Final = "doors take BIG-IP's own address for every caller's"
_ANYTHING: Final = "an iRule may do anything with what passes"
_CUT_OFF: Final = "callers are cut off until DNS names the new address"

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

#: Class and property -> why to look twice, given the object before and after.
_CAUTIONS: Final[Mapping[tuple[str, str], Callable[[Declared, Declared], str]]] = {
    ("Service", "class"): lambda _, new: "clients are spoken to without TLS" if new["class"] == "Service_HTTP" else "",
    ("Service", "virtualAddresses"): lambda _, __: _CUT_OFF,
    ("Service", "virtualPort"): lambda _, __: "callers of the old port are cut off",
    ("Service", "pool"): lambda _, new: "requests go to other machines" if new.get("pool") else "requests go nowhere",
    ("Service", "serverTLS"): lambda _, new: "clients see another certificate, or none",
    ("Service", "clientTLS"): lambda _, new: "" if new.get("clientTLS") else "requests go to the doors in the clear",
    ("Service", "iRules"): lambda old, new: _ANYTHING if new.get("iRules") else "the rules that ran do no more",
    ("Service", "profileAccess"): lambda _, new: "" if new.get("profileAccess") else "APM checks nobody any more",
    ("Service", "policyPerRequestAccess"): lambda _, new: (
        "" if new.get("policyPerRequestAccess") else "APM checks no request any more"
    ),
    ("Service", "enable"): lambda _, new: "nothing answers there" if new.get("enable") is False else "",
    ("Service", "snat"): lambda _, __: "doors that do not know the new addresses stop trusting BIG-IP",
    ("Service", "allowVlans"): lambda _, __: "who can reach the virtual server changes",
    ("Service", "rejectVlans"): lambda _, __: "who can reach the virtual server changes",
    ("Pool", "monitors"): lambda _, new: "" if new.get("monitors") else "doors count as up whatever they say",
    ("Monitor", "send"): lambda _, __: "doors that do not answer it count as down",
    ("Monitor", "receive"): lambda _, new: cautions.of_monitor(new),
    ("Monitor", "receiveDown"): lambda _, new: "" if new.get("receiveDown") else "drains are not seen",
    ("Monitor", "interval"): lambda _, new: cautions.of_monitor(new),
    ("Monitor", "timeout"): lambda _, new: cautions.of_monitor(new),
    ("Monitor", "reverse"): lambda _, new: cautions.of_monitor(new),
    ("TLS_Client", "validateCertificate"): lambda _, new: "" if new.get("validateCertificate") is True else _UNCHECKED,
    ("TLS_Client", "trustCA"): lambda _, __: "whoever holds that authority's key can pass for a door",
    ("TLS_Client", "serverName"): lambda _, __: "a certificate for another name passes for a door's",
    ("TLS_Client", "ignoreExpired"): lambda _, new: "certificates that ended pass" if new.get("ignoreExpired") else "",
    ("TLS_Client", "ignoreUntrusted"): lambda _, new: _UNCHECKED if new.get("ignoreUntrusted") else "",
    ("TLS_Client", "clientCertificate"): lambda _, new: (
        "" if new.get("clientCertificate") else "doors cannot tell BIG-IP from anybody else"
    ),
    ("HTTP_Profile", "xForwardedFor"): lambda _, new: _NO_XFF if new.get("xForwardedFor") is False else "",
    ("HTTP_Profile", "trustXFF"): lambda _, new: "callers may write their own address" if new.get("trustXFF") else "",
    ("iRule", "iRule"): lambda _, __: _ANYTHING,
    ("Tenant", "enable"): lambda _, new: "nothing of the tenant answers" if new.get("enable") is False else "",
    ("Tenant", "label"): lambda _, __: "it is the mark by which the tenant is known to be ours",
    ("Application", "enable"): lambda _, new: "nothing of it answers" if new.get("enable") is False else "",
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
        else:
            yield _property_step(scene, path, key, old, new)


def _property_step(scene: Scene, path: str, key: str, old: Declared, new: Declared) -> Step:
    own = str(new.get("class", ""))
    sort = "Service" if own.startswith("Service_") else own
    was, becomes = old.get(key), new.get(key)
    hosts = scene.hosts(path, old, new)
    whose = scene.whose(path, hosts)
    if (sort, key) == ("TLS_Client", "validateCertificate"):
        said = f"{'Begins' if becomes is True else 'Stops'} checking the doors' certificates, for {whose}"
    elif (meaning := _MEANINGS.get((sort, key))) is not None:
        said = meaning.format(word_of(was), word_of(becomes), whose)
    else:
        what = f"`{key}` of {_NAMES.get(own, own)} `{path}`"
        said = f"Changes {what} from {word_of(was)} to {word_of(becomes)}, for {whose}"
    judge = _CAUTIONS.get((sort, key))
    caution = judge(old, new) if judge else ""
    entity = stamp(new, "entity") or stamp(old, "entity")
    return Step(
        Kind.CHANGE, f"{path} {key}", said + ".", (entity,) if entity else (), hosts, was, becomes, caution
    )  # fmt: skip


def _member_steps(scene: Scene, path: str, old: Declared, new: Declared) -> Iterator[Step]:
    before, after = _by_name(old), _by_name(new)
    hosts = scene.hosts(path)
    whose = scene.whose(path, hosts)
    for name in before.keys() - after.keys():
        said = f"Takes {name} out of the doors of {whose}; {count(len(after), 'door')} left."
        caution = "" if after else "no door is left: every request fails"
        yield Step(Kind.REMOVE, f"{path} {name}", said, (), hosts, before=before[name], caution=caution)
    for name in after.keys() - before.keys():
        said = f"Sends requests of {whose} to {name} too."
        caution = cautions.of_member(name, before, scene.configured)
        yield Step(Kind.ADD, f"{path} {name}", said, (), hosts, after=after[name], caution=caution)
    for name in before.keys() & after.keys():
        for key in sorted(before[name].keys() | after[name].keys()):
            was, becomes = before[name].get(key), after[name].get(key)
            if was != becomes and key != "adminState":
                said = f"Changes `{key}` of door {name} from {word_of(was)} to {word_of(becomes)}, for {whose}."
                yield Step(Kind.CHANGE, f"{path} {name} {key}", said, (), hosts, was, becomes)


def _by_name(pool: Declared) -> dict[str, dict[str, Any]]:
    return {
        at_port(str(address), entry.get("servicePort")): {k: v for k, v in entry.items() if k != "serverAddresses"}
        for entry in listed(pool.get("members"))
        if isinstance(entry, dict)
        for address in listed(entry.get("serverAddresses"))
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


_MARKS: Final = "Notes new marks on"


def is_mark(step: Step) -> bool:
    """Whether a step says what the records of the data groups say too."""
    return step.sentence.startswith(_MARKS)
