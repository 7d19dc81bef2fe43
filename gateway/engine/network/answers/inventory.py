"""Everything that was made of one service: hosts, virtual servers, firewall rules and tags, door rules with the people
they mean, versions, and who lags behind. Answered from what is published and from the last looks.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from gateway.engine.network.answers.views import Views
from gateway.engine.network.controller import Controller
from gateway.engine.network.faults import DeviceFault
from gateway.engine.network.news import News
from gateway.engine.network.panos.firewall import LEGS, Leg, leg_of
from gateway.link import Message
from policy.explain import sentence_of
from policy.rule import Published, Rule
from policy.statements import ANYONE

ASKED: Final = frozenset(("inventory", "inventory_people"))
MOST: Final = 200  # rules or addresses of one environment; how many more there are is told
NAMED: Final = 100  # people of one page
LAGS: Final = ("waiting", "fault", "unread")  # states of a device that has not what it should
Endpoints = Callable[[str], Mapping[str, bool]]


class People(NamedTuple):
    """Of the catalog: how many each subject means, and how many each environment lets in by some rule."""

    meant: Mapping[str, int]
    let_in: Mapping[str, int]


class Inventory:
    """``endpoints``: of an exposure those that are checked, and whether each is up."""

    def __init__(self, controller: Controller, endpoints: Endpoints) -> None:
        self._controller = controller
        self._endpoints = endpoints

    async def answer(self, message: Message) -> Message:
        """The answer to one of `ASKED`; ``service`` in it is None for what is not published."""
        news, ref = self._controller.news, str(message.get("service", ""))
        published = [each for each in news.published if each.service.ref == ref] if news is not None else []
        if news is None or not published:
            return {"service": None}
        if message["t"] == "inventory_people":
            wanted, rule = str(message.get("environment", "")), str(message.get("rule", ""))
            rules = [each for at in published if _name(at) == wanted for each in at.rules if each.id == rule]
            after = str(message.get("after", ""))
            return await self._controller.blocking(named, news, rules[0], after) if rules else {"rule": None}
        service = published[0].service
        people: People = await self._controller.blocking(people_of, news, published)
        fronts = Views(self._controller).fronts(ref)
        return {
            "service": {
                "ref": ref, "title": service.title, "owner": service.owner, "system": service.system,
                "domain": service.domain,
            },
            "base": news.base,
            "environments": [
                await self._environment(each, people, [at for at in fronts if at["environment"] == _name(each)])
                for each in published
            ],
        }  # fmt: skip

    async def _environment(self, published: Published, people: People, fronts: list[dict[str, Any]]) -> dict[str, Any]:
        exposure, environment = published.exposure, _name(published)
        checked = self._endpoints(published.key)
        legs = [each async for each in self._legs(published)]
        addresses, overlay = self._addresses(published), self._controller.overlay
        rules = sorted((_rule(each, people.meant) for each in published.rules), key=_reading_order)
        return {
            "environment": environment,
            "url": f"https://{exposure.host}{exposure.prefix}",
            "is_closed": bool(overlay is not None and overlay.closed(published.service.ref, environment)),
            "upstreams": [{"url": url, "up": checked.get(url)} for url in exposure.upstreams],
            "virtual_servers": fronts,
            "firewalls": legs,
            "addresses": addresses[:MOST],
            "more_addresses": max(0, len(addresses) - MOST),
            "doubts": self._doubts(published),
            "people": people.let_in.get(environment, 0),
            "rules": rules[:MOST],
            "more_rules": max(0, len(rules) - MOST),
            "devices": list(self._devices(environment)),
        }

    async def _legs(self, published: Published) -> AsyncIterator[dict[str, Any]]:
        environment = _name(published)
        for name, firewall in sorted(self._controller.firewalls.items()):
            group = self._controller.groups.get(name)
            lane = group.lanes.get(environment) if group is not None else None
            if lane is None or lane.desired is None:
                continue
            content: Mapping[str, Any] = {}
            fault = ""
            try:
                content = await self._controller.blocking(firewall.content, lane.desired)
            except DeviceFault as failure:
                fault = f"Its rules could not be made: {failure}."
            for kind in LEGS:
                if (leg := leg_of(kind, firewall, lane, content, published.service.ref)) is not None:
                    yield _leg(leg) if not fault else {**_leg(leg), "state": "unknown", "why": fault}

    def _addresses(self, published: Published) -> list[dict[str, Any]]:
        """Where it runs, as each firewall of the environment is told."""
        environment, ref = _name(published), published.service.ref
        found = []
        for name, firewall in sorted(self._controller.firewalls.items()):
            if any(each.environment == environment for each in firewall.device.environments):
                wanted = firewall.tags.wanted
                for address in firewall.known(environment).addresses.get(ref, ()):
                    tags = sorted(wanted.addresses.get(address, ())) if wanted is not None else []
                    has = [firewall.tags.has(address, tag) for tag in tags]
                    found.append({"device": name, "address": address, "tags": tags, "state": _state(has)})
        return found

    def _doubts(self, published: Published) -> list[str]:
        """What a reader should know of the names that its addresses come from."""
        environment, ref = _name(published), published.service.ref
        found = (
            f"It has names that {what}."
            for _, firewall in sorted(self._controller.firewalls.items())
            if any(each.environment == environment for each in firewall.device.environments)
            for what, components in firewall.known(environment).doubts() if ref in components
        )  # fmt: skip
        return list(dict.fromkeys(found))

    def _devices(self, environment: str) -> Iterator[dict[str, Any]]:
        """How far each device is: a version of the policy, and whether something waits there."""
        now_s = self._controller.now()
        for name, group in sorted(self._controller.groups.items()):
            lane = group.lanes.get(environment)
            if lane is not None:
                said = lane.standing().as_json(now_s)
                yield {
                    "device": name, "state": said["state"], "version": said["version"],
                    "applied_version": said["applied_version"], "steps": said["steps"], "why": said["fault"],
                    "lags": said["state"] in LAGS or said["version_off"],
                }  # fmt: skip


def people_of(news: News, published: Sequence[Published]) -> People:
    """In a worker thread."""
    may = {_name(each): {rule.subject for rule in each.rules if rule.is_permit} for each in published}
    never = {_name(each): {rule.subject for rule in each.rules if _shuts_out(rule)} for each in published}
    wanted = {rule.subject for each in published for rule in each.rules}
    meant: Counter[str] = Counter()
    let_in: Counter[str] = Counter()
    for ref in news.catalog.people:
        theirs = _subjects(news, ref) & wanted
        meant.update(theirs)
        let_in.update(at for at in may if not theirs.isdisjoint(may[at]) and theirs.isdisjoint(never[at]))
    return People(meant, let_in)


def _shuts_out(rule: Rule) -> bool:
    """Whether it is a prohibition of everything."""
    parts = (rule.methods, rule.apis, rule.operations or None)
    return not rule.is_permit and not rule.requirements and all(part is None for part in parts)


def named(news: News, rule: Rule, after: str) -> Message:
    """Whom a rule means, a page of them, past their end the first; ``next`` is "" at it. In a worker thread."""
    everybody = sorted(ref for ref in news.catalog.people if rule.subject in _subjects(news, ref))
    begin = bisect_right(everybody, after) % max(len(everybody), 1)
    page = everybody[begin : begin + NAMED]
    is_last = begin + len(page) == len(everybody)
    told = {"rule": rule.id, "sentence": sentence_of(rule), "people": page, "total": len(everybody), "begin": begin}
    return {**told, "next": "" if is_last else page[-1]}


def _subjects(news: News, ref: str) -> frozenset[str]:
    """What rules may call a person, who is anyone too."""
    return news.directory.subjects_of(ref) | {ANYONE}


def _name(published: Published) -> str:
    return published.exposure.environment


def _rule(rule: Rule, people: Mapping[str, int]) -> dict[str, Any]:
    return {
        "rule": rule.id, "effect": "permit" if rule.is_permit else "deny", "sentence": sentence_of(rule),
        "subject": rule.subject, "people": people.get(rule.subject, 0),
    }  # fmt: skip


def _reading_order(rule: Mapping[str, Any]) -> tuple[bool, int, str]:
    """Who may before who never may, and who are many first."""
    return rule["effect"] == "deny", -rule["people"], rule["sentence"]


def _leg(leg: Leg) -> dict[str, Any]:
    rule = leg.rule
    obstacle = leg.obstacle()
    tags = sorted(leg.tags_of(rule) or ()) if rule is not None else []
    wanted = leg.firewall.tags.wanted
    users = wanted.users if wanted is not None else {}
    timed = {name for name, tag in (wanted.timed if wanted is not None else ()) if tag in tags}
    counted = {name for name, theirs in users.items() if not theirs.isdisjoint(tags)} | timed
    return {
        "device": leg.firewall.device.name, "leg": leg.name, "rule": rule["name"] if rule is not None else "",
        "sentence": rule["description"] if rule is not None else "", "tags": tags, "users": len(counted),
        "state": obstacle.state if obstacle is not None else "open",
        "why": obstacle.sentence if obstacle is not None else "",
    }  # fmt: skip


def _state(has: list[bool | None]) -> str:
    return "unknown" if None in has else "open" if all(has) and has else "stops"
