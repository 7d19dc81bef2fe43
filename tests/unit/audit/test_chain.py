"""The verifier finds every kind of tampering, names its place, and claims nothing it cannot know."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.audit.blocks import GENESIS, Batch, Head, read_block_line, segment_name
from gateway.audit.chain import Report, Torn, verify_paths
from gateway.audit.record import line_of
from tests.support.records import RECORD

CHAIN = "door-0a"


def block(head: Head, records: int = 0, *events: tuple[str, dict[str, object]]) -> tuple[bytes, Head]:
    batch = Batch(head)
    for name, fields in events:
        batch.add_event(name, 0, fields)
    for at in range(records):
        batch.add([line_of(RECORD._replace(path=f"/{head.block}/{at}"))])
    return batch.sealed()


def opening(kind: str, segment: int, **fields: object) -> tuple[str, dict[str, object]]:
    return kind, {"version": 1, "chain": CHAIN, "segment": segment, **fields}


def write_trail(folder: Path) -> list[Path]:
    """Two segments: blocks 1 to 4 with 4, 3, 1, 5 lines, then 5 and 6 with 3 and 2."""
    first, head = block(GENESIS, 3, opening("start", 1))
    for records in (3, 1, 5):
        more, head = block(head, records)
        first += more
    second, head = block(head, 2, opening("segment", 2))
    more, head = block(head, 1, ("stop", {}))
    paths = [folder / segment_name(CHAIN, 1), folder / segment_name(CHAIN, 2)]
    paths[0].write_bytes(first)
    paths[1].write_bytes(second + more)
    return paths


def found(report: Report) -> list[tuple[str, str, int]]:
    return [(finding.kind, Path(finding.file).name, finding.line) for finding in report.findings]


def edited(path: Path, edit: Callable[[list[bytes]], object]) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    edit(lines)
    path.write_bytes(b"".join(lines))


def test_an_untouched_trail_has_no_finding_and_says_that_its_end_is_not_provable(tmp_path: Path) -> None:
    write_trail(tmp_path)
    report = verify_paths([tmp_path])
    assert report.ok
    assert [(chain.name, chain.records, chain.head.block) for chain in report.chains] == [(CHAIN, 18, 6)]
    assert [note.kind for note in report.notes] == ["unprovable_end"]
    assert "block 6 (seq 18" in report.notes[0].text


def test_files_may_be_named_one_by_one_and_in_any_order(tmp_path: Path) -> None:
    first, second = write_trail(tmp_path)
    assert verify_paths([second, first]) == verify_paths([tmp_path])


FIRST, SECOND = segment_name(CHAIN, 1), segment_name(CHAIN, 2)
# Lines of the first segment: block 1 is 1-4 + 5, block 2 is 6-8 + 9, block 3 is 10 + 11, block 4 is 12-16 + 17.


def test_a_changed_byte_is_one_finding_at_its_block(tmp_path: Path) -> None:
    path, _ = write_trail(tmp_path)
    edited(path, lambda lines: lines.__setitem__(6, lines[6].replace(b"permit", b"Permit")))
    report = verify_paths([tmp_path])
    assert found(report) == [("content", FIRST, 9)]
    assert "block 2 (lines 6 to 8) was changed" in report.findings[0].text


def test_every_single_changed_byte_is_found(tmp_path: Path) -> None:
    path, _ = write_trail(tmp_path)
    whole = path.read_bytes()
    for at in range(0, len(whole), 7):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert not verify_paths([tmp_path]).ok, f"byte {at} of {len(whole)}"


def test_a_removed_line_is_found_where_it_is_missing(tmp_path: Path) -> None:
    path, _ = write_trail(tmp_path)
    edited(path, lambda lines: lines.pop(6))
    report = verify_paths([tmp_path])
    assert found(report) == [("sequence", FIRST, 7)]
    assert "1 line missing" in report.findings[0].text


def test_a_block_that_lost_its_last_line_is_found(tmp_path: Path) -> None:
    path, _ = write_trail(tmp_path)
    edited(path, lambda lines: lines.pop(7))
    assert found(verify_paths([tmp_path])) == [("count", FIRST, 8)]


def test_a_block_that_lost_all_its_lines_is_found(tmp_path: Path) -> None:
    path, _ = write_trail(tmp_path)
    edited(path, lambda lines: lines.pop(9))
    assert found(verify_paths([tmp_path])) == [("count", FIRST, 10)]


def test_an_added_line_is_found(tmp_path: Path) -> None:
    path, _ = write_trail(tmp_path)
    edited(path, lambda lines: lines.insert(7, lines[6]))
    report = verify_paths([tmp_path])
    assert found(report) == [("sequence", FIRST, 8)]
    assert "moved or repeated" in report.findings[0].text


def test_reordered_lines_are_found(tmp_path: Path) -> None:
    path, _ = write_trail(tmp_path)
    edited(path, lambda lines: lines.__setitem__(slice(6, 8), [lines[7], lines[6]]))
    assert found(verify_paths([tmp_path]))[0] == ("sequence", FIRST, 7)


def test_a_removed_block_is_found(tmp_path: Path) -> None:
    path, _ = write_trail(tmp_path)
    edited(path, lambda lines: lines.__delitem__(slice(5, 9)))
    report = verify_paths([tmp_path])
    assert found(report) == [("sequence", FIRST, 6), ("block_order", FIRST, 7)]
    assert "block 3 follows block 1: 1 missing" in report.findings[1].text


def test_reordered_blocks_are_found(tmp_path: Path) -> None:
    path, _ = write_trail(tmp_path)
    edited(path, lambda lines: lines.__setitem__(slice(5, 11), lines[9:11] + lines[5:9]))
    assert {finding.kind for finding in verify_paths([tmp_path]).findings} == {"sequence", "block_order"}


def test_a_removed_block_line_is_found(tmp_path: Path) -> None:
    path, _ = write_trail(tmp_path)
    edited(path, lambda lines: lines.pop(8))
    assert ("count", FIRST, 10) in found(verify_paths([tmp_path]))


def test_a_damaged_block_line_is_one_finding_at_its_line(tmp_path: Path) -> None:
    path, _ = write_trail(tmp_path)
    edited(path, lambda lines: lines.__setitem__(8, lines[8].replace(b'"count"', b'"kount"')))
    assert found(verify_paths([tmp_path])) == [("block_line", FIRST, 9)]


def test_a_block_that_was_rewritten_whole_no_longer_links(tmp_path: Path) -> None:
    path, _ = write_trail(tmp_path)

    def rewrite(lines: list[bytes]) -> None:
        old = read_block_line(lines[8])
        assert old is not None
        batch = Batch(Head(old.block - 1, old.first_seq - 1, old.prev))
        for _ in range(old.lines):
            batch.add([line_of(RECORD._replace(sub="nobody"))])
        lines[5:9] = batch.sealed()[0].splitlines(keepends=True)

    edited(path, rewrite)
    report = verify_paths([tmp_path])
    assert found(report) == [("link", FIRST, 11)]
    assert "block 3 does not continue block 2" in report.findings[0].text


def test_a_block_line_with_another_first_number_is_found(tmp_path: Path) -> None:
    path, _ = write_trail(tmp_path)
    edited(path, lambda lines: lines.__setitem__(8, lines[8].replace(b'"first_seq":5', b'"first_seq":4')))
    assert found(verify_paths([tmp_path]))[0] == ("sequence", FIRST, 9)


def test_a_damaged_number_is_found_in_its_block(tmp_path: Path) -> None:
    path, _ = write_trail(tmp_path)
    edited(path, lambda lines: lines.__setitem__(5, lines[5].replace(b'"seq"', b'"Seq"')))
    assert found(verify_paths([tmp_path])) == [("content", FIRST, 9)]


def test_a_missing_segment_in_the_middle_is_found(tmp_path: Path) -> None:
    _, second = write_trail(tmp_path)
    second.rename(tmp_path / segment_name(CHAIN, 4))
    report = verify_paths([tmp_path])
    assert found(report)[0] == ("segment_missing", segment_name(CHAIN, 4), 0)
    assert "segments 2 to 3 of the chain missing" in report.findings[0].text


def test_one_missing_segment_is_named(tmp_path: Path) -> None:
    _, second = write_trail(tmp_path)
    second.rename(tmp_path / segment_name(CHAIN, 3))
    assert "segment 2 of the chain missing" in verify_paths([tmp_path]).findings[0].text


def test_a_trail_whose_first_segments_are_gone_is_sound_and_says_so(tmp_path: Path) -> None:
    first, _ = write_trail(tmp_path)
    first.unlink()
    report = verify_paths([tmp_path])
    assert report.ok
    assert [note.kind for note in report.notes] == ["late_beginning", "unprovable_end"]


def test_blocks_cut_off_the_end_leave_no_finding_and_the_note_names_the_last_one_left(tmp_path: Path) -> None:
    _, second = write_trail(tmp_path)
    edited(second, lambda lines: lines.__delitem__(slice(4, None)))
    report = verify_paths([tmp_path])
    assert report.ok
    assert report.notes[-1].kind == "unprovable_end"
    assert "ends at block 5" in report.notes[-1].text


def test_lines_after_the_last_block_are_noted_as_an_open_tail(tmp_path: Path) -> None:
    _, second = write_trail(tmp_path)
    edited(second, lambda lines: lines.pop())
    report = verify_paths([tmp_path])
    assert report.ok
    assert [note.kind for note in report.notes] == ["open_tail", "unprovable_end"]
    assert (Path(report.notes[0].file).name, report.notes[0].line) == (SECOND, 5)
    assert "2 lines complete" in report.notes[0].text


def test_a_tail_that_no_later_start_declares_is_a_finding(tmp_path: Path) -> None:
    first, _ = write_trail(tmp_path)
    first.write_bytes(first.read_bytes() + b'{"seq":14,"ti')
    assert found(verify_paths([tmp_path])) == [("uncovered", FIRST, 18)]


def declared_tail(folder: Path, tail: bytes) -> Path:
    first, head = block(GENESIS, 3, opening("start", 1))
    path = folder / FIRST
    path.write_bytes(first + tail)
    torn = [Torn(FIRST, 0, tail).declaration()]
    second, _ = block(head, 1, opening("unclean_start", 2, after_block=1, torn=torn))
    (folder / SECOND).write_bytes(second)
    return path


def test_a_declared_tail_is_a_note_that_names_the_last_block(tmp_path: Path) -> None:
    declared_tail(tmp_path, b'{"seq":5,"time":"x"}\n{"blo')
    report = verify_paths([tmp_path])
    assert report.ok
    assert [note.kind for note in report.notes] == ["unclean_start", "unprovable_end"]
    assert "after_block 1" in report.notes[0].text


def test_a_declared_tail_that_was_changed_since_is_a_finding(tmp_path: Path) -> None:
    path = declared_tail(tmp_path, b'{"seq":5,"time":"x"}\n{"blo')
    path.write_bytes(path.read_bytes().replace(b'"x"', b'"y"'))
    assert found(verify_paths([tmp_path])) == [("torn", SECOND, 1)]


def test_a_declared_tail_that_is_gone_is_a_finding(tmp_path: Path) -> None:
    path = declared_tail(tmp_path, b'{"seq":5,"time":"x"}\n')
    edited(path, lambda lines: lines.pop())
    assert found(verify_paths([tmp_path])) == [("torn", SECOND, 1)]


def test_a_file_under_another_chains_name_is_found(tmp_path: Path) -> None:
    first, second = write_trail(tmp_path)
    first.rename(tmp_path / segment_name("door-1a", 1))
    second.rename(tmp_path / segment_name("door-1a", 2))
    report = verify_paths([tmp_path])
    assert [finding.kind for finding in report.findings] == ["renamed", "renamed"]
    assert "belongs to chain `door-0a`" in report.findings[0].text


def test_paths_without_a_trail_are_findings_not_silence(tmp_path: Path) -> None:
    (tmp_path / "notes.jsonl").write_text("{}\n")
    empty = tmp_path / "empty"
    empty.mkdir()
    report = verify_paths([tmp_path, empty, tmp_path / segment_name(CHAIN, 1)])
    assert [finding.kind for finding in report.findings] == ["no_trail"] * 3
    assert not report.ok


def test_a_segment_that_cannot_be_read_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, _ = write_trail(tmp_path)
    plain = Path.open

    def refusing(self: Path, *args: object, **kwargs: object) -> object:
        if self == first:
            raise PermissionError(13, "Permission denied")
        return plain(self, *args, **kwargs)  # type: ignore[call-overload]  # the arguments are passed through

    monkeypatch.setattr(Path, "open", refusing)
    report = verify_paths([tmp_path])
    assert report.findings[0].kind == "unreadable"
    assert "Permission denied" in str(report.findings[0])


def test_a_finding_reads_as_file_line_and_sentence(tmp_path: Path) -> None:
    path, _ = write_trail(tmp_path)
    edited(path, lambda lines: lines.pop(6))
    assert str(verify_paths([tmp_path]).findings[0]).startswith(f"{path}:7: seq 7 follows seq 5")
