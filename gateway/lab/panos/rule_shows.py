"""Operational commands about rules: hit counts, audit comments, their order, and which one a flow would meet."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from gateway.lab.panos import xpath
from gateway.lab.panos.answers import Answer, Declined, at, element, result, texts
from gateway.lab.panos.device import Comment, Device, Hits
from gateway.lab.panos.oracle import Packet, rules_in_order
from gateway.lab.panos.pushing import group_named
from gateway.lab.panos.shows import Asked

LONGEST_COMMENT = 256
PROTOCOLS = {"6": "tcp", "17": "udp"}


def hit_counts(asked: Asked) -> Answer:
    """Of a firewall's vsys, or of a Panorama's device groups. Raises `Declined`."""
    device = asked.device
    if device.panorama:
        return _group_counts(asked)
    found = []
    for entry in asked.node.findall("vsys/vsys-name/entry"):
        name = entry.get("name", "")
        device.vsys_named(name)
        wanted = set(texts(entry, "rule-base/entry/rules/list/member"))
        rules = [
            _hits(rule.get("name", ""), device.hits[rule.get("uuid", "")])
            for _, rule in rules_in_order(device.configuration.running, name)
            if not wanted or rule.get("name") in wanted
        ]
        base = element("entry", None, element("rules", None, *rules), name="security")
        found.append(element("entry", None, element("rule-base", None, base), name=name))
    if not found:
        raise Declined(17, "rule-hit-count takes vsys -> vsys-name")
    return result(element("rule-hit-count", None, element("vsys", None, *found)))


def _hits(name: str, hits: Hits) -> Element:
    said = {
        "latest": "yes",
        "hit-count": hits.count,
        "last-hit-timestamp": hits.last,
        "last-reset-timestamp": hits.reset,
        "first-hit-timestamp": hits.first,
        "rule-creation-timestamp": hits.created,
        "rule-modification-timestamp": hits.modified,
    }
    return element("entry", None, *(element(what, str(value)) for what, value in said.items()), name=name)


def _group_counts(asked: Asked) -> Answer:
    """What Panorama makes of its firewalls' counts: a word for each rule, and the counts themselves for rules that are
    named. Raises `Declined`."""
    found = []
    for entry in asked.node.findall("device-group/entry"):
        group = group_named(asked.device, entry.get("name", ""))
        for base in ("pre-rulebase", "post-rulebase"):
            if (holder := entry.find(f"{base}/entry[@name='security']/rules")) is not None:
                rules = [_group_rule(asked.device, group, base, rule, holder) for rule in _meant(group, base, holder)]
                inside = element("entry", None, element("rules", None, *rules), name="security")
                found.append(element("entry", None, element("rule-base", None, inside), name=group.get("name", "")))
    if not found:
        raise Declined(17, "rule-hit-count takes device-group -> pre-rulebase or post-rulebase")
    return result(element("rule-hit-count", None, element("device-group", None, *found)))


def _meant(group: Element, base: str, holder: Element) -> list[Element]:
    wanted = {one.get("name") for one in holder.findall("rule-name/entry")}
    rules = group.findall(f"{base}/security/rules/entry")
    return [rule for rule in rules if holder.find("all") is not None or rule.get("name") in wanted]


def _group_rule(panorama: Device, group: Element, base: str, rule: Element, holder: Element) -> Element:
    serials = [entry.get("name", "") for entry in group.findall("devices/entry")]
    managed = [panorama.managed[serial] for serial in serials if serial in panorama.managed]
    reached = [each for each in managed if not each.knobs.disconnected]
    counts = [
        (f"{group.get('name')}/{each.serial}/{vsys}", each.hits[rule.get("uuid", "")])
        for each in reached
        for vsys in each.vsys
        if _runs(each, vsys, base, rule)
    ]
    met = [hits.count > 0 for _, hits in counts]
    are_all = len(reached) == len(serials)
    state = "Unused" if not any(met) else "Used" if all(met) and are_all else "Partial"
    said = [element("rule-state", state), element("all-connected", "yes" if are_all else "no")]
    if holder.find("all") is None:
        said.append(element("device-vsys", None, *(_hits(where, hits) for where, hits in counts)))
    return element("entry", None, *said, name=rule.get("name", ""))


def _runs(firewall: Device, vsys: str, base: str, rule: Element) -> bool:
    rules = rules_in_order(firewall.configuration.running, vsys)
    return any(where == base and one.get("uuid") == rule.get("uuid") for where, one in rules)


def clear_hits(asked: Asked) -> Answer:
    device, now = asked.device, int(asked.device.now())
    for entry in asked.node.findall("vsys/vsys-name/entry"):
        wanted = set(texts(entry, "rule-base/entry/rules/list/member"))
        for _, rule in rules_in_order(device.configuration.running, entry.get("name", "")):
            if not wanted or rule.get("name") in wanted:
                hits = device.hits[rule.get("uuid", "")]
                hits.count, hits.first, hits.last, hits.reset = 0, 0, 0, now
    return result(text="Succeeded to reset rule hit count for specified rules")


# === audit comments ===


def set_comment(asked: Asked) -> Answer:
    """On a rule of the candidate; it is kept with the commit that takes the rule along. Raises `Declined`."""
    device, text = asked.device, at(asked.node, "comment")
    if len(text) > LONGEST_COMMENT:
        raise Declined(12, f"comment can be at most {LONGEST_COMMENT} characters, but current length: {len(text)}")
    path = _rule_path(device, at(asked.node, "xpath"))
    device.comments[path] = Comment(asked.admin.name, text, device.now())
    return result(text="succeeded")


def comments(asked: Asked) -> Answer:
    """`show config list audit-comments`: the one that waits for a commit, and those before it."""
    path = _rule_path(asked.device, at(asked.node, "xpath"))
    held = [comment for where, comment in asked.device.comment_history if where == path]
    waiting = asked.device.comments.get(path)
    entries = [_comment(one) for one in ([waiting] if waiting else []) + held[::-1]]
    return result(element("audit-comments", None, *entries))


def _comment(comment: Comment) -> Element:
    said = (element("comment", comment.text), element("admin", comment.admin), element("time", str(int(comment.at))))
    return element("entry", None, *said)


def _rule_path(device: Device, text: str) -> str:
    try:
        found = xpath.find(device.configuration.candidate, text)
    except xpath.Malformed:
        found = []
    if len(found) != 1 or found[0].node.tag != "entry":
        raise Declined(7, "No such node")
    return xpath.written(found[0].place)


# === order and match ===


def running_policy(asked: Asked) -> Answer:
    """The compiled order, as text of the command line."""
    device = asked.device
    vsys = device.vsys_named(asked.vsys)
    names = [rule.get("name", "") for _, rule in _enabled(device, vsys)]
    lines = [f'"{name}; index: {number}"' for number, name in enumerate([*names, *DEFAULTS], 1)]
    return result(element("member", "\n".join(lines)))


DEFAULTS = ("intrazone-default", "interzone-default")


def _enabled(device: Device, vsys: str) -> list[tuple[str, Element]]:
    rules = rules_in_order(device.configuration.running, vsys)
    return [(base, rule) for base, rule in rules if at(rule, "disabled") != "yes"]


def match(asked: Asked) -> Answer:
    """`test security-policy-match`: the same answer as traffic gets, without a hit. Raises `Declined`."""
    node, device = asked.node, asked.device
    port, protocol = at(node, "destination-port"), at(node, "protocol") or "6"
    if not port.isdecimal() or protocol not in PROTOCOLS:
        raise Declined(17, "security-policy-match needs destination-port, and protocol 6 or 17")
    packet = Packet(
        source=at(node, "source"),
        destination=at(node, "destination"),
        port=int(port),
        protocol=PROTOCOLS[protocol],
        from_zone=at(node, "from") or "trust",
        to_zone=at(node, "to") or "untrust",
        application=at(node, "application") or "any",
        user=at(node, "source-user") or None,
    )
    verdict = device.evaluate(packet, asked.vsys, count=False)
    entry = element("entry", None, element("action", verdict.action), name=verdict.rule)
    return result(element("rules", None, entry))
