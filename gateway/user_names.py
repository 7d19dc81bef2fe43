r"""What a person is called in a firewall's User-ID: a template of the operator's, filled with fields of the catalog.

`corp\{metadata.name}` is literal text around fields, which are those that issuers match on, too. Whoever lacks one of
them has no name there; nothing is made up in its place, because a wrong name is somebody else's rights. Whether two
people got one name is for the caller to see: User-ID compares without regard to case.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

LONGEST: Final = 255
_FIELD: Final = re.compile(r"metadata\.name|spec\.profile\.email|annotations\.[A-Za-z0-9][A-Za-z0-9._/-]{0,252}")
_PARTS: Final = re.compile(r"\{([^{}]*)\}")


@lru_cache(64)
def parts_of(template: str) -> tuple[str, ...]:
    """Literal text and fields by turns, literal text first and last. Raises `ValueError` for what is no template."""
    parts = tuple(_PARTS.split(template))
    if not template.isprintable() or any(brace in text for text in parts[::2] for brace in "{}"):
        raise ValueError(r"is no template; write `corp\{metadata.name}`, without other braces and control characters")
    if len(parts) == 1:
        raise ValueError(r"is the same for everybody; name a field, `corp\{metadata.name}`")
    for field in parts[1::2]:
        if not _FIELD.fullmatch(field):
            known = "`metadata.name`, `spec.profile.email` and `annotations.KEY`"
            raise ValueError(f"has the field `{field[:60]}`, which nobody has; there are {known}")
    return parts


def named(template: str, fields: Mapping[str, str]) -> str | None:
    """The name of the person with these ``fields``; None where the person lacks one, or where it would be no name."""
    if not template:
        return None
    parts = parts_of(template)
    values = [fields.get(field, "") for field in parts[1::2]]
    if not all(values):
        return None
    texts = list(parts)
    texts[1::2] = values
    name = "".join(texts)
    return name if len(name) <= LONGEST and name.isprintable() and name == name.strip() else None
