"""Steps for objects that stay and are declared otherwise: one for each property, member and mark that differs.

What a property means to callers stands in `_MEANINGS`, and reasons to look twice in `cautions.py`; a property in
neither is told by its name and values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from gateway.engine.network.bigip.as3.classes import MEMBER_WRITTEN
from gateway.engine.network.bigip.as3.names import MARK
from gateway.engine.network.bigip.as3.records import stamp
from gateway.engine.network.bigip.objects import listed, member_names, names_of
from gateway.engine.network.bigip.review import cautions
from gateway.engine.network.bigip.review.object_steps import goes_to
from gateway.engine.network.bigip.review.scene import NAMES, Declared, Scene
from gateway.engine.network.plans.phrases import count, owner_of, word_of
from gateway.engine.network.plans.plan import MOVED, Kind, Step

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
        what = f"`{key}` of {NAMES.get(own, own)} `{path}`"
        said = f"Changes {what} from {word_of(was)} to {word_of(becomes)}, for {whose}"
    judge = cautions.OF_PROPERTY.get((sort, key))
    caution = judge(old, new) if judge else cautions.of_unwritten(own, key)
    entity = stamp(new, "entity") or stamp(old, "entity")
    if (sort, key) == ("Service", MOVED) and (heir := scene.heir(old)) is not None:
        said += f"; {goes_to(heir)}"
        caution = f"{caution}; {cautions.OTHER_ANSWERS}"
        return Step(Kind.REMOVE, f"{path} {key}", said + ".", (entity, heir.entity), hosts, was, becomes, caution)
    return Step(
        Kind.CHANGE, f"{path} {key}", said + ".", (entity,) if entity else (), hosts, was, becomes, caution
    )  # fmt: skip


def _member_steps(scene: Scene, path: str, old: Declared, new: Declared) -> Iterator[Step]:
    before, after, addressed = _by_name(old), _by_name(new), member_names(new)
    hosts = scene.hosts(path)
    whose = scene.whose(path, hosts)
    for name in before.keys() - after.keys():
        said = f"Takes {name} out of the doors of {whose}; {count(len(after), 'door')} left."
        caution = cautions.FEWER if name in scene.configured else ""
        caution = caution if after else "no door is left: every request fails"
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
        said = (
            f"Takes virtual server `{path}` from {word_of(pair[0])} and gives it to {word_of(pair[1])}, which answers "
            "there from then on."
        )
        if not all(pair):  # the environment's own, or nobody's
            yield Step(Kind.CHANGE, f"{path} metadata", said, entities, hosts, *pair, cautions.OTHER_ANSWERS)
            return
        yield Step(Kind.REMOVE, f"{path} metadata", said, pair, hosts, *pair, cautions.OTHER_ANSWERS)
    elif was != becomes:
        said = f"Moves virtual server `{path}` from {owner_of(was)} to {owner_of(becomes)}: its callers notice nothing."
        caution = "another team decides who may come"
        yield Step(Kind.CHANGE, f"{path} metadata", said, entities, hosts, was, becomes, caution)
    else:
        said = f"{_MARKS} `{path}`: where requests go stays as it is."
        yield Step(Kind.CHANGE, f"{path} metadata", said, entities, hosts, old.get("metadata"), new.get("metadata"))


def _not_ours(metadata: object) -> object:
    if not isinstance(metadata, dict):
        return metadata or {}
    return {name: said for name, said in metadata.items() if not name.startswith(f"{MARK}.")}


_MARKS: Final = "Notes new marks on"


def is_mark(step: Step) -> bool:
    """Whether a step says what the records of the data groups say too."""
    return step.sentence.startswith(_MARKS)
