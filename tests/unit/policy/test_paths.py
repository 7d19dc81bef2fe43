"""Templates and paths: what matches exactly, what comes near, which shape wins."""

from __future__ import annotations

import pytest

from policy.paths import (
    covers,
    folds,
    is_near,
    is_shadow,
    matches,
    prefix_segments,
    shape,
    template_fault,
    template_of,
    variable_fits,
    written_fault,
)


def path(text: str) -> tuple[str, ...]:
    return tuple(text[1:].split("/"))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("/", ("",)),
        ("/a/{id}/b", ("a", "{}", "b")),
        ("/report-{year}.pdf", ("report-{}.pdf",)),
        ("/{a}-{b}/", ("{}", "")),
        ("/assets/**", ("assets", "**")),
    ],
)
def test_a_template_forgets_the_names_of_its_variables(text: str, parts: tuple[str, ...]) -> None:
    assert template_of(text) == parts


@pytest.mark.parametrize("text", ["/", "/a", "/a/", "/a/{b}", "/a{b}c", "/**", "/a/**"])
def test_a_template_that_can_be_published(text: str) -> None:
    assert template_fault(text) == ""


@pytest.mark.parametrize("text", ["a", "/**/a", "/a//b", "//", "/{a", "/a}", "/}{"])
def test_what_is_no_template_says_why(text: str) -> None:
    assert f"`{text}`" in template_fault(text)
    assert written_fault(text)


@pytest.mark.parametrize("text", ["/a/*", "/a/*/b", "/*.pdf", "/a**", "/a/**/*", "/{a}*"])
def test_a_star_in_the_access_policy_is_no_text_of_a_path(text: str) -> None:
    """A deny of `/admin/*` would hold for nothing but that very path, and nobody would notice."""
    assert f"`{text}`" in written_fault(text)
    assert written_fault("/a/{b}/**") == ""


@pytest.mark.parametrize(
    ("template", "asked", "expected"),
    [
        ("/a", "/a", True),
        ("/a", "/A", False),
        ("/a", "/a/", False),
        ("/a/{x}", "/a/1", True),
        ("/a/{x}", "/a/", False),
        ("/a/{x}", "/a/1/2", False),
        ("/r-{x}.pdf", "/r-1.pdf", True),
        ("/r-{x}.pdf", "/r-.pdf", False),
        ("/r-{x}.pdf", "/q-1.pdf", False),
        ("/a/**", "/a", True),
        ("/a/**", "/a/", True),
        ("/a/**", "/a/b/c", True),
        ("/a/**", "/b", False),
        ("/**", "/", True),
    ],
)
def test_permits_match_exactly(template: str, asked: str, expected: bool) -> None:
    assert matches(template_of(template), path(asked)) is expected


@pytest.mark.parametrize("asked", ["/admin/x", "/Admin/x", "/admin/x/", "/admin;v=1/x", "/admin.json/x", "//admin//x"])
def test_whatever_an_upstream_may_take_for_a_path_is_near_it(asked: str) -> None:
    assert is_near(template_of("/admin/{x}"), path(asked))
    assert is_near(template_of("/ADMIN/**"), path(asked))


@pytest.mark.parametrize(
    ("template", "asked", "expected"),
    [
        ("/admin", "/administrator", False),
        ("/admin", "/x/admin", False),
        ("/a/**", "/", False),
        ("/f{x}.PDF", "/F1.pdf;v=2", True),
        ("/f{x}.pdf", "/g1.pdf", False),
        ("/", "/", True),
        ("/a", "/.a", False),
    ],
)
def test_near_has_an_end(template: str, asked: str, expected: bool) -> None:
    assert is_near(template_of(template), path(asked)) is expected


def test_folds_are_the_text_without_parameters_and_extension() -> None:
    assert folds("Me.JSON;v=1") == ("me.json;v=1", "me.json", "me")


@pytest.mark.parametrize(
    ("sibling", "chosen", "asked", "expected"),
    [
        ("/a/me", "/a/{x}", "/a/ME", True),
        ("/a/me", "/a/{x}", "/a/you", False),
        ("/a/me/b", "/a/{x}/{y}", "/a/me.json/b", True),
        ("/a/{x}", "/a/me", "/a/me", False),
        ("/a/me", "/a/**", "/a/me/", True),
        ("/a", "/a/**", "/a/", False),
        ("/b/me", "/{x}/me", "/b/me", True),
        ("/a/x{y}", "/a/{x}", "/a/x1", False),
    ],
)
def test_a_shadow_is_a_literal_sibling_the_path_comes_near(
    sibling: str, chosen: str, asked: str, expected: bool
) -> None:
    assert is_shadow(template_of(sibling), template_of(chosen), path(asked)) is expected


def test_literal_beats_variable_beats_tail() -> None:
    templates = ["/a/**", "/{x}/b", "/a/{x}", "/a/b", "/**"]
    ordered = sorted(templates, key=lambda text: shape(template_of(text)))
    assert ordered == ["/a/b", "/a/{x}", "/a/**", "/{x}/b", "/**"]


def test_a_rule_covers_the_operation_it_names_and_what_is_below_its_tail() -> None:
    assert covers(template_of("/a/{x}"), template_of("/a/{id}"))
    assert not covers(template_of("/a/{x}"), template_of("/a/b"))
    assert covers(template_of("/a/**"), template_of("/a/b/{c}"))
    assert not covers(template_of("/a/**"), template_of("/b"))


def test_the_root_prefix_has_no_segments() -> None:
    assert prefix_segments("/") == ()
    assert prefix_segments("/v1/pay") == ("v1", "pay")


def test_a_variable_holds_at_least_one_character() -> None:
    assert not variable_fits("{}", "")
    assert variable_fits("a{}", "ab")
