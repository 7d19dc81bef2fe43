"""The words that tests and invariants are made of: subjects, services, environments, operations.

A line of text and a YAML mapping say the same; both come through here, so that a name means one thing in both. A bare
name is a person or a team, as the place where it stands says (:func:`subject_in`), and a bare service is a component.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from policy.facts import ALL_PEOPLE, ALL_WORKLOADS, EVERYONE
from policy.paths import METHODS, READ, TAIL, WRITE, template_of, written_fault
from policy.reading import Path, Reader, did_you_mean, ref_of
from policy.statements import ANYONE, Doing, Selector

CROWDS: Final = (ALL_PEOPLE, ALL_WORKLOADS, ANYONE)
# OPTIONS changes nothing, and is permitted wherever something else is: it is no writing here.
VERBS: Final = {"any": frozenset(METHODS), "read": READ, "write": WRITE - {"OPTIONS"}}
LONGEST: Final = 2000  # characters of a line
# What a selector may ask for, and the entity kind that a bare name stands for there.
SELECTORS: Final = {"service": "component", "system": "system", "domain": "domain", "api": "api", "type": "", "tag": ""}

_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9_.-]*[a-z0-9])?")
_REF: Final = re.compile(r"(user|group|component):([a-z0-9_.-]+/)?[a-z0-9_.-]+")
_VALUE: Final = re.compile(r"([a-z]+:)?([a-z0-9_.-]+/)?[a-z0-9_.+#-]+")  # of a selector: a name, a ref, a tag
_OPERATION_ID: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:~/-]*")
_COMMA: Final = re.compile(r"\s*,\s*")


def words_of(text: str) -> list[str]:
    """The words of a line; a list with commas is one word."""
    return _COMMA.sub(",", text).split()


def subject_in(reader: Reader, text: str, path: Path, bare: str) -> str:
    """A subject: a ref, `all-people`, `all-workloads`, `anyone`, or a bare name of the kind ``bare``; "" on a fault."""
    word = text.strip().lower()
    if word in CROWDS or _REF.fullmatch(word):
        return word if word in CROWDS else ref_of(word, "")
    if word == EVERYONE:
        reader.fault(path, "`everyone` is a reach, no subject", f"say `{ALL_PEOPLE}`, `{ALL_WORKLOADS}`, or both")
        return ""
    if _NAME.fullmatch(word):
        return ref_of(word, bare)
    hint = did_you_mean(word, CROWDS) or f"write a name, `{bare}:default/NAME`, or {_listed(CROWDS)}"
    reader.fault(path, f"`{text}` names nobody", hint)
    return ""


def subjects_in(reader: Reader, texts: Iterable[str], path: Path, bare: str) -> tuple[str, ...]:
    found = [subject_in(reader, text, path, bare) for text in texts]
    return tuple(sorted({each for each in found if each}))


def component_in(reader: Reader, text: str, path: Path) -> str:
    word = text.strip().lower()
    if (_REF.fullmatch(word) and word.startswith("component:")) or _NAME.fullmatch(word):
        return ref_of(word, "component")
    reader.fault(path, f"`{text}` is no service", "write its name, or `component:default/NAME`")
    return ""


def environments_in(reader: Reader, texts: Iterable[str], path: Path, known: tuple[str, ...]) -> tuple[str, ...]:
    found = []
    for text in texts:
        if text in known:
            found.append(text)
        else:
            reader.fault(path, f"unknown environment `{text}`", did_you_mean(text, known) or f"known: {_listed(known)}")
    return tuple(sorted(set(found)))


def terms_in(reader: Reader, texts: Iterable[str], path: Path) -> Selector:
    """`payments`, `system:payments`, `type:website`: alternatives of one key, all keys together."""
    terms: dict[str, set[str]] = {}
    for text in texts:
        key, colon, value = text.partition(":")
        if not colon or key == "component":
            terms.setdefault("service", set()).add(component_in(reader, text, path))
        elif key not in SELECTORS or not _VALUE.fullmatch(value.strip().lower()):
            reader.fault(path, f"`{text}` selects no service", _selector_hint(key))
        elif key == "service":
            terms.setdefault("service", set()).add(component_in(reader, value, path))
        else:
            kind = SELECTORS[key]
            terms.setdefault(key, set()).add(ref_of(value, kind) if kind else value.strip().lower())
    return Selector(tuple((key, tuple(sorted(values))) for key, values in sorted(terms.items())))


def doing_in(reader: Reader, text: str, path: Path) -> Doing | None:
    """`any`, `read`, `write`, `DELETE`, `POST /refunds/{id}` or the name of an operation; None on a fault."""
    method, _, template = text.strip().partition(" ")
    template = template.strip()
    if method in VERBS and not template:
        return Doing(method, VERBS[method])
    if method in METHODS:
        if not template:
            # Other operations answer these too, so they are about whatever is asked for so.
            return Doing(method, frozenset({method}), (TAIL,) if method in ("HEAD", "OPTIONS") else None)
        if complaint := written_fault(template):
            reader.fault(path, complaint)
            return None
        return Doing(f"{method} {template}", frozenset({method}), template_of(template))
    if template.startswith("/") or method.upper() in METHODS:
        hint = did_you_mean(method, METHODS) or f"methods are {_listed(METHODS)}"
        reader.fault(path, f"`{text}` names no method that passes the door", hint)
    elif template or not _OPERATION_ID.fullmatch(method):
        reader.fault(path, f"`{text}` is nothing that can be done", _doing_hint(method))
    else:
        return Doing(method, VERBS["any"], operation=method)
    return None


def doings_in(reader: Reader, texts: Iterable[str], path: Path) -> tuple[Doing, ...]:
    return tuple(dict.fromkeys(each for text in texts if (each := doing_in(reader, text, path)) is not None))


def listed_in(words: list[str]) -> list[str]:
    """The entries of a list that is written with commas, over several words."""
    return [each.strip() for each in " ".join(words).split(",") if each.strip()]


def _selector_hint(key: str) -> str:
    if key in SELECTORS:
        return f"write one name after `{key}:`; several are separated by commas"
    return did_you_mean(key, SELECTORS) or "write a service, or `KEY:VALUE` with one of " + _listed(SELECTORS)


def _doing_hint(word: str) -> str:
    return did_you_mean(word, VERBS) or "write `any`, `read`, `write`, `POST /refunds` or an operation's name"


def _listed(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)
