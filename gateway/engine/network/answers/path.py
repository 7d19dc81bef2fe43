"""The hops of the network between a person and a service, each open, or with the sentence why not.

Answered from what the last looks found, so a reader waits for a name server at most. The door's own hop is not the
engine's: the published table decides it, wherever somebody asks. Who is cut off or shut out is told here, because
control has told the engine.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from ipaddress import ip_network
from typing import Any, Final, NamedTuple

from gateway.config.devices import Bigip, PanosEnvironment
from gateway.engine.network.absent import AbsentTarget
from gateway.engine.network.answers.views import Views
from gateway.engine.network.controller import Controller
from gateway.engine.network.faults import DeviceFault
from gateway.engine.network.fronts import Front, is_right, some, wanted_by
from gateway.engine.network.panos.firewall import Firewall, Leg, Person, back_hop, front_hop, leg_of
from gateway.engine.network.panos.people import name_of
from gateway.engine.network.reconcile import Lane
from gateway.link import Message
from gateway.questions.hops import Hop
from policy.claims import key_of

ASKED: Final = frozenset(("path_hops",))
NAME_S: Final = 1.5  # that a name server is waited for
SEE_CUTS: Final = "`stagedoor cut list` says why."
SEE_STATUS: Final = "Mend what `stagedoor status` says of it."
Endpoints = Callable[[str], Mapping[str, bool]]


class Asked(NamedTuple):
    """``service`` is "" where the host is no service's."""

    person: str
    host: str
    service: str
    environment: str


