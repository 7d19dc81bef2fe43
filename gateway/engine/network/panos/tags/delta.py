"""What a firewall has to be told: the difference between who should carry which tags and who does. Pure.

Ours is what has the form of ours and carries the watermark; where somebody is to be in nothing at all (`cut`), the form
alone is enough. Everything else stays as it is. What is taken away is told apart by why: revocations (cuts, and grants
that are over) never wait, the rest does when the catalog cannot be believed. Tags of grants have an end. No firewall
tells ends, so we remember those that we gave; one that is not known, or another than it should be, is given anew by
taking the tag away and registering it in one message.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from gateway.engine.network.panos import names
from gateway.engine.network.panos.device.userid import LONGEST_S, NEVER, Entry, What
from gateway.engine.network.panos.membership import Key, Membership
from gateway.engine.network.panos.tags.reading import Table, spelled

AGED_S: Final = 24 * 3600  # of an end that is `LONGEST_S` away at most: after so long it is moved on
MARK: Final = frozenset((names.WATERMARK,))
_NONE: Final[frozenset[str]] = frozenset()
_GRANTS: Final = names.grant_tag("", "")[: len(names.PREFIX) + 2]  # what tags of grants begin with

Ends = Mapping[Key, int]
Over = Mapping[str, frozenset[str]]  # by user, the grants' tags that have ended
Tables = Mapping[What, Table]


@dataclass(frozen=True, slots=True)
class Wish:
    """``tags`` with the watermark, by kind and who; those of ``ends`` among them. ``shut``: see `Membership`.
    ``unfit``: who cannot be written."""

    version: str = ""
    tags: Mapping[What, Mapping[str, frozenset[str]]] = field(default_factory=lambda: {What.ADDRESS: {}, What.USER: {}})
    ends: Ends = field(default_factory=dict)
    cut: frozenset[str] = _NONE
    shut: Mapping[str, frozenset[str]] = field(default_factory=dict)
    unfit: tuple[str, ...] = ()


class Delta(NamedTuple):
    """The entries of ``revoked``, ``gone`` and ``removed`` are what to unregister, with `NEVER` for an end."""

    revoked: tuple[Entry, ...] = ()  # cuts, what was shut, and grants that are over
    gone: tuple[Entry, ...] = ()  # standing tags of users who should have none any more
    removed: tuple[Entry, ...] = ()  # other standing tags, and those of addresses
    renewed: tuple[Entry, ...] = ()  # the end is another
    timed: tuple[Entry, ...] = ()  # grants that are new
    added: tuple[Entry, ...] = ()

    @property
    def losses(self) -> tuple[Entry, ...]:
        return (*self.revoked, *self.gone, *self.removed)

    @property
    def gains(self) -> tuple[Entry, ...]:
        return (*self.timed, *self.added)

    @property
    def is_empty(self) -> bool:
        return not any(self)


def wish_of(wanted: Membership) -> Wish:
    """With the watermark, users in lower case. Names with control characters would spoil a whole message."""
    marked: dict[frozenset[str], frozenset[str]] = {}
    cut = frozenset(user.lower() for user in wanted.cut)
    users = {user.lower(): tags for user, tags in wanted.users.items() if tags and user.lower() not in cut}
    timed = {
        (user.lower(), tag): end
        for (user, tag), end in wanted.timed.items()
        if user.lower() not in cut and tag not in users.get(user.lower(), _NONE)
    }
    for user, tag in timed:
        users[user] = users.get(user, _NONE) | {tag}
    addresses = {spelled(address): tags for address, tags in wanted.addresses.items() if tags}
    addresses.pop(names.CANARY_ADDRESS, None)
    tags = {
        what: {who: marked.setdefault(tags, tags | MARK) for who, tags in wished.items() if who and who.isprintable()}
        for what, wished in ((What.ADDRESS, addresses), (What.USER, users))
    }
    unfit = tuple(sorted(who for who in (*addresses, *users) if not (who and who.isprintable())))
    shut = {spelled(address): tags for address, tags in wanted.shut.items()}
    return Wish(wanted.version, tags, timed, cut, shut, unfit)


def delta_of(wish: Wish, tables: Tables, known: Ends, now_s: float) -> Delta:
    """``known``: the ends of users' tags that we gave, `NEVER` for none."""
    over: dict[str, frozenset[str]] = {}
    for (user, tag), end in wish.ends.items():
        if end <= now_s:
            over[user] = over.get(user, _NONE) | {tag}
    losses: dict[str, list[Entry]] = {"revoked": [], "gone": [], "removed": []}
    for what in What:
        for why, entry in _losses(wish, what, tables[what], over):
            losses[why].append(entry)
    gains = [entry for what in What for entry in _gains(wish, what, tables[what], over)]
    return Delta(
        tuple(losses["revoked"]), tuple(losses["gone"]), tuple(losses["removed"]),
        tuple(_renewed(wish, tables[What.USER], known, now_s)),
        tuple(_timed(entry, wish, now_s) for entry in gains if _has_end(entry, wish)),
        tuple(entry for entry in gains if not _has_end(entry, wish)),
    )  # fmt: skip


