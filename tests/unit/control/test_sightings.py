"""Promises about what control remembers of who came: bounded, private, for as long as was said, across restarts."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.control import sightings as module
from gateway.control.doors import SOCKET, Doors
from gateway.control.introspection import NONE, Answer
from gateway.control.sightings import FILE, Remembered, Sightings, SightingsFault, read_sightings, seen_in
from gateway.counters import Merged
from gateway.link import LinkClient, Message

DAY = 86400
NOW = 1_800_000_000
ADDRESSES = {"idp": "https://idp.test", "partner": "https://partner.test"}


class Clock:
    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        return self.now


def entry(subject: str = "s-1", **changes: Any) -> dict[str, Any]:
    return {
        "issuer": "idp", "subject": subject, "claims": {"email": "jane@corp.test"}, "email_verified": True,
        "groups": ["team"], "more_groups": 0, "ref": "user:default/jane", "refusal": "", "at": NOW, **changes,
    }  # fmt: skip


def made(folder: Path, clock: Clock | None = None, keep_s: float = 90 * DAY) -> Sightings:
    sightings = Sightings(folder, clock or Clock())
    sightings.configure(ADDRESSES, keep_s)
    return sightings


def tell(sightings: Sightings, *entries: object, left_out: object = 0) -> None:
    sightings.take({"t": "sightings", "seen": list(entries), "left_out": left_out})


def saved(sightings: Sightings, folder: Path) -> Remembered:
    assert asyncio.run(sightings.save()) == ""
    return read_sightings(folder / FILE)


def test_the_last_word_of_each_subject_is_kept_across_a_restart(tmp_path: Path) -> None:
    first = made(tmp_path)
    tell(first, entry("s-1"), entry("s-2"), entry("s-1", claims={"email": "other@corp.test"}, at=NOW - 5))
    kept = {each.subject: each.claims["email"] for each in saved(first, tmp_path).seen}
    assert kept == {"s-1": "other@corp.test", "s-2": "jane@corp.test"}
    again = made(tmp_path)
    assert len(again) == 2
    tell(again, entry("s-3"))
    assert {each.subject for each in saved(again, tmp_path).seen} == {"s-1", "s-2", "s-3"}


def test_a_kept_entry_is_what_was_told(tmp_path: Path) -> None:
    sightings = made(tmp_path)
    tell(sightings, entry(groups=None, refusal="identity_unknown", ref=""), left_out=3)
    remembered = saved(sightings, tmp_path)
    assert remembered.seen == (seen_in(entry(groups=None, refusal="identity_unknown", ref="")),)
    assert (remembered.left_out, remembered.since, remembered.issuers) == (3, NOW, ADDRESSES)


def test_the_file_is_private_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    sightings = made(tmp_path)
    tell(sightings, entry())
    saved(sightings, tmp_path)
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_a_subject_ends_with_its_retention(tmp_path: Path) -> None:
    """Half-open: on the last day it is there, a second later it is not, on disk either."""
    clock = Clock()
    sightings = made(tmp_path, clock)
    tell(sightings, entry("old"))
    clock.now += 90 * DAY
    tell(sightings, entry("new", at=int(clock.now)))
    assert len(sightings) == 2
    clock.now += 1
    assert [each.subject for each in saved(sightings, tmp_path).seen] == ["new"]
    clock.now += 91 * DAY
    assert len(made(tmp_path, clock)) == 0, "nor does a restart bring it back"


def test_a_time_to_come_is_now(tmp_path: Path) -> None:
    sightings = made(tmp_path)
    tell(sightings, entry(at=NOW + 400 * DAY))
    assert saved(sightings, tmp_path).seen[0].at == NOW


def test_of_many_subjects_the_last_seen_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SUBJECTS", 10)
    sightings = made(tmp_path)
    tell(sightings, *(entry(f"s-{number}") for number in range(10)), entry("s-0"), entry("s-10"), entry("s-11"))
    kept = {each.subject for each in saved(sightings, tmp_path).seen}
    assert kept == {f"s-{number}" for number in (0, *range(3, 12))}


def test_an_issuer_that_takes_most_gives_way_and_pushes_out_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HELD_BYTES", 20_000)
    sightings = made(tmp_path)
    tell(sightings, *(entry(f"p-{number}", issuer="partner") for number in range(20)))
    giant = {"name": "x" * 255, "email": "y" * 255}
    tell(sightings, *(entry(f"s-{number}", claims=giant, groups=["z" * 200]) for number in range(500)))
    seen = saved(sightings, tmp_path).seen
    assert sum(each.issuer == "partner" for each in seen) == 20
    assert 0 < sum(each.issuer == "idp" for each in seen) < 30
    assert sum(kept.bytes for kept in sightings._kept.values()) <= 20_000


def test_the_bound_holds_for_a_hostile_issuer_of_full_size(tmp_path: Path) -> None:
    sightings = made(tmp_path)
    for start in range(0, 60_000, 1000):
        tell(sightings, *(entry(f"s-{number}") for number in range(start, start + 1000)))
    assert len(sightings) == module.SUBJECTS
    assert sum(kept.bytes for kept in sightings._kept.values()) <= module.HELD_BYTES
    assert len(saved(sightings, tmp_path).seen) == module.SUBJECTS


def test_an_issuer_that_goes_or_has_another_address_takes_its_people_along(tmp_path: Path) -> None:
    sightings = made(tmp_path)
    tell(sightings, entry("s-1"), entry("p-1", issuer="partner"))
    sightings.configure({"idp": "https://other.test"}, 90 * DAY)
    remembered = saved(sightings, tmp_path)
    assert (remembered.seen, remembered.issuers) == ((), {"idp": "https://other.test"})


def test_no_retention_keeps_nothing_and_takes_the_file_away(tmp_path: Path) -> None:
    sightings = made(tmp_path)
    tell(sightings, entry())
    saved(sightings, tmp_path)
    sightings.configure(ADDRESSES, 0)
    tell(sightings, entry("s-2"))
    assert (len(sightings), asyncio.run(sightings.save()), (tmp_path / FILE).exists()) == (0, "", False)
    sightings.configure(ADDRESSES, DAY)
    tell(sightings, entry("s-3"))
    assert [each.subject for each in saved(sightings, tmp_path).seen] == ["s-3"]


STRANGE: list[Any] = [
    None, 7, "x", [], {}, entry(issuer="unknown"), entry(issuer=7), entry(subject=""), entry(subject="x" * 256),
    entry(subject="a\x1b[2J"), entry(claims=None), entry(claims={"email": "a\nb"}), entry(claims={"email": 7}),
    entry(claims={"a\x00": "b"}), entry(claims={f"c{number}": "x" for number in range(40)}), entry(email_verified=1),
    entry(groups="team"), entry(groups=["a\tb"]), entry(groups=[7]), entry(more_groups=-1), entry(more_groups=True),
    entry(ref="\x1b"), entry(refusal=None), entry(at=-1), entry(at=2.5), entry(at=2**60), entry(at=True),
    entry(groups=["x" * 255] * 300),
]  # fmt: skip


@pytest.mark.parametrize("strange", STRANGE, ids=range(len(STRANGE)))
def test_what_is_not_exactly_an_entry_is_nothing(tmp_path: Path, strange: Any) -> None:
    sightings = made(tmp_path)
    tell(sightings, strange, entry("good"))
    assert [each.subject for each in saved(sightings, tmp_path).seen] == ["good"]


@pytest.mark.parametrize("message", [{}, {"seen": 7}, {"seen": {"a": 1}}, {"seen": [], "left_out": "many"}])
def test_a_message_of_another_shape_changes_nothing(tmp_path: Path, message: dict[str, Any]) -> None:
    sightings = made(tmp_path)
    sightings.take(message)
    assert len(sightings) == 0
    tell(sightings, entry(), left_out=-4)
    assert saved(sightings, tmp_path).left_out == 0


def _cut(content: bytes) -> bytes:
    return content[:-30]


def _one_line_less(content: bytes) -> bytes:
    return b"\n".join(content.splitlines()[:-1]) + b"\n"


def _newer(content: bytes) -> bytes:
    return content.replace(b'"version":1', b'"version":2', 1)


def _stranger(content: bytes) -> bytes:
    return content.replace(b'"issuer":"idp"', b'"issuer":"elsewhere"', 1)


DAMAGES = [_cut, _one_line_less, _newer, _stranger, lambda content: b"", lambda content: b"\xff\xfe" + content,
           lambda content: b"[]\n", lambda content: content + b"{}\n"]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES, ids=range(len(DAMAGES)))
def test_a_damaged_file_is_an_empty_one_and_that_is_said(
    tmp_path: Path, damage: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    sightings = made(tmp_path)
    tell(sightings, entry("s-1"), entry("s-2"))
    saved(sightings, tmp_path)
    file = tmp_path / FILE
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(SightingsFault, match=r"sightings\.jsonl"):
        read_sightings(file)
    assert len(made(tmp_path)) == 0
    assert "sightings_not_read" in capfd.readouterr().err


def test_a_link_in_the_files_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("secret")
    (tmp_path / FILE).symlink_to(tmp_path / "other")
    assert len(made(tmp_path)) == 0
    with pytest.raises(OSError, match="symbolic|Too many"):
        read_sightings(tmp_path / FILE)


def test_a_folder_that_cannot_be_written_is_said_and_tried_again(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    sightings = made(folder)
    tell(sightings, entry())
    folder.rename(tmp_path / "gone")
    assert "No such file" in asyncio.run(sightings.save())
    (tmp_path / "gone").rename(folder)
    assert len(saved(sightings, folder).seen) == 1


def test_the_command_line_has_what_a_door_told_written_and_only_doors_are_heard(tmp_path: Path) -> None:
    async def introspect(_issuer: str, _token: str) -> Answer:
        return NONE

    async def want(_issuer: str, _kid: str) -> None: ...

    doors = Doors(tmp_path, Merged(), want, introspect, dict)
    doors.sightings.configure(ADDRESSES, 1e12)
    heard: asyncio.Queue[Message] = asyncio.Queue()

    def client(role: str) -> LinkClient:
        hello = {"t": "hello", "role": role, "slot": 0, "pid": 1, "base": "", "seq": 0}
        return LinkClient(tmp_path / SOCKET, lambda: hello, heard.put_nowait)

    async def asked(link: LinkClient, question: Message, answer: str) -> Message:
        while not link.send(question):
            await asyncio.sleep(0.001)
        while (message := await heard.get())["t"] != answer:
            pass
        return message

    async def story() -> None:
        await doors.start()
        door, engine = client("door"), client("engine")
        door.start()
        engine.start()
        async with asyncio.timeout(10):
            await asked(engine, {"t": "sightings", "seen": [entry("no-door")], "left_out": 0}, "overlay")
            await asked(engine, {"t": "save_sightings"}, "sightings_saved")
            while not door.send({"t": "sightings", "seen": [entry("s-1")], "left_out": 0}):
                await asyncio.sleep(0.001)
            assert await asked(door, {"t": "save_sightings"}, "sightings_saved") == {
                "t": "sightings_saved",
                "fault": "",
            }
        for link in (door, engine):
            link.close()
        doors.close()

    asyncio.run(story())
    assert [each.subject for each in read_sightings(tmp_path / FILE).seen] == ["s-1"]


def test_what_is_on_disk_is_json_lines_without_surprises(tmp_path: Path) -> None:
    sightings = made(tmp_path)
    tell(sightings, entry())
    saved(sightings, tmp_path)
    head, line = map(orjson.loads, (tmp_path / FILE).read_bytes().splitlines())
    assert (head["version"], head["entries"]) == (1, 1)
    assert line == entry()
