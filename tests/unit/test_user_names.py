"""Names in User-ID: a template filled with what the catalog says of a person, or no name at all."""

from __future__ import annotations

import pytest

from gateway.user_names import LONGEST, named, parts_of

JANE = {
    "metadata.name": "jane",
    "spec.profile.email": "Jane@Example.com",
    "annotations.example.com/ad-domain": "corp",
    "annotations.blank": " ",
    "annotations.lines": "a\nb",
}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{metadata.name}", "jane"),
        (r"corp\{metadata.name}", r"corp\jane"),
        ("{spec.profile.email}", "Jane@Example.com"),
        (r"{annotations.example.com/ad-domain}\{metadata.name}", r"corp\jane"),
        ("{metadata.name}@corp.example", "jane@corp.example"),
        ("", None),
        ("{annotations.away}", None),
        (r"corp\{annotations.away}", None),
        ("{annotations.blank}", None),
        ("{annotations.lines}", None),
        ("x" * (LONGEST - 3) + "{metadata.name}", None),
    ],
)
def test_a_name_is_made_of_what_is_known_or_not_at_all(template: str, expected: str | None) -> None:
    assert named(template, JANE) == expected


def test_a_value_is_never_read_as_a_template() -> None:
    assert named("{metadata.name}", {"metadata.name": "{spec.profile.email}"}) == "{spec.profile.email}"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("corp", "the same for everybody"),
        ("{metadata.title}", "which nobody has"),
        ("{annotations.}", "which nobody has"),
        ("{}", "which nobody has"),
        ("{metadata.name", "is no template"),
        ("{metadata.name}}", "is no template"),
        ("{{metadata.name}}", "is no template"),
        ("a\t{metadata.name}", "is no template"),
    ],
)
def test_what_is_no_template_is_refused(template: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parts_of(template)
