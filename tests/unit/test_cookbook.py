"""Every recipe of docs/policy-cookbook.md is run as it stands there: what the page says comes out, comes out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.commands import run
from tests.support.cookbook import PAGE, Recipe, recipes, told

TEXT = PAGE.read_text()
RECIPES = list(recipes(TEXT))
PROMISED = 15


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.title)
def test_a_recipe_says_what_comes_out(recipe: Recipe, tmp_path: Path) -> None:
    """`python -m tests.support.cookbook` writes it down anew; the difference is then read like code."""
    assert recipe.commands
    assert told(recipe, tmp_path) == recipe.console
    checked = run("check", "--config", tmp_path / "stagedoor.yaml")
    assert checked.exit_code == 0
    assert "error:" not in checked.output, "a recipe is copied: it has no fault"


def test_recipes_are_numbered_and_listed_at_the_top() -> None:
    assert [each.number for each in RECIPES] == list(range(1, len(RECIPES) + 1))
    assert len(RECIPES) >= PROMISED
    anchors = [re.sub(r"[^a-z0-9 -]", "", each.title.lower()).replace(" ", "-") for each in RECIPES]
    assert re.findall(r"^\| \[[^\]]+\]\(#([^)]+)\)", TEXT, re.MULTILINE) == anchors


def test_each_recipe_asks_who_can() -> None:
    assert [each.title for each in RECIPES if not any(" who-can " in command for command in each.commands)] == []
