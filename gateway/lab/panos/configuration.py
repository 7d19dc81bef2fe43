"""Candidate, running, and who changed what between them.

The journal is the truth about authorship: a commit of some admins' changes replays their entries alone on the running
configuration, a revert replays the others'. So a partial commit really leaves the rest uncommitted.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from xml.etree.ElementTree import Element

from gateway.lab.panos import kinds, references, tree, xpath
from gateway.lab.panos.answers import Answer, Declined, element, unauthorized
from gateway.lab.panos.tree import Change, Effect


@dataclass(frozen=True)
class Entry:
    """One line of the journal. ``paths``: of what it changed, as the device writes them; ``at``: epoch seconds."""

    admin: str
    change: Change
    paths: tuple[str, ...]
    kind: str  # component type
    at: float
    reorders: bool
    replaces: bool = False  # the whole candidate: by a configuration that was loaded

    @property
    def written(self) -> str:
        return self.paths[0]

    @property
    def after(self) -> tuple[str, ...]:
        """Paths without those that are no more."""
        return self.paths[:1] if self.change.action == "rename" else self.paths


@dataclass(frozen=True)
class Staged:
    """What a commit was asked for: the journal as it stood, and for everybody's changes the candidate too."""

    entries: tuple[Entry, ...]
    whole: Element | None


Wanted = Callable[[Entry], bool]


def anything(_: Entry) -> bool:
    return True


class Configuration:
    """``clock``: epoch seconds. ``follows``: whether a rename is written wherever the old name is used."""

    def __init__(self, stock: Element, clock: Callable[[], float], follows: Callable[[], bool] = lambda: False) -> None:
        tree.identify(stock)
        self.running = stock
        self.candidate = deepcopy(stock)
        self.journal: list[Entry] = []
        self.history: list[Element] = []  # running configurations of the past, the newest last
        self._loaded: Element | None = None  # what the candidate began from, where that is not what runs
        self._clock = clock
        self._follows = follows
        self._numbered = 0

    # === reading ===

    def get(self, path: str) -> Answer:
        """Of the candidate. A path below /config that cannot be read leads nowhere, with success."""
        hits = _hits(self.candidate, path)
        return tree.shown(hits, 19) if hits else tree.shown([], 7)

    def show(self, path: str) -> Answer:
        """Of the running configuration. Raises `Declined`."""
        hits = _hits(self.running, path)
        if not hits:
            raise Declined(7, "No such node")
        return tree.shown(hits, 19)

    # === writing ===

    def write(self, admin: str, changes: list[Change]) -> list[Effect]:
        """All of them or none. Raises `Declined`, with the id of the change that failed."""
        root = deepcopy(self.candidate)
        effects, entries = [], []
        for change in [replace(each, follows=self._follows()) for each in changes]:
            _under_config(change.xpath)
            try:
                effect = tree.apply(root, change)
                _check(root, effect)
            except Declined as refused:
                refused.identity = change.identity
                raise
            effects.append(effect)
            if effect.answer is None:
                entries.append(self._entered(admin, change, effect))
        tree.identify(root, self.candidate)
        self.candidate = root
        self.journal += entries
        return effects

    def _entered(self, admin: str, change: Change, effect: Effect) -> Entry:
        now = self._clock()
        self._numbered += 1
        when = datetime.fromtimestamp(now, UTC).strftime("%Y/%m/%d %H:%M:%S")
        for place in effect.touched:
            tree.stamp(place, admin, self._numbered, when)
        place = effect.touched[0]
        kind = kinds.kind_of(place) or next((kind for kind, _ in kinds.entries(place)), "") or place[-1].tag
        return Entry(admin, change, effect.named(), kind, now, effect.reorders)

    # === commit and revert ===

    def pending(self, wanted: Wanted = anything) -> list[Entry]:
        return [entry for entry in self.journal if wanted(entry)]

    def staged(self, wanted: Wanted | None = None) -> Staged:
        """Of what is wanted alone; None: everything."""
        if wanted is None:
            return Staged(tuple(self.journal), deepcopy(self.candidate))
        return Staged(tuple(self.pending(wanted)), None)

    def built(self, staged: Staged) -> Element:
        """What would be running. Raises `Declined` where the admins' changes do not stand without the others'."""
        if staged.whole is not None:
            root = deepcopy(staged.whole)
            tree.unstamp(root, None)
            return root
        root = deepcopy(self.running)
        still = {id(entry) for entry in self.journal}  # an earlier commit may have taken some
        for entry in staged.entries:
            if id(entry) in still:
                tree.apply(root, entry.change)
        tree.identify(root, self.candidate)
        return root

    def land(self, staged: Staged, root: Element) -> None:
        """``root`` becomes running; what was changed since stays in the candidate."""
        self.history.append(self.running)
        self.running = root
        taken = {id(entry) for entry in staged.entries}
        self.journal = [entry for entry in self.journal if id(entry) not in taken]
        if any(entry.replaces for entry in staged.entries):
            self._loaded = None
        still = {entry.admin for entry in self.journal}
        tree.unstamp(self.candidate, {entry.admin for entry in staged.entries} - still)

    def revert(self, wanted: Wanted = anything) -> None:
        """The candidate as if what is wanted had not been written."""
        rest = [entry for entry in self.journal if not wanted(entry)]
        if not any(entry.replaces for entry in rest):
            self._loaded = None
        root, kept = deepcopy(self.running if self._loaded is None else self._loaded), []
        for entry in rest:
            if entry.replaces:
                kept.append(entry)
                continue
            try:
                effect = tree.apply(root, entry.change)
            except Declined:
                continue  # it stood on what is gone
            if effect.touched:
                self._numbered += 1
                for place in effect.touched:
                    tree.stamp(place, entry.admin, self._numbered, "")
            kept.append(entry)
        tree.identify(root, self.candidate)
        self.candidate, self.journal = root, kept

    def replace(self, root: Element) -> None:
        """Running and candidate at once: what came from the peer of a pair, or out of a reboot."""
        self.running, self.candidate, self.journal, self._loaded = root, deepcopy(root), [], None

    # === another candidate altogether ===

    @property
    def is_loaded(self) -> bool:
        """Such a candidate is committed and taken back as a whole."""
        return self._loaded is not None

    def load(self, admin: str, root: Element) -> None:
        """``root`` takes the candidate's place, and whatever anybody had not committed is gone."""
        root = deepcopy(root)
        tree.unstamp(root, None)
        tree.identify(root, self.candidate)
        change = Change("load", "/config")
        self.journal = [Entry(admin, change, ("/config",), "config", self._clock(), True, replaces=True)]
        self.candidate, self._loaded = root, deepcopy(root)


