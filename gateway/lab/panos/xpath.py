"""The part of XPath 1.0 that clients of the XML API use: absolute paths, predicates, unions, `@name`, `text()`.

    union     = path *( "|" path )
    path      = 1*( "/" step )
    step      = ( name / "*" / "@" name / "text()" ) *( "[" either "]" )
    either    = both *( "or" both )          both = test *( "and" test )
    test      = ( "@" name / "text()" / name ) [ "=" literal ] / number

Anything else is `Malformed`, which a device answers like a path that leads nowhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final
from xml.etree.ElementTree import Element, SubElement

from gateway.lab.panos.named import child_named

NAME: Final = r"[A-Za-z_][\w.-]*"
TOKEN: Final = re.compile(rf"\s*(?:('[^']*'|\"[^\"]*\")|(text\(\)|@\*|@{NAME}|{NAME}|\*|\d+)|([/\[\]=|]))")
MOST_TOKENS: Final = 4096


class Malformed(ValueError):
    pass


@dataclass(frozen=True)
class Test:
    """``what``: `@name`, `text()`, a child's name, or a number, the position. ``value`` None: it is there."""

    what: str
    value: str | None = None

    def holds(self, node: Element, position: int) -> bool:
        if self.what.isdecimal():
            return str(position) == self.what.lstrip("0")
        if self.what.startswith("@"):
            found = [node.get(self.what[1:])]
        elif self.what == "text()":
            found = [node.text]
        else:
            found = [child.text or "" for child in node.findall(self.what)]
        if self.value is None:
            return any(one is not None for one in found)
        return self.value in found


Either = tuple[tuple[Test, ...], ...]


@dataclass(frozen=True)
class Step:
    name: str
    predicates: tuple[Either, ...] = ()

    @cached_property
    def called(self) -> frozenset[str]:
        """Names, where it asks for nothing else."""
        if len(self.predicates) != 1 or self.name == "*":
            return frozenset()
        tests = [both[0] for both in self.predicates[0] if len(both) == 1 and both[0].what == "@name"]
        names = frozenset(test.value for test in tests if test.value is not None)
        return names if len(tests) == len(self.predicates[0]) and len(names) == len(tests) else frozenset()

    def taken(self, node: Element) -> Iterable[Element]:
        """The children that it describes."""
        if not self.called:
            return (child for child, position in _children(node) if self.takes(child, position))
        if len(self.called) == 1:
            found = child_named(node, self.name, *self.called)
            return () if found is None else (found,)
        return [child for child in node if child.get("name") in self.called and child.tag == self.name]

    def takes(self, node: Element, position: int) -> bool:
        return self.name in ("*", node.tag) and all(
            any(all(test.holds(node, position) for test in both) for both in either) for either in self.predicates
        )

    def made(self) -> Element:
        """The node that this step describes. Raises `Malformed` where it describes more than one."""
        if self.name in ("*", "text()") or self.name.startswith("@"):
            raise Malformed(self.name)
        node = Element(self.name)
        for either in self.predicates:
            if len(either) != 1 or len(either[0]) != 1 or either[0][0].value is None:
                raise Malformed(self.name)
            (test,) = either[0]
            if test.what == "@name":
                node.set("name", test.value or "")
            elif test.what == "text()":
                node.text = test.value
            else:
                raise Malformed(test.what)
        if self.name == "entry" and "name" not in node.attrib:
            raise Malformed("entry without a name")
        return node


Path = tuple[Step, ...]
Place = tuple[Element, ...]  # from the root to the node itself


@dataclass(frozen=True)
class Found:
    """``attribute`` is the name of the one that was asked for, else ""."""

    place: Place
    attribute: str = ""

    @property
    def node(self) -> Element:
        return self.place[-1]


def parse(text: str) -> tuple[Path, ...]:
    tokens = _tokens(text)
    paths = [_path(tokens)]
    while tokens and tokens[0] == "|":
        tokens.pop(0)
        paths.append(_path(tokens))
    if tokens:
        raise Malformed(text)
    return tuple(paths)


def one(text: str) -> Path:
    """The path of a write: no union."""
    paths = parse(text)
    if len(paths) != 1:
        raise Malformed(text)
    return paths[0]


