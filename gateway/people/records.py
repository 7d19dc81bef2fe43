"""The records of an exported list, whatever its form: CSV with a header, JSON lines, or one JSON document with lists.

The form is told by the first character: what begins neither with `{` nor with `[` is CSV. What cannot be read is told
with its place, and the rest is read all the same.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from gateway.errors import StagedoorError
from gateway.identity.strict import json_object

FILE_BYTES: Final = 256 * 1024 * 1024
_LISTS: Final = ("Resources", "value", "users", "groups")  # SCIM, Microsoft Graph, Google


def _text_of(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            content = opened.read(FILE_BYTES + 1)
    except OSError as error:
        raise StagedoorError(f"cannot read `{file}`: {error.strerror}") from None
    if len(content) > FILE_BYTES:
        raise StagedoorError(f"`{file}` is larger than {FILE_BYTES >> 20} MiB: export people in several files")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise StagedoorError(f"`{file}` is not UTF-8: line {line} has the byte 0x{content[error.start]:02x}") from None


def records_in(file: Path) -> Iterator[tuple[str, Mapping[str, Any] | str]]:
    """Each with its place, `line 7` or `entry 7`; in place of one that cannot be read what is wrong with it.

    Raises `StagedoorError` when the file as a whole cannot be read."""
    text = _text_of(file)
    start = text.lstrip()[:1]
    if start not in ("{", "["):
        yield from _records_of_csv(text)
        return
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        yield from _records_of_lines(text)
        return
    yield from _records_of_document(document)


def _records_of_lines(text: str) -> Iterator[tuple[str, Mapping[str, Any] | str]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            record = json_object(line.strip().encode("utf-8", "surrogatepass"))
            yield f"line {number}", record if record is not None else "is no JSON object, or has a member twice"


def _records_of_document(document: Any) -> Iterator[tuple[str, Mapping[str, Any] | str]]:
    if isinstance(document, dict):
        lists = [document[name] for name in _LISTS if isinstance(document.get(name), list)]
        records = [each for found in lists for each in found] if lists else [document]
    else:
        records = document
    for number, record in enumerate(records, 1):
        yield f"entry {number}", record if isinstance(record, dict) else "is no object"


def _records_of_csv(text: str) -> Iterator[tuple[str, Mapping[str, Any] | str]]:
    first = text.partition("\n")[0]
    delimiter = max((",", ";", "\t"), key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = [each.strip() for each in next(reader, [])]
        line = reader.line_num + 1
        for cells in reader:
            if len(cells) > len(header):
                yield f"line {line}", f"has {len(cells)} cells, the header {len(header)}"
            elif any(map(str.strip, cells)):
                yield f"line {line}", dict(zip(header, map(str.strip, cells), strict=False))
            line = reader.line_num + 1
    except csv.Error as error:
        yield f"line {reader.line_num}", f"is no CSV: {error}; the rest was not read"