class Paths:
    """``endpoints``: of an exposure those that are checked, and whether each is up."""

    def __init__(self, controller: Controller, endpoints: Endpoints) -> None:
        self._controller = controller
        self._endpoints = endpoints

    async def answer(self, message: Message) -> Message:
        """The answer to one of `ASKED`."""
        asked = Asked(*(str(message.get(name) or "") for name in Asked._fields))
        clients, upstreams = [await self._name(asked)], []
        if asked.service:
            fronts, unmet = await self._fronts(asked)
            clients += [*(_virtual_server(lane, front) for lane, front in fronts), *unmet]
            addresses = sorted({front.address for _, front in fronts})
            for firewall, lane, environment in self._firewalls(asked.environment):
                clients += await self._front(asked, firewall, lane, environment, addresses)
                upstreams += await self._back(asked, firewall, lane)
            clients += self._cut(asked)
            upstreams.append(self._upstream(asked))
        return {"clients": [hop.as_json() for hop in clients], "upstreams": [hop.as_json() for hop in upstreams]}

    # === to the door ===

    async def _name(self, asked: Asked) -> Hop:
        there = await self._controller.checks.led(asked.host, NAME_S)
        if there is None:
            return Hop("name", asked.host, "unknown", "No name server has answered in time.", "Ask again in a moment.")
        met, said, is_whole = await self._wanted(asked)
        wanted = met | said
        leads = f"DNS leads {asked.host} to {some(sorted(there)) or 'this machine'}"
        is_met = any(is_right(asked.host, there, each) for each in (met, wanted) if each)
        if not (is_met or is_whole):
            said_so = f"{leads}, and not every device says now where clients meet it."
            return Hop("name", asked.host, "unknown", said_so, "Mend what `stagedoor status` says of devices.")
        if wanted and not is_met:
            where = f"to {some(sorted(there))}" if there else "nowhere"
            sentence = f"DNS leads {asked.host} {where}, instead of to {' or '.join(sorted(wanted))}."
            return Hop("name", asked.host, "stops", sentence, "Correct the record in DNS.")
        if not there and not asked.host.endswith(".localhost"):
            return Hop("name", asked.host, "stops", f"DNS leads {asked.host} nowhere.", "Add a record to DNS.")
        return Hop("name", asked.host, "open", f"{leads}.")

    async def _wanted(self, asked: Asked) -> tuple[frozenset[str], frozenset[str], bool]:
        """Addresses that a host may lead to: those where devices meet it, and those that settings say of firewalls; and
        whether every device has said so."""
        unusable = any(isinstance(lane.target, AbsentTarget) for lane in self._lanes(asked.environment))
        try:
            met = wanted_by(await Views(self._controller).entrances(asked.environment))
        except DeviceFault:
            met, unusable = {}, True
        said = (text for _, _, at in self._firewalls(asked.environment) for text in at.virtual_addresses)
        return met.get(asked.host, frozenset()), frozenset(_plain(text) for text in said), not unusable

    async def _fronts(self, asked: Asked) -> tuple[list[tuple[Lane, Front]], list[Hop]]:
        """Where the host is met, and the devices of which nobody can tell."""
        found: list[tuple[Lane, Front]] = []
        unmet: list[Hop] = []
        for lane in self._lanes(asked.environment):
            name = lane.target.device
            if isinstance(lane.target, AbsentTarget):
                unmet += self._unusable(name, asked.environment)
                continue
            try:
                fronts = await self._controller.fronts(lane)
            except DeviceFault as fault:
                said = f"Nobody knows where {name} meets {asked.host}: {fault}."
                unmet.append(Hop("virtual-server", name, "unknown", said, SEE_STATUS))
                continue
            mine = [each for each in fronts if each.entity == asked.service and each.host == asked.host]
            found += [(lane, each) for each in mine[:1]]
        return found, unmet

    def _unusable(self, name: str, environment: str) -> Iterator[Hop]:
        """One whose settings cannot be used, by what it would be."""
        device = self._controller.devices[name]
        said = f"{name} cannot be used, so nobody knows what it does."
        if isinstance(device, Bigip):
            yield Hop("virtual-server", name, "unknown", said, SEE_STATUS)
        elif any(each.has_rules for each in device.environments if each.environment == environment):
            yield Hop("firewall", name, "unknown", said, SEE_STATUS)

    async def _front(
        self, asked: Asked, firewall: Firewall, lane: Lane, environment: PanosEnvironment, addresses: Sequence[str]
    ) -> list[Hop]:
        leg = await self._leg("front", asked, firewall, lane)
        if not isinstance(leg, Leg):
            return [leg] if leg is not None else []
        met = [*addresses, *environment.virtual_addresses]
        return [front_hop(leg, Person(asked.person, self._name_on(firewall, asked.person)), met)]

    def _cut(self, asked: Asked) -> Iterator[Hop]:
        overlay, news = self._controller.overlay, self._controller.news
        if overlay is None:
            return
        theirs = news.directory.subjects_of(asked.person) if news is not None else frozenset()
        if whom := sorted(overlay.denied & {asked.person, *theirs}):
            yield Hop("door", asked.host, "stops", f"{some(whom)} is cut off.", SEE_CUTS)
        if what := overlay.closed(asked.service, asked.environment):
            yield Hop("door", asked.host, "stops", f"{_capital(what)} is closed.", SEE_CUTS)

    # === from the door ===

    async def _back(self, asked: Asked, firewall: Firewall, lane: Lane) -> list[Hop]:
        leg = await self._leg("back", asked, firewall, lane)
        if not isinstance(leg, Leg):
            return [leg] if leg is not None else []
        hop, overlay = back_hop(leg, asked.service), self._controller.overlay
        what = overlay.closed(asked.service, asked.environment) if overlay is not None else ""
        if what and hop.state == "stops":
            said = f"{_capital(what)} is closed, so {firewall.device.name} keeps the doors away."
            return [leg.hop("stops", said, SEE_CUTS)]
        return [hop]

    def _upstream(self, asked: Asked) -> Hop:
        key = key_of(asked.service, asked.environment)
        checked = self._endpoints(key)
        endpoints = self._endpoints_of(key)
        if checked and not any(checked.values()):
            said = f"{some(sorted(checked))} do not answer their checks." if len(checked) > 1 else ""
            return Hop("upstream", key, "stops", said or f"{min(checked)} does not answer its check.",
                       "Ask the owner of the service.")  # fmt: skip
        if not endpoints:
            return Hop("upstream", key, "stops", "Nothing of this service is published here.",
                       f"`stagedoor entity {asked.service}` says why.")  # fmt: skip
        if up := [url for url, is_up in sorted(checked.items()) if is_up]:
            return Hop("upstream", key, "open", f"Checks are answered by {some(up)}.")
        return Hop("upstream", key, "open", f"The door forwards to {some(endpoints)}; no check is set.")

    # === inside ===

    def _lanes(self, environment: str) -> list[Lane]:
        """Of every device that has the environment."""
        lanes = [group.lanes.get(environment) for _, group in sorted(self._controller.groups.items())]
        return [lane for lane in lanes if lane is not None]

    def _firewalls(self, environment: str) -> Iterator[tuple[Firewall, Lane, PanosEnvironment]]:
        for name, firewall in sorted(self._controller.firewalls.items()):
            group = self._controller.groups.get(name)
            lane = group.lanes.get(environment) if group is not None else None
            said = next((each for each in firewall.device.environments if each.environment == environment), None)
            if lane is not None and said is not None:
                yield firewall, lane, said

    async def _leg(self, name: str, asked: Asked, firewall: Firewall, lane: Lane) -> Leg | Hop | None:
        """None where the firewall does not see this leg."""
        if lane.desired is None:
            return Hop("firewall", firewall.device.name, "unknown", "Nothing is published yet.")
        try:
            content = await self._controller.blocking(firewall.content, lane.desired)
        except DeviceFault as fault:
            return Hop("firewall", firewall.device.name, "unknown", f"Its rules could not be made: {fault}.")
        return leg_of(name, firewall, lane, content, asked.service)

    def _name_on(self, firewall: Firewall, ref: str) -> str:
        news = self._controller.news
        person = news.catalog.people.get(ref) if news is not None else None
        return name_of(firewall.device.user_name, person) if person is not None else ""

    def _endpoints_of(self, key: str) -> list[str]:
        news = self._controller.news
        published: Iterable[Any] = news.published if news is not None else ()
        return sorted({url for each in published if each.key == key for url in each.exposure.upstreams})