def _now(what: What, key: str, wanted: frozenset[str], over: Over) -> frozenset[str]:
    """What is wanted without what has ended; the watermark by itself is nothing."""
    if what is What.USER and key in over:
        wanted -= over[key]
    return wanted if wanted != MARK else _NONE


def _losses(wish: Wish, what: What, table: Table, over: Over) -> Iterator[tuple[str, Entry]]:
    """The watermark goes with the last tag."""
    wished, cut = wish.tags[what], wish.cut if what is What.USER else _NONE
    for key, tags in table.tags.items():
        wanted = _now(what, key, wished.get(key, _NONE), over)
        if wanted == tags or not (names.WATERMARK in tags or key in cut):
            continue
        surplus = tags - MARK - wanted
        revoked = surplus if key in cut else _revoked(wish, what, key, surplus)
        rest, last = surplus - revoked, _NONE if wanted else tags & MARK
        if revoked or (last and not rest):  # the watermark alone is nobody's loss
            yield "revoked", _entry(what, key, revoked if rest else revoked | last)
        if rest:
            yield "gone" if what is What.USER and not wanted else "removed", _entry(what, key, rest | last)


def _revoked(wish: Wish, what: What, key: str, surplus: frozenset[str]) -> frozenset[str]:
    """What a person or a clock took away, whatever the catalog says."""
    if what is What.ADDRESS:
        return surplus & wish.shut.get(key, _NONE)
    return frozenset(tag for tag in surplus if tag.startswith(_GRANTS))


def _gains(wish: Wish, what: What, table: Table, over: Over) -> Iterator[Entry]:
    """Those that end apart from those that do not; the watermark with the first of the two."""
    for key, wished in wish.tags[what].items():
        tags = table.tags.get(key, _NONE)
        if wished == tags:
            continue
        lacking = _now(what, key, wished, over) - tags
        timed = frozenset(tag for tag in lacking if (key, tag) in wish.ends) if what is What.USER else _NONE
        mark, standing = lacking & MARK, lacking - timed - MARK
        if timed:
            yield _entry(what, key, timed | mark)
        if standing or (mark and not timed):
            yield _entry(what, key, standing if timed else standing | mark)


def _renewed(wish: Wish, users: Table, known: Ends, now_s: float) -> Iterator[Entry]:
    for (user, tag), end in wish.ends.items():
        if end > now_s and tag in users.tags.get(user, _NONE) and not _is_right(known.get((user, tag)), end, now_s):
            yield Entry(What.USER, user, ((tag, ending(end, now_s)),))
    standing = wish.tags[What.USER]
    for (user, tag), given in known.items():
        is_wanted = (user, tag) not in wish.ends and tag in standing.get(user, _NONE)
        if given != NEVER and is_wanted and tag in users.tags.get(user, _NONE):
            yield Entry(What.USER, user, ((tag, NEVER),))


def ending(end: int, now_s: float) -> int:
    """The end that can be given for one that is wanted."""
    return min(end, int(now_s) + LONGEST_S)


def _is_right(given: int | None, end: int, now_s: float) -> bool:
    """Whether the end that was given is the one that is wanted, or as near to it as can be."""
    if given is None or given == NEVER or given > end:
        return False
    return given == end or given - now_s >= LONGEST_S - AGED_S


def _has_end(entry: Entry, wish: Wish) -> bool:
    return entry.what is What.USER and any((entry.key, tag) in wish.ends for tag, _ in entry.tags)


def _timed(entry: Entry, wish: Wish, now_s: float) -> Entry:
    ends = ((tag, wish.ends.get((entry.key, tag))) for tag, _ in entry.tags)
    return entry._replace(tags=tuple((tag, NEVER if end is None else ending(end, now_s)) for tag, end in ends))


def _entry(what: What, key: str, tags: Iterable[str]) -> Entry:
    """The watermark first: where there is no room for all, what is there is known for ours."""
    return Entry(what, key, tuple((tag, NEVER) for tag in sorted(tags, key=lambda tag: (tag not in MARK, tag))))


def strangers(wish: Wish, tables: Tables) -> tuple[str, ...]:
    """Who carries tags with names of ours, and neither our watermark nor a wish: somebody else gave them."""
    return tuple(
        key
        for what, table in tables.items()
        for key, tags in table.tags.items()
        if names.WATERMARK not in tags and key not in wish.tags[what]
    )
