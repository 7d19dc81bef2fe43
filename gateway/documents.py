"""YAML as data with a place for every node: what people write, read without trusting it.

Values are built from the parser's events, never from tags: null, booleans, numbers, text, lists and mappings with
text keys are all there is (YAML 1.2 core schema, so `on`, `yes` and dates are text, as they are for Backstage).
What a document may cost is bounded before it is built: bytes, depth, and nodes *after* aliases are expanded, so a
few nested aliases cannot become a billion values. A mapping that says a key twice is refused: two readers of it
could see two documents.

A fault belongs to one document where that is possible; only a syntax fault spoils the rest of its file. Nothing
here knows what the keys mean.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from policy.facts import Source
from policy.reading import Fault

Locate = Callable[[Sequence[str | int]], Source]  # where a path of keys and indices lies in the file it was read from

MAX_BYTES = 2 * 1024 * 1024
MAX_NODES = 200_000
MAX_DEPTH = 64
MAX_DOCUMENTS = 10_000

_INTEGER = re.compile(r"[-+]?[0-9]{1,18}\Z")
_RADIX = re.compile(r"0o[0-7]{1,20}\Z|0x[0-9a-fA-F]{1,15}\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?\Z")
_WORDS: dict[str, object] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_CORE_TAGS = frozenset(f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq"))
_VALUE_TAGS = _CORE_TAGS - {"tag:yaml.org,2002:str"}
_IN_BRACKETS = "did not find expected ','"
_QUOTES = 'inside brackets, text with a brace or a comma needs quotes: `["GET /items/{id}"]`'
_NUMBER_START = frozenset("+-.0123456789")


@dataclass(slots=True)
class Document:
    """One document of a file. With faults its value is not to be used.

    ``mark`` mirrors the value: a line for a scalar, (line, {key: (line of the key, mark)}) for a mapping,
    (line, [mark, …]) for a list.
    """

    value: Any
    file: str
    line: int
    faults: list[Fault] = field(default_factory=list)
    mark: Any = 0

    def locate(self, path: Sequence[str | int]) -> Source:
        """The place of a node; of its nearest ancestor that exists when the path leads nowhere."""
        line, mark = self.line, self.mark
        for part in path:
            inner = mark[1] if isinstance(mark, tuple) else None
            if isinstance(inner, dict) and part in inner:
                line, mark = inner[str(part)]
            elif isinstance(inner, list) and isinstance(part, int) and 0 <= part < len(inner):
                mark = inner[part]
                line = mark[0] if isinstance(mark, tuple) else mark
            else:
                break
        return Source(self.file, line)


class _Spoiled(Exception):
    """The rest of the file cannot be read; carries line and message."""

    def __init__(self, line: int, message: str, suggestion: str = "") -> None:
        super().__init__(message)
        self.line = line
        self.message = message
        self.suggestion = suggestion


def read_file(path: Path, *, max_bytes: int = MAX_BYTES) -> tuple[list[Document], list[Fault]]:
    """The documents of a file and the faults that spoil it as a whole."""
    name = str(path)
    try:
        with open(path, "rb") as source:
            content = source.read(max_bytes + 1)
    except OSError as fault:
        return [], [Fault(Source(name), f"cannot read `{name}`: {fault.strerror}", "")]
    return read_text(content, name, max_bytes=max_bytes)


def read_text(content: bytes, file: str, *, max_bytes: int = MAX_BYTES) -> tuple[list[Document], list[Fault]]:
    if len(content) > max_bytes:
        return [], [Fault(Source(file), f"file is larger than {max_bytes} bytes", "split it, or move data elsewhere")]
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        line = content.count(b"\n", 0, fault.start) + 1
        return [], [Fault(Source(file, line), "file is not UTF-8", "save it as UTF-8")]
    documents: list[Document] = []
    try:
        for document in _documents(text, file):
            documents.append(document)
            if len(documents) > MAX_DOCUMENTS:
                raise _Spoiled(document.line, f"more than {MAX_DOCUMENTS} documents in one file", "split the file")
    except _Spoiled as spoiled:
        return documents, [Fault(Source(file, spoiled.line), spoiled.message, spoiled.suggestion)]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else 0
        problem = error.problem or error.context or ""
        hint = _QUOTES if _IN_BRACKETS in problem else ""
        return documents, [Fault(Source(file, line), f"not YAML: {problem}", hint)]
    except yaml.YAMLError as error:
        return documents, [Fault(Source(file), f"not YAML: {str(error).splitlines()[0]}", "")]
    return documents, []


def _documents(text: str, file: str) -> Iterator[Document]:
    builder: _Builder | None = None
    events: Iterator[Any] = yaml.parse(text, Loader=yaml.CSafeLoader)
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            mark: Any = event.start_mark
            builder = _Builder(file, mark.line + 1)
        elif isinstance(event, yaml.DocumentEndEvent):
            if builder is not None:
                yield builder.document()
        elif builder is not None:
            builder.take(event)


class _Open:
    """A list or mapping that is not closed yet. ``key`` is the key that waits for its value."""

    __slots__ = ("anchor", "inner", "key", "key_line", "line", "nodes", "value")

    def __init__(self, value: Any, inner: Any, line: int, anchor: str | None) -> None:
        self.value = value
        self.inner = inner
        self.line = line
        self.anchor = anchor
        self.key: str | None = None
        self.key_line = 0
        self.nodes = 1


class _Builder:
    """Builds one document from events, iteratively: no nesting can exhaust a stack."""

    def __init__(self, file: str, line: int) -> None:
        self._file = file
        self._line = line
        self._stack: list[_Open] = []
        self._anchors: dict[str, tuple[Any, Any, int]] = {}
        self._open_anchors: set[str] = set()
        self._faults: list[Fault] = []
        self._nodes = 0
        self._root: tuple[Any, Any] = (None, line)

    def document(self) -> Document:
        value, mark = self._root
        line = mark[0] if isinstance(mark, tuple) else mark
        return Document(value, self._file, line or self._line, self._faults, mark)

    def take(self, event: Any) -> None:
        line = event.start_mark.line + 1
        kind = type(event)
        self._nodes += 1
        if self._nodes > 2 * MAX_NODES:  # events: a list or mapping has two
            raise _Spoiled(line, f"more than {MAX_NODES} values")
        if kind is yaml.ScalarEvent:
            self._scalar(event, line)
        elif kind is yaml.MappingStartEvent:
            self._open(_Open({}, {}, line, event.anchor), event)
        elif kind is yaml.SequenceStartEvent:
            self._open(_Open([], [], line, event.anchor), event)
        elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
            self._close()
        elif kind is yaml.AliasEvent:
            self._alias(event.anchor, line)

    def _scalar(self, event: Any, line: int) -> None:
        self._check_tag(event.tag, line)
        parent = self._stack[-1] if self._stack else None
        if parent is not None and parent.key is None and type(parent.value) is dict:
            self._key(parent, event.value, line)
            if event.anchor:
                self._anchors[event.anchor] = (event.value, line, 1)
            return
        value = _plain(event.value) if event.implicit[0] or event.tag in _VALUE_TAGS else event.value
        if event.anchor:
            self._anchors[event.anchor] = (value, line, 1)
        self._place(value, line, 1, line)

    def _open(self, opened: _Open, event: Any) -> None:
        self._check_tag(event.tag, opened.line)
        parent = self._stack[-1] if self._stack else None
        if parent is not None and parent.key is None and type(parent.value) is dict:
            raise _Spoiled(opened.line, "a list or mapping cannot be a key", "quote the text if it starts with `{`")
        if len(self._stack) >= MAX_DEPTH:
            raise _Spoiled(opened.line, f"nested deeper than {MAX_DEPTH} levels")
        if opened.anchor:
            self._anchors.pop(opened.anchor, None)
            self._open_anchors.add(opened.anchor)
        self._stack.append(opened)

    def _close(self) -> None:
        closed = self._stack.pop()
        mark = (closed.line, closed.inner)
        if closed.anchor:
            self._open_anchors.discard(closed.anchor)
            self._anchors[closed.anchor] = (closed.value, mark, closed.nodes)
        self._place(closed.value, mark, closed.nodes, closed.line)

    def _alias(self, anchor: str, line: int) -> None:
        if anchor in self._open_anchors:
            raise _Spoiled(line, f"`*{anchor}` contains itself")
        if anchor not in self._anchors:
            raise _Spoiled(line, f"`*{anchor}` names no anchor", "quote the text if it starts with `*`")
        value, mark, nodes = self._anchors[anchor]
        parent = self._stack[-1] if self._stack else None
        if parent is not None and parent.key is None and type(parent.value) is dict:
            if not isinstance(value, str):
                raise _Spoiled(line, f"`*{anchor}` is no text and cannot be a key")
            self._key(parent, value, line)
            return
        self._place(value, mark, nodes, line)

    def _key(self, parent: _Open, key: str, line: int) -> None:
        if key in parent.value:
            first = parent.inner[key][0]
            message = f"key `{key}` is said twice, first in line {first}"
            self._faults.append(Fault(Source(self._file, line), message, "remove one of the two"))
        parent.key, parent.key_line = key, line

    def _place(self, value: Any, mark: Any, nodes: int, line: int) -> None:
        if not self._stack:
            self._root = (value, mark)
            return
        parent = self._stack[-1]
        parent.nodes += nodes
        if parent.nodes > MAX_NODES:
            raise _Spoiled(line, f"more than {MAX_NODES} values once aliases are expanded")
        if type(parent.value) is dict:
            key = parent.key
            assert key is not None  # the parser gives a key before each value of a mapping
            parent.value[key] = value
            parent.inner[key] = (parent.key_line, mark)
            parent.key = None
        else:
            parent.value.append(value)
            parent.inner.append(mark)

    def _check_tag(self, tag: str | None, line: int) -> None:
        if tag is not None and tag != "!" and tag not in _CORE_TAGS:
            shown = tag.replace("tag:yaml.org,2002:", "!!")
            raise _Spoiled(line, f"tag `{shown}` is not supported", "write plain values")


def _plain(text: str) -> object:
    """The value of an unquoted scalar by the core schema of YAML 1.2."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMBER_START:
        return text
    if _INTEGER.match(text):
        return int(text)
    if _RADIX.match(text):
        return int(text, 0)
    if _FLOAT.match(text):
        return float(text)
    return text
