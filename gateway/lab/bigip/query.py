"""The query of an iControl REST request: `$filter`, `$select`, `expandSubcollections`, `$top`, `$skip`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.lab.bigip.refusals import Json, refused

FILTER: Final = re.compile(r"^\s*partition\s+eq\s+'?(?P<partition>[^'\s]+)'?\s*$")
IGNORED: Final = ("ver", "options")


@dataclass(frozen=True, slots=True)
class Query:
    partition: str = ""
    select: tuple[str, ...] = ()
    expand: bool = False
    top: int = 0  # items of a page, 0 for all
    skip: int = 0

    def chosen(self, shown: Json) -> Json:
        if not self.select:
            return shown
        return {key: value for key, value in shown.items() if key in self.select}


def query_of(values: Mapping[str, str]) -> Query:
    """Raises `Refusal` for a parameter or a filter that a device would not know, either."""
    partition, expand, top, skip = "", False, 0, 0
    select: tuple[str, ...] = ()
    for name, value in values.items():
        if name == "$filter":
            found = FILTER.match(value)
            if found is None:
                raise refused(400, f"The filter {value} is not supported: only partition eq NAME is", 1)
            partition = found["partition"]
        elif name == "$select":
            select = tuple(word.strip() for word in value.split(",") if word.strip())
        elif name == "expandSubcollections":
            expand = value.lower() == "true"
        elif name in ("$top", "$skip"):
            if not value.isdecimal():
                raise refused(400, f"{name} is no number: {value}", 1)
            top, skip = (int(value), skip) if name == "$top" else (top, int(value))
        elif name not in IGNORED:
            raise refused(400, f"The query parameter {name} is not known", 1)
    return Query(partition, select, expand, top, skip)
