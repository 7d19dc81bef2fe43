"""The store: what control must not forget, in SQLite on one node, in PostgreSQL for several. SQL is nowhere else.

    store = await open_store(settings.database, Path(settings.state_folder))   # raises SchemaUnknown
    await store.close()
    store.fault -> str                                        # "" while the database answers, else a sentence

A database that is away at the start, or goes away, does not end the program: `open_store` returns, every call raises
`StoreUnavailable` at once (``.public`` may be shown to people, ``str()`` is for operators; neither holds a value), and
the store comes back by itself. A schema that is newer than the program is `SchemaUnknown`: the program must not start.

A write is on disk when its call returns, whole or not at all; after `StoreUnavailable` it may have happened. Times are
epoch seconds, given by the caller. All calls are coroutines. ``act`` is written in the same transaction.

    store.sessions.add(row: Session)
    store.sessions.get(sids: Collection[str]) -> dict[str, Session]       # ended ones too, for a day; unknown: absent;
                                                                          # ask each `session.over(now)`
    store.sessions.replace(row: Session, if_version: int) -> Session|None # None: it has another version, or has ended;
                                                                          # keeps `seen` and `rest` unless `signed_in`
                                                                          # is new; gives up the claim to refresh
    store.sessions.name(sid, ref) -> bool                                 # whose it is; False: it has ended
    store.sessions.claim_refresh(sid, now, until) -> bool                 # over all nodes one caller at a time
    store.sessions.touch(seen: Mapping[str, int])                         # only forwards, never revives; counts `rest`
    store.sessions.end(sids, at, why, act: Act|None = None) -> list[str]  # those that this call ended
    store.sessions.of_person(issuer, sub) -> list[Session]                # living ones, here and below
    store.sessions.of_ref(ref) -> list[Session]
    store.sessions.of_provider_session(issuer, provider_sid) -> list[Session]
    store.sessions.list(after: str = "", limit: int = 100) -> list[Session]   # by sid; `after` is the last one's sid
    store.sessions.ended_since(at: int) -> Sequence[str]                  # sids
    store.expire(now) -> list[str]          # ends 1,000 that are over (why: "idle", "until"): their sids; and forgets
                                            # codes and ids past their time, sessions that ended a day ago, and cuts
                                            # lifted 90 days ago

    store.put_code(digest: bytes, payload: bytes, until: int)
    store.take_code(digest: bytes, now: int) -> bytes|None                # once, over all nodes
    store.remember_once(kind: str, id: str, until: int) -> bool           # True: it was not known

    store.pin(issuer, sub, ref, at) -> Pin                                # the pin that holds: compare its `sub`
    store.confirm_pin(pin: Pin, act: Act)                                 # takes the place of the one that held
    store.unpin(issuer, ref, act: Act) -> bool
    store.pins(ref: str = "") -> list[Pin]

    store.put_cut(cut: Cut, act: Act)                                     # takes the place of an older word
    store.lift_cut(kind, ref, act: Act) -> bool                           # at `act.at`; False: nothing, and no act
    store.cuts() -> list[Cut]                                             # those in force, and those lifted

    store.append_act(act: Act) -> int                                     # its number; never changed, never deleted
    store.acts(after: int = 0, limit: int = 100) -> list[Act]

    store.leadership(name, node, changed: Callable[[int|None], None]) -> Leadership   # start(), close()

    store.subscribe(callback: Callable[[Notice], None])                   # synchronous, in the loop, after commit

Notices come for every node's changes, this one's included, so treat them as news that may be known. ``resync`` comes
after each connection to the database, and to who subscribes: read again what matters. They carry ids only.
"""

from gateway.control.store.faults import SchemaUnknown, StoreUnavailable, Unstorable
from gateway.control.store.leadership import Leadership
from gateway.control.store.rows import Act, Cut, CutKind, Notice, Pin, Session
from gateway.control.store.store import Store, open_store

__all__ = [
    "Act", "Cut", "CutKind", "Leadership", "Notice", "Pin", "SchemaUnknown", "Session", "Store", "StoreUnavailable",
    "Unstorable", "open_store",
]  # fmt: skip
