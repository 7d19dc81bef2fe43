"""Which operations a request asks for: the definition, over plain lists. The table walks a tree instead.

Candidates are the definitions of the request's method that match the whole path; part by part from the left a
literal beats a variable, a variable beats ``**``. Definitions of one shape are all asked for. So are literal
siblings of a variable that the path comes near: an upstream might serve them instead.
"""

from __future__ import annotations

from policy.facts import Operation
from policy.paths import Segments, is_shadow, matches, shape, template_of


def required(operations: tuple[Operation, ...], path: Segments, method: str) -> list[Operation]:
    """Of this method's definitions that match the whole path those of the best shape, and their literal siblings."""
    found = [each for each in operations if each.method == method and matches(template_of(each.template), path)]
    if not found:
        return required(operations, path, "GET") if method == "HEAD" else []
    best = min(shape(template_of(each.template)) for each in found)
    chosen = [each for each in found if shape(template_of(each.template)) == best]
    templates = {template_of(each.template) for each in chosen}
    near = [each for each in operations if any(is_shadow(template_of(each.template), one, path) for one in templates)]
    same = {template_of(each.template) for each in near if each.method == chosen[0].method}
    # A sibling that knows the method is asked for it; one that does not is asked for all it has.
    wanted = [each for each in near if each.method == chosen[0].method or template_of(each.template) not in same]
    return chosen + [each for each in wanted if each not in chosen]