def find(root: Element, text: str) -> list[Found]:
    """In the order of the document, each once. Raises `Malformed`."""
    found: list[Found] = []
    seen: set[tuple[int, str]] = set()
    for path in parse(text):
        for hit in walk(root, path):
            if (id(hit.node), hit.attribute) not in seen:
                seen.add((id(hit.node), hit.attribute))
                found.append(hit)
    return found


def walk(root: Element, path: Path) -> Iterator[Found]:
    if path[0].takes(root, 1):
        yield from _below((root,), path[1:])


def made(root: Element, path: Path) -> Place:
    """The node of a path, with whatever is missing on the way made. Raises `Malformed`."""
    if not path[0].takes(root, 1):
        raise Malformed(path[0].name)
    place = [root]
    for step in path[1:]:
        found = next(iter(step.taken(place[-1])), None)
        if found is None:
            found = step.made()
            place[-1].append(found)
        place.append(found)
    return tuple(place)


def written(place: Place) -> str:
    """The path of a node, as the device's journal writes it."""
    steps = [node.tag if node.get("name") is None else f"{node.tag}[@name='{node.get('name')}']" for node in place]
    return "/" + "/".join(steps)


def _below(place: Place, path: Path) -> Iterator[Found]:
    if not path:
        yield Found(place)
        return
    step = path[0]
    if step.name.startswith("@") and len(path) == 1:
        if step.name == "@*" or place[-1].get(step.name[1:]) is not None:
            yield Found(place, step.name[1:])
        return
    if step.name == "text()" and len(path) == 1:
        yield Found(place)
        return
    for node in step.taken(place[-1]):
        yield from _below((*place, node), path[1:])


def _children(node: Element) -> Iterator[tuple[Element, int]]:
    counted: dict[str, int] = {}
    for child in node:
        counted[child.tag] = counted.get(child.tag, 0) + 1
        yield child, counted[child.tag]


def _tokens(text: str) -> list[str]:
    found: list[str] = []
    at, text = 0, text.strip()
    while at < len(text):
        match = TOKEN.match(text, at)
        if match is None or len(found) == MOST_TOKENS:
            raise Malformed(text[at : at + 40])
        found.append(match[0].strip())
        at = match.end()
    return found


def _path(tokens: list[str]) -> Path:
    steps = []
    while tokens and tokens[0] == "/":
        tokens.pop(0)
        if not tokens or tokens[0] in "/[]=|" or tokens[0][0] in "'\"":
            raise Malformed("a step without a name")
        name, predicates = tokens.pop(0), []
        while tokens and tokens[0] == "[":
            tokens.pop(0)
            predicates.append(_either(tokens))
            _expect(tokens, "]")
        steps.append(Step(name, tuple(predicates)))
    if not steps:
        raise Malformed("no path")
    return tuple(steps)


def _either(tokens: list[str]) -> Either:
    found = [_both(tokens)]
    while tokens and tokens[0] == "or":
        tokens.pop(0)
        found.append(_both(tokens))
    return tuple(found)


def _both(tokens: list[str]) -> tuple[Test, ...]:
    found = [_test(tokens)]
    while tokens and tokens[0] == "and":
        tokens.pop(0)
        found.append(_test(tokens))
    return tuple(found)


def _test(tokens: list[str]) -> Test:
    if not tokens or tokens[0] in "/[]=|" or tokens[0][0] in "'\"":
        raise Malformed("a predicate without a test")
    what = tokens.pop(0)
    if tokens and tokens[0] == "=":
        tokens.pop(0)
        if not tokens or tokens[0][0] not in "'\"":
            raise Malformed("a comparison without a literal")
        return Test(what, tokens.pop(0)[1:-1])
    return Test(what)


def _expect(tokens: list[str], token: str) -> None:
    if not tokens or tokens.pop(0) != token:
        raise Malformed(f"{token} is missing")


def container(root: Element, *tags: str) -> Element:
    """The node below, made where it is missing."""
    node = root
    for tag in tags:
        found = node.find(tag)
        node = SubElement(node, tag) if found is None else found
    return node