def _hits(root: Element, path: str) -> list[xpath.Found]:
    _under_config(path)
    try:
        return xpath.find(root, path)
    except xpath.Malformed:
        return []


def _under_config(path: str) -> None:
    if not path.strip().startswith("/config"):
        raise unauthorized()


def _check(root: Element, effect: Effect) -> None:
    for place in effect.touched:
        for kind, entry in kinds.entries(place):
            kinds.check(kind, entry[-1])
            references.check_entry(root, kind, entry)
    references.check_gone(root, effect.gone)


def stock(vsys: list[str], *, panorama: bool = False) -> Element:
    """As it came out of its box."""
    system = element("system", None, element("hostname", "panorama" if panorama else "firewall"))
    device = element("entry", None, element("deviceconfig", None, system), name="localhost.localdomain")
    if panorama:
        device.extend([element("device-group"), element("template"), element("template-stack")])
    else:
        device.append(element("network", None, element("interface", None, element("ethernet"))))
        device.append(element("vsys", None, *(_vsys(name) for name in vsys)))
    users = element("users", None, element("entry", None, name="admin"))
    inside = (element("mgt-config", None, users), element("shared"), element("devices", None, device))
    return element("config", None, *inside, version="11.1.0")


def _vsys(name: str) -> Element:
    zones = element("zone", None, *(_zone(zone) for zone in ("trust", "untrust", "dmz")))
    rulebase = element("rulebase", None, element("security", None, element("rules")))
    return element("entry", None, zones, rulebase, name=name)


def _zone(name: str) -> Element:
    return element("entry", None, element("network", None, element("layer3")), name=name)
