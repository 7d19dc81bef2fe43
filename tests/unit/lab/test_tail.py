"""Promises about following the audit trail: whole lines, newest last, nothing twice, nothing of the page itself."""

from __future__ import annotations

from pathlib import Path

import orjson

from gateway.lab.tail import FIRST_LOOK_BYTES, KEPT, Tail


def line(number: int, exposure: str = "component:default/payments@prod") -> bytes:
    record = {"seq": number, "time": f"2026-01-01T00:00:{number:02d}.000Z", "decision": "permit", "exposure": exposure}
    return orjson.dumps(record) + b"\n"


def tail(folder: Path) -> Tail:
    return Tail(folder, "component:stagedoor/stagedoor")


def test_what_is_there_is_read_once(tmp_path: Path) -> None:
    file = tmp_path / "door-0a.000001.jsonl"
    file.write_bytes(line(1) + b'{"block":1}\n' + line(2))
    following = tail(tmp_path)
    assert [each["seq"] for each in following.read()] == [1, 2]
    assert following.read() == []


def test_a_line_counts_once_it_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "door-0a.000001.jsonl"
    file.write_bytes(line(1)[:-10])
    following = tail(tmp_path)
    assert following.read() == []
    file.write_bytes(line(1))
    assert [each["seq"] for each in following.read()] == [1]


def test_files_of_several_doors_are_one_stream_in_order_of_time(tmp_path: Path) -> None:
    (tmp_path / "door-0a.000001.jsonl").write_bytes(line(2) + line(4))
    (tmp_path / "door-1a.000001.jsonl").write_bytes(line(1) + line(3))
    assert [each["seq"] for each in tail(tmp_path).read()] == [1, 2, 3, 4]


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    (tmp_path / "door-0a.000001.jsonl").write_bytes(b"".join(line(number) for number in range(30)))
    following = tail(tmp_path)
    following.read()
    assert [each["seq"] for each in following.newest] == list(range(30 - KEPT, 30))


def test_the_pages_own_requests_are_no_news(tmp_path: Path) -> None:
    (tmp_path / "door-0a.000001.jsonl").write_bytes(line(1, "component:stagedoor/stagedoor@central") + line(2))
    assert [each["seq"] for each in tail(tmp_path).read()] == [2]


def test_a_long_file_is_read_from_near_its_end(tmp_path: Path) -> None:
    filler = b'{"block":0}\n' * (FIRST_LOOK_BYTES // 10)
    (tmp_path / "door-0a.000001.jsonl").write_bytes(filler + line(7))
    assert [each["seq"] for each in tail(tmp_path).read()] == [7]


def test_a_file_that_begins_anew_is_read_anew(tmp_path: Path) -> None:
    file = tmp_path / "door-0a.000001.jsonl"
    file.write_bytes(line(1) + line(2))
    following = tail(tmp_path)
    following.read()
    file.write_bytes(line(3))
    assert [each["seq"] for each in following.read()] == [3]


def test_no_folder_is_no_news(tmp_path: Path) -> None:
    assert tail(tmp_path / "absent").read() == []
