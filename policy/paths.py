"""Path templates: how they are written, when they match a path exactly, and when they come near it.

A path is the tuple of its once-decoded segments below the exposure's prefix: ``/`` is ``("",)``, ``/a/b/`` is
``("a", "b", "")``. A template is a tuple of the same length whose parts are

* a literal, ``refunds``;
* a variable, ``{}`` (its name never matters), or one with literal text around it, ``report-{}.pdf``;
* ``**`` as the last part: whatever follows, nothing included.

Permits ask for an exact match. Everything that protects (deny rules, literal siblings of a variable) asks
whether a path comes *near* a template: upstreams differ in whether ``/Admin``, ``/admin/``, ``/admin.json``,
``/admin;v=1`` and ``//admin`` reach the code behind ``/admin``, so all of them count as near.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

Template = tuple[str, ...]
Segments = tuple[str, ...]

METHODS: Final = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
READ: Final = frozenset({"GET", "HEAD"})
WRITE: Final = frozenset(METHODS) - READ

CACHED: Final = 16_384  # templates whose parts are remembered: each is asked for a dozen times in a compile

VARIABLE: Final = "{}"
TAIL: Final = "**"

_BRACES = re.compile(r"\{.*\}")
_CUT = re.compile(r"[.;]")


@lru_cache(CACHED)
def template_of(text: str) -> Template:
    """``/refunds/{id}`` as its parts. The text starts with a slash."""
    parts = text[1:].split("/")
    return tuple([_BRACES.sub(VARIABLE, part, count=1) if "{" in part else part for part in parts])


@lru_cache(CACHED)
def template_fault(text: str) -> str:
    """Why this is no template; empty when it is one."""
    if not text.startswith("/"):
        return f"path `{text}` must start with `/`"
    parts = template_of(text)
    if TAIL in parts[:-1]:
        return f"`**` may only end a path, unlike in `{text}`"
    if "" in parts[:-1]:
        return f"path `{text}` has an empty segment"
    if any(("{" in part or "}" in part) and part.count(VARIABLE) != 1 for part in parts):
        return f"path `{text}` has an unpaired brace"
    return ""


def written_fault(text: str) -> str:
    """The same of a template in the access policy: there a `*` is no text of a path but meant as a pattern, and a deny
    of it would hold for nothing."""
    if any("*" in part and part != TAIL for part in text.split("/")):
        return f"`*` stands for nothing in `{text}`; write `{{name}}` for one segment, or end with `/**`"
    return template_fault(text)


def prefix_segments(prefix: str) -> Segments:
    """The segments of an exposure's prefix: none for ``/``."""
    return tuple(part for part in prefix.split("/") if part)


def shape(template: Template) -> tuple[int, ...]:
    """Literal before variable before tail, part by part from the left: the smaller shape wins."""
    return tuple(2 if part == TAIL else 1 if VARIABLE in part else 0 for part in template)


def is_literal(part: str) -> bool:
    return part != TAIL and VARIABLE not in part


def variable_fits(part: str, text: str) -> bool:
    """Whether ``text`` is the part's literal surroundings with at least one character for the variable."""
    before, _, after = part.partition(VARIABLE)
    return len(text) > len(before) + len(after) and text.startswith(before) and text.endswith(after)


def matches(template: Template, path: Segments) -> bool:
    """Exactly, as permits ask for it."""
    if template[-1] == TAIL:
        template, path = template[:-1], path[: len(template) - 1]
    return len(template) == len(path) and all(
        variable_fits(part, text) if VARIABLE in part else part == text
        for part, text in zip(template, path, strict=True)
    )


def folds(text: str) -> tuple[str, ...]:
    """What a segment may be taken for: itself, without its parameters, without its extension; case aside."""
    folded = text.casefold()
    bare = folded.partition(";")[0]
    return (folded, bare, _CUT.split(folded, maxsplit=1)[0])


def is_near(template: Template, path: Segments) -> bool:
    """Whether an upstream might take ``path`` for one of the template's paths."""
    parts = [part for part in template if part]
    texts = [text for text in path if text]
    if parts and parts[-1] == TAIL:
        del parts[-1], texts[len(parts) :]
    return len(parts) == len(texts) and all(map(_part_near, parts, texts))


def _part_near(part: str, text: str) -> bool:
    if VARIABLE in part:
        return part == VARIABLE or any(variable_fits(part.casefold(), fold) for fold in folds(text))
    return part.casefold() in folds(text)


def is_shadow(template: Template, chosen: Template, path: Segments) -> bool:
    """Whether ``template`` is a literal sibling of a variable (or tail) of ``chosen`` that ``path`` comes near.

    Both share their parts up to the first difference; there the sibling is literal and the chosen one is not.
    """
    for part, other in zip(template, chosen, strict=False):
        if part != other:
            return is_literal(part) and not is_literal(other) and is_near(template, path)
    return False


def covers(pattern: Template, template: Template) -> bool:
    """Whether a rule that names ``pattern`` means the operation with ``template``: equal, or below its ``**``."""
    if pattern[-1] == TAIL:
        return template[: len(pattern) - 1] == pattern[:-1]
    return pattern == template