def _virtual_server(lane: Lane, front: Front) -> Hop:
    """Of a load balancer, as its last look found it."""
    where = f"{front.address}:{front.port} ({front.object})"
    at = f"{lane.target.device}, {front.object}"
    todo = "Read and apply the plan that waits: `stagedoor plan`."
    if lane.fault or lane.shown is None:
        why = lane.fault or f"{lane.target.device} was not looked at yet"
        return Hop("virtual-server", at, "unknown", f"Nobody knows whether {where} has the host: {why}.")
    steps = [step for step in lane.shown.plan["steps"] if front.entity in step["entities"]]
    if any(step["kind"] == "add" and is_about(step, front.host) for step in steps):
        return Hop("virtual-server", at, "stops", f"{where} does not have {front.host} yet.", todo)
    if waiting := lane.shown.waiting.get(front.entity, 0):
        said = f"Clients meet it at {where}, and {waiting} step{' about it waits' if waiting == 1 else 's wait'}."
        return Hop("virtual-server", at, "open", said, todo)
    return Hop("virtual-server", at, "open", f"Clients meet it at {where}.")


def is_about(step: Mapping[str, Any], host: str) -> bool:
    named = rf"(?<![\w.*-]){re.escape(host)}(?![\w-]|\.\w)"  # and not one that ends or begins with it
    return host in step["hosts"] or re.search(named, step["sentence"]) is not None


def _capital(text: str) -> str:
    """As a sentence begins; a ref stays what it is."""
    return text if ":" in text else text.capitalize()


def _plain(text: str) -> str:
    """An address as name servers say it, a network as it is."""
    network = ip_network(text, strict=False)
    return str(network.network_address if network.prefixlen == network.max_prefixlen else network)
