"""Reads `never` and `only` of the access policy: what nobody's mistake may ever make true.

As a line, ``never: contractors any in prod`` and ``only: payments may createRefund of payments in prod``; as a mapping
with `who`, `do`, `of`, `in` and `because` where a line gets long. What an invariant means is decided in
`policy.promises.proofs`.

    never   SUBJECTS DOINGS [of SERVICES] [in ENVIRONMENTS]
    only    SUBJECTS may DOINGS [of SERVICES] [in ENVIRONMENTS]

Lists are written with commas. `in` may be left out before a known environment that ends the line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Literal

from policy.promises.phrases import (
    LONGEST,
    SELECTORS,
    doings_in,
    environments_in,
    listed_in,
    subjects_in,
    terms_in,
    words_of,
)
from policy.reading import Path, Reader
from policy.statements import Invariant, Selector

Kind = Literal["never", "only"]

KEYS: Final = ("who", "do", "of", "in", "because", "name")
_OF: Final = ("of", "on")
_EMPTY: Final[tuple[object, ...]] = (None, [], {}, "")
_FORMS: Final = {
    "never": "write `never: [contractors any in prod]`",
    "only": "write `only: [payments may createRefund of payments in prod]`",
}


def invariants_in(reader: Reader, top: Mapping[str, object], environments: tuple[str, ...]) -> tuple[Invariant, ...]:
    """All that the document says, in its order; whatever is at fault is left out and told."""
    return tuple(each for kind in ("never", "only") for each in _of_kind(reader, top, kind, environments))


def _of_kind(
    reader: Reader, top: Mapping[str, object], kind: Kind, environments: tuple[str, ...]
) -> Iterator[Invariant]:
    for place, item in reader.one_or_many(top.get(kind), (kind,)):
        before = len(reader.faults)
        if isinstance(item, Mapping):
            found = _from_mapping(reader, item, place, kind, environments)
        else:
            found = _from_text(reader, reader.text(item, place), place, kind, environments)
        if found is not None and len(reader.faults) == before:
            yield found


def _from_text(reader: Reader, text: str, path: Path, kind: Kind, environments: tuple[str, ...]) -> Invariant | None:
    if len(text) > LONGEST:
        reader.fault(path, f"a line of more than {LONGEST} characters", "write it as a mapping")
        return None
    words = words_of(text)
    if len(words) < (3 if kind == "only" else 2):
        if words:
            reader.fault(path, f"`{text}` does not say who and what", _FORMS[kind])
        return None
    who, rest = words[0], words[1:]
    if kind == "only":
        if rest[0] != "may":
            reader.fault(path, f"`{text}` does not say `may` after whom it is about", _FORMS[kind])
            return None
        rest = rest[1:]
    elif rest[0] == "may":
        reader.fault(path, "`never` says who and what, without `may`", _FORMS[kind])
        return None
    doing, services, where = _parted(rest, environments)
    if not doing:
        reader.fault(path, f"`{text}` does not say what", _FORMS[kind])
        return None
    if services == [] or where == []:
        word = "of" if services == [] else "in"
        reader.fault(path, f"nothing follows `{word}` in `{text}`", "leave it out, or say what it holds")
    return Invariant(
        kind,
        f"{kind}: {' '.join(text.split())}",
        subjects_in(reader, listed_in([who]), path, "group"),
        doings_in(reader, listed_in(doing), path),
        terms_in(reader, listed_in(_joined(services or [])), path),
        environments_in(reader, listed_in(where or []), path, environments),
        "",
        reader.locate(path),
    )


def _parted(words: list[str], environments: tuple[str, ...]) -> tuple[list[str], list[str] | None, list[str] | None]:
    """What is done, on which services, in which environments; None where a part is left out."""
    services, where = None, None
    if "in" in words:
        at = words.index("in")
        words, where = words[:at], words[at + 1 :]
    elif len(words) > 1 and all(each in environments for each in words[-1].split(",")):
        words, where = words[:-1], words[-1:]
    at = next((position for position, word in enumerate(words) if word in _OF), -1)
    if at >= 0:
        words, services = words[:at], words[at + 1 :]
    return words, services, where


def _joined(words: list[str]) -> list[str]:
    """`system payments` as `system:payments`."""
    return [":".join(words)] if len(words) == 2 and words[0] in SELECTORS else words


def _from_mapping(
    reader: Reader, node: Mapping[str, object], path: Path, kind: Kind, environments: tuple[str, ...]
) -> Invariant | None:
    keys = reader.mapping(node, path, KEYS)
    for key in ("who", "do"):
        if key not in keys:
            said = f"did you mean `do`? {_FORMS[kind]}" if key == "do" and "may" in node else _FORMS[kind]
            reader.fault(path, f"`{kind}` must say `{key}`", said)
    empty = [key for key, value in keys.items() if value in _EMPTY]
    for key in empty:
        reader.fault((*path, key), f"`{key}` is empty", "leave it out, or say what it holds")
    keys = {key: value for key, value in keys.items() if key not in empty}
    texts = {key: reader.texts(keys[key], (*path, key)) for key in ("who", "do", "in") if key in keys}
    who = subjects_in(reader, texts.get("who", ()), (*path, "who"), "group")
    doings = doings_in(reader, texts.get("do", ()), (*path, "do"))
    where = environments_in(reader, texts.get("in", ()), (*path, "in"), environments)
    services = services_in(reader, keys["of"], (*path, "of")) if "of" in keys else Selector()
    because = reader.text(keys["because"], (*path, "because")) if "because" in keys else ""
    may = " may " if kind == "only" else " "
    said = f"{kind}: {', '.join(texts.get('who', ()))}{may}{', '.join(texts.get('do', ()))}"
    name = reader.text(keys["name"], (*path, "name")) if "name" in keys else _named(said, services, where)
    return Invariant(kind, name, who, doings, services, where, because, reader.locate(path))


def services_in(reader: Reader, node: object, path: Path) -> Selector:
    """`of`: a service, several, or a mapping as in `to` of a rule."""
    if not isinstance(node, Mapping):
        return terms_in(reader, reader.texts(node, path), path)
    texts = []
    for key, value in reader.mapping(node, path).items():
        texts += [f"{key}:{text}" for text in reader.texts(value, (*path, key))]
        if value in _EMPTY:
            reader.fault((*path, key), f"`{key}` is empty", "leave it out, or say what it holds")
    return terms_in(reader, [_qualified(text) for text in texts], path)


def _qualified(text: str) -> str:
    """`service:component:default/x` is `component:default/x`, and so on for each kind that names itself."""
    head, _, rest = text.partition(":")
    kind, colon, name = rest.partition(":")
    if colon and kind == ("component" if head == "service" else head):
        return f"component:{name}" if head == "service" else f"{head}:{name}"
    return text


def _named(said: str, services: Selector, where: tuple[str, ...]) -> str:
    terms = [value if key in value.partition(":") or key == "service" else f"{key}:{value}"
             for key, values in services.terms for value in values]  # fmt: skip
    return said + (f" of {', '.join(terms)}" if terms else "") + (f" in {', '.join(where)}" if where else "")
