"""Who, and what, is cut off: said once, in force at every door at once, and known until somebody lifts it.

A cut must work when everything else is away, so it is written to the state folder first, then told to the doors, and
only then to the store, which tells the other nodes; while the store is away it is told again and again. What two nodes
say of one subject, the later word decides. A store that has forgotten a cut (a backup was put back) is told it anew:
nothing but a lift takes a cut away.

A lifted cut goes on to refuse what was issued before it: a stolen token does not come back to life.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple, get_args

import orjson

from gateway import telemetry
from gateway.control.overlay import Overlay
from gateway.control.store import Act, Cut, CutKind, Notice, Store, StoreUnavailable
from gateway.control.whole_files import write_whole
from gateway.errors import StagedoorError

FILE: Final = "cuts.json"
VERSION: Final = 1
KINDS: Final[tuple[CutKind, ...]] = get_args(CutKind)
AGAIN_S: Final = 5.0  # a store that is away is told again
LOOK_S: Final = 60.0  # for what no notice told of
LIFTED_KEPT_S: Final = 90 * 86400
MOST: Final = 10_000
LONGEST: Final = 200  # of a name
_WORD: Final = "[a-z0-9]+(?:[-_.]+[a-z0-9]+)*"
_NAME: Final = re.compile(_WORD)
_REF: Final = re.compile(f"[a-z]+:{_WORD}/{_WORD}")
_Key = tuple[CutKind, str]


class CutRefused(StagedoorError):
    """The cut cannot be made; the text says why, for the operator."""


class _Known(NamedTuple):
    cut: Cut
    act: Act | None  # what the store has not been told yet

    @property
    def at(self) -> int:
        """When this was said."""
        return self.cut.not_before if self.cut.lifted is None else self.cut.lifted


class Cuts:
    """``wall``: epoch seconds. `start` inside the running loop, once the overlay may be told."""

    def __init__(self, folder: Path, overlay: Overlay, store: Store, wall: Callable[[], float]) -> None:
        self._path = folder / FILE
        self._overlay = overlay
        self._store = store
        self._wall = wall
        self._known: dict[_Key, _Known] = {}
        self._fault = ""  # nothing can be cut or lifted while there is one
        self._hint = asyncio.Event()
        self._following: asyncio.Task[None] | None = None

    def start(self) -> None:
        """What cannot be read lets nobody in again: the doors go on with what the overlay remembers."""
        try:
            self._known = {(each.cut.kind, each.cut.ref): each for each in _read(self._path)}
        except CutRefused as refused:
            self._fault = str(refused)
            telemetry.log("cuts_unreadable", level="error", why=self._fault)
            return
        self._tell_doors()
        self._store.subscribe(self._on_notice)
        self._following = asyncio.get_running_loop().create_task(self._follow_store())

    def close(self) -> None:
        if self._following is not None:
            self._following.cancel()

    @property
    def listed(self) -> list[Cut]:
        """Those in force, and those lifted that still refuse old tokens."""
        return [each.cut for _, each in sorted(self._known.items())]

    # === acts ===

    def cut(self, kind: str, ref: str, because: str, by: str) -> Cut:
        """In force when this returns, but for the doors' acknowledgement: `Overlay.seq` says of what. Raises
        `CutRefused`."""
        known_kind, named = self._checked(kind, ref)
        if not because.strip():
            raise CutRefused("say why, with --because: the next one who reads it decides by that")
        if len(self._known) >= MOST:
            raise CutRefused(f"{MOST} cuts are known: lift some")
        now = int(self._wall())
        known = self._known.get((known_kind, named))
        # What is issued in this second is refused too; of two words of one second other nodes hear only the first.
        since = max(now + 1, known.at + 1 if known is not None else 0)
        made = Cut(known_kind, named, since, because.strip(), by)
        self._put(made, Act(now, by, f"cut {known_kind}", named, because.strip()))
        return made

    def lift(self, kind: str, ref: str, because: str, by: str) -> Cut:
        """Raises `CutRefused`, also when there is nothing to lift."""
        known_kind, named = self._checked(kind, ref)
        known = self._known.get((known_kind, named))
        if known is None or known.cut.lifted is not None:
            raise CutRefused(f"{known_kind} `{named}` is not cut off; `stagedoor cut list` shows who is")
        now = max(int(self._wall()), known.at + 1)
        lifted = replace(known.cut, lifted=now)
        self._put(lifted, Act(now, by, f"lift cut {known_kind}", named, because.strip()))
        return lifted

    def _checked(self, kind: str, ref: str) -> tuple[CutKind, str]:
        if self._fault:
            raise CutRefused(self._fault)
        return checked(kind, ref)

    def _put(self, cut: Cut, act: Act) -> None:
        before = self._known.get((cut.kind, cut.ref))
        self._known[cut.kind, cut.ref] = _Known(cut, act)
        try:
            self._save()
        except OSError as fault:
            if cut.lifted is not None and before is not None:  # a lift that is forgotten would come as a surprise
                self._known[cut.kind, cut.ref] = before
                raise CutRefused(f"it cannot be remembered: {fault.strerror}; nothing was changed") from None
            telemetry.log("cut_not_saved", level="error", why=str(fault))  # in force, until control starts again
        telemetry.log("cut", level="warning", kind=cut.kind, about=cut.ref, lifted=cut.lifted is not None, by=cut.by)
        self._tell_doors()
        self._hint.set()

    # === doors ===

    def _tell_doors(self) -> None:
        known = [each.cut for each in self._known.values()]
        in_force = [each for each in known if each.lifted is None]
        self._overlay.put_cuts(
            sorted(each.ref for each in in_force if each.kind in ("person", "workload", "team")),
            {each.ref: each.not_before for each in known if each.kind in ("person", "workload", "team")},
            sorted(f"@{each.ref}" if each.kind == "environment" else each.ref
                   for each in in_force if each.kind in ("service", "environment")),
        )  # fmt: skip

    # === the store ===

    def _on_notice(self, notice: Notice) -> None:
        if notice.kind in ("cuts", "resync"):
            self._hint.set()

    async def _follow_store(self) -> None:
        while True:
            self._hint.clear()
            try:
                await self._exchange()
                wait_s = LOOK_S
            except StoreUnavailable:
                wait_s = AGAIN_S
            except Exception as fault:  # of one row: the doors know all of them anyway
                telemetry.log("cuts_not_exchanged", level="error", why=f"{type(fault).__name__}: {fault}")
                wait_s = AGAIN_S
            try:
                async with asyncio.timeout(wait_s):
                    await self._hint.wait()
            except TimeoutError:
                pass

    async def _exchange(self) -> None:
        """Tell the store what it has not heard, and hear what other nodes said."""
        told = {(each.kind, each.ref): _Known(each, None) for each in await self._store.cuts()}
        for key, known in [*self._known.items()]:
            theirs = told.get(key)
            if theirs is not None and theirs.at > known.at:
                continue
            forgotten = theirs is None and known.cut.lifted is None
            if known.act is not None or forgotten:
                await self._tell_store(key, known)
        now = int(self._wall())
        changed = {key: each for key, each in told.items() if key not in self._known or each.at > self._known[key].at}
        over = [
            key for key, each in self._known.items()
            if each.act is None and each.cut.lifted is not None and now - each.cut.lifted > LIFTED_KEPT_S
        ]  # fmt: skip
        if changed or over:
            self._known = {key: each for key, each in (self._known | changed).items() if key not in over}
            self._tell_doors()
            self._save_if_possible()

    async def _tell_store(self, key: _Key, known: _Known) -> None:
        cut = known.cut
        act = known.act or Act(int(self._wall()), cut.by, f"cut {cut.kind}", cut.ref, cut.because)
        if cut.lifted is None or not await self._store.lift_cut(cut.kind, cut.ref, act):
            await self._store.put_cut(cut, act)
        if self._known.get(key) is known:  # nobody said another word meanwhile
            self._known[key] = known._replace(act=None)
            self._save_if_possible()

    # === the file ===

    def _save_if_possible(self) -> None:
        try:
            self._save()
        except OSError as fault:
            telemetry.log("cut_not_saved", level="error", why=str(fault))

    def _save(self) -> None:
        """Whole or not at all, on the disk when this returns. Raises `OSError`."""
        said = {"version": VERSION, "cuts": [_plain(each) for each in self._known.values()]}
        write_whole(self._path, [orjson.dumps(said)], renamed=True)


def checked(kind: str, ref: str) -> tuple[CutKind, str]:
    """What is meant, spelled as everywhere else. Raises `CutRefused`."""
    if kind not in KINDS:
        raise CutRefused(f"`{kind}` is no kind of thing to cut off; there are {', '.join(KINDS)}")
    name = ref.strip().lower()
    wanted = {"person": "user", "team": "group", "workload": "component", "service": "component"}.get(kind, "")
    if wanted:
        said, colon, rest = name.rpartition(":")
        if colon and said != wanted:
            raise CutRefused(f"a {kind} is a {wanted}: `{ref}` is none; write `{wanted}:default/NAME` or `NAME`")
        name = f"{wanted}:{rest if '/' in rest else f'default/{rest}'}"
    if len(name) > LONGEST or not (_REF if wanted else _NAME).fullmatch(name):
        raise CutRefused(f"`{ref}` is no name: write `{f'{wanted}:default/NAME' if wanted else 'prod'}`")
    return kind, name


def _plain(known: _Known) -> dict[str, Any]:
    cut, act = known.cut, known.act
    said: dict[str, Any] = {
        "kind": cut.kind, "ref": cut.ref, "not_before": cut.not_before, "because": cut.because, "by": cut.by,
        "lifted": cut.lifted,
    }  # fmt: skip
    return said | ({"act": [act.at, act.by, act.verb, act.about, act.because]} if act is not None else {})


def _read(path: Path) -> Iterable[_Known]:
    try:
        said = orjson.loads(path.read_bytes())
        if said["version"] != VERSION:
            raise ValueError(f"version {said['version']}")
        for each in said["cuts"]:
            cut = Cut(each["kind"], each["ref"], each["not_before"], each["because"], each["by"], each["lifted"])
            yield _Known(cut, Act(*each["act"]) if "act" in each else None)
    except FileNotFoundError:
        return
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise CutRefused(
            f"`{path}`, where cuts are remembered, cannot be read ({fault}): put it back from a backup, or remove it "
            "and cut anew who is to be cut off"
        ) from None
