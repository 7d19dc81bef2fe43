"""Another administrator of an emulated firewall, who does something at random whenever he is told to, as it lets him.

Whatever he makes is called `his-…`. He may also touch what is ours and the anchors, work on a loaded configuration, and
commit everybody's edits, as careless people do.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from xml.etree.ElementTree import Element

from gateway.engine.network.panos import names
from gateway.lab.panos.device import Device
from gateway.lab.panos.requests import answer
from tests.support.panos import RULES, VSYS1, rule

HIM, SECRET = "admin", "admin"
WIDE = "his-wide"
ANCHORS = (names.FIRST, names.LAST)
_OBJECTS = ("dynamic-user-group", "address-group", "tag", "service")
_ALL, _OWN = "<config/>", f"<config><partial><admin><member>{HIM}</member></admin></partial></config>"


class Administrator:
    """``eager``: how often he does something when he could; ``rude``: to what is ours, too."""

    def __init__(self, device: Device, random: Random, eager: float, *, rude: bool) -> None:
        self._device = device
        self._random = random
        self._eager = eager
        self._key = device.admins.keygen(HIM, SECRET)
        self._acts = (*self._polite(), *self._rude()) if rude else self._polite()
        self.begun = 0
        self.did: list[str] = []

    def does_something(self) -> None:
        if self._random.random() < self._eager:
            act = self._random.choice(self._acts)
            act()
            self.did.append(act.__name__)

    def goes_home(self) -> None:
        self._eager = 0.0
        self.mends()

    def _polite(self) -> tuple[Callable[[], object], ...]:
        often = (self.edits,) * 7 + (self.unlocks,) * 4 + (self.commits, self.reverts) * 2
        return (*often, self.locks, self.opens_the_block, self.closes_the_block, self.saves, self.loads)

    def _rude(self) -> tuple[Callable[[], object], ...]:
        anchors = self.edits_an_anchor, self.moves_an_anchor, self.deletes_an_anchor
        return (*anchors, self.touches_a_rule, self.touches_a_rule, self.renames_an_object)

    def asks(self, **said: str) -> bool:
        came = answer(self._device, {"X-PAN-KEY": self._key}, said)
        return b'status="success"' in came.body

    def _writes(self, action: str, xpath: str, element: str = "", **said: str) -> bool:
        return self.asks(type="config", action=action, xpath=xpath, element=element, **said)

    # === what is his ===

    def edits(self) -> None:
        self.begun += 1
        body = f"<entry name='his-{self.begun}'><ip-netmask>192.0.2.1</ip-netmask></entry>"
        self._writes("set", f"{VSYS1}/address", body)

    def locks(self) -> None:
        noun = self._random.choice(("config", "commit"))
        scope = self._random.choice(("shared", "vsys1"))
        self.asks(type="op", cmd=f"<request><{noun}-lock><add/></{noun}-lock></request>", vsys=scope)

    def unlocks(self) -> None:
        for noun in ("config", "commit"):
            for scope in ("shared", "vsys1"):
                self.asks(type="op", cmd=f"<request><{noun}-lock><remove/></{noun}-lock></request>", vsys=scope)

    def commits(self) -> bool:
        """Everybody's edits."""
        return self.asks(type="commit", cmd="<commit/>")

    def reverts(self) -> None:
        """His own edits, or everybody's."""
        self.asks(type="op", cmd=f"<revert>{self._random.choice((_ALL, _OWN))}</revert>")

    def saves(self) -> None:
        self.asks(type="op", cmd="<save><config><to>his.xml</to></config></save>")

    def loads(self) -> None:
        """What he saved, or what runs."""
        which = self._random.choice(("<from>his.xml</from>", "<from>running-config.xml</from>", "<last-saved/>"))
        self.asks(type="op", cmd=f"<load><config>{which}</config></load>")

    # === what is ours, and where it lies ===

    def edits_an_anchor(self) -> None:
        anchor = at(self._random.choice(ANCHORS))
        inside = f"<description>{self.begun}</description>"
        self._writes("set", anchor, self._random.choice((inside, "<disabled>no</disabled>")))

    def moves_an_anchor(self) -> None:
        self._writes("move", at(self._random.choice(ANCHORS)), where=self._random.choice(("top", "bottom")))

    def deletes_an_anchor(self) -> None:
        self._writes("delete", at(self._random.choice(ANCHORS)))

    def opens_the_block(self) -> None:
        """A wide rule amid ours."""
        self._writes("set", RULES, rule(WIDE, from_="trust", to="untrust"))
        self._writes("move", at(WIDE), where=self._random.choice(("before", "after")), dst=self._random.choice(ANCHORS))

    def closes_the_block(self) -> None:
        self._writes("delete", at(WIDE))

    def touches_a_rule(self) -> None:
        """Of ours: disabled, wide, moved, or gone."""
        ours = [name for name in rules(self._device.configuration.candidate) if names.is_ours(name)]
        if not ours:
            return
        name = self._random.choice(ours)
        wide = "<source-user><member>any</member></source-user>"
        self._random.choice((
            lambda: self._writes("set", at(name), "<disabled>yes</disabled>"),
            lambda: self._writes("edit", f"{at(name)}/source-user", wide),
            lambda: self._writes("move", at(name), where="bottom"),
            lambda: self._writes("delete", at(name)),
        ))()  # fmt: skip

    def renames_an_object(self) -> None:
        """Of ours, or a rule."""
        kind = self._random.choice(_OBJECTS)
        base = f"{VSYS1}/{kind}"
        found = self._device.configuration.candidate.findall(f"./devices/entry/vsys/entry/{kind}/entry")
        ours = [name for entry in found if names.is_ours(name := entry.get("name", ""))]
        if ours:
            self._writes("rename", f"{base}/entry[@name='{self._random.choice(ours)}']", newname=f"his-{self.begun}")

    # === the end ===

    def mends(self) -> None:
        """What he did to the anchors and amid them; ours he leaves to us."""
        self.unlocks()
        self.asks(type="op", cmd=f"<revert>{_ALL}</revert>")
        self._writes("delete", at(WIDE))
        for tag in tags(self._device.configuration.candidate):
            if tag.startswith("his-"):
                self._writes("rename", f"{VSYS1}/tag/entry[@name='{tag}']", newname=names.block_tag("prod"))
        for name in ANCHORS:
            self._writes("edit", at(name), rule(name, disabled="yes", action="deny"))
        self._writes("move", at(ANCHORS[0]), where="top")
        self._writes("move", at(ANCHORS[1]), where="bottom")
        for name in rules(self._device.configuration.candidate):
            if not names.is_ours(name) and name not in ANCHORS:
                self._writes("move", at(name), where="bottom")
        self.commits()


def at(name: str) -> str:
    return f"{RULES}/entry[@name='{name}']"


def tags(root: Element) -> list[str]:
    return [entry.get("name", "") for entry in root.findall("./devices/entry/vsys/entry/tag/entry")]


def rules(root: Element) -> list[str]:
    found = root.findall("./devices/entry/vsys/entry/rulebase/security/rules/entry")
    return [entry.get("name", "") for entry in found]
