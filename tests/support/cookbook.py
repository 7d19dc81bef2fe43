"""The recipes of docs/policy-cookbook.md, taken off the page and run: files as they stand there, commands as typed.

A recipe is a section whose heading begins with a number. Its YAML blocks begin with `# FILE`; the blocks of the section
before the first recipe are everybody's. Each line `$ stagedoor …` of a console block is run in a folder with those
files; what it prints has to be what stands below it.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.support.commands import run

PAGE = Path(__file__).parents[2] / "docs" / "policy-cookbook.md"
_BLOCK = re.compile(r"^```(yaml|console)\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"# (\S+)\n")


class Recipe(NamedTuple):
    title: str
    files: dict[str, str]
    console: str

    @property
    def number(self) -> int:
        return int(self.title.partition(".")[0])

    @property
    def commands(self) -> list[str]:
        return [line[2:] for line in self.console.splitlines() if line.startswith("$ ")]


def recipes(text: str) -> Iterator[Recipe]:
    """Every recipe with the files it needs, the company's among them."""
    company: dict[str, str] = {}
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        title, _, body = section.partition("\n")
        blocks = _BLOCK.findall(body)
        files = {name[1]: block for kind, block in blocks if kind == "yaml" and (name := _FILE.match(block))}
        assert len(files) == sum(kind == "yaml" for kind, _ in blocks), f"a block of `{title}` names no file"
        if title[:1].isdigit():
            yield Recipe(title, company | files, "".join(block for kind, block in blocks if kind == "console"))
        else:
            company |= files


def told(recipe: Recipe, folder: Path) -> str:
    """The console block as it comes out in a folder. Warnings, which go to stderr, are no part of it."""
    for name, text in recipe.files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    before = Path.cwd()
    os.chdir(folder)
    try:
        answers = [run(*shlex.split(command)[1:]) for command in recipe.commands]
    finally:
        os.chdir(before)
    for command, answer in zip(recipe.commands, answers, strict=True):
        assert answer.exit_code in (0, 1), f"{command}: {answer.output}"
    shown = (f"$ {command}\n{answer.stdout}" for command, answer in zip(recipe.commands, answers, strict=True))
    return "".join(f"{line.rstrip()}\n" for text in shown for line in text.rstrip().splitlines())


def rewrite(folder: Path) -> None:
    """Writes what comes out now into the page. The difference is then read like code."""
    text = PAGE.read_text()
    for recipe in list(recipes(text)):
        before, heading, after = text.partition(f"\n## {recipe.title}\n")
        text = before + heading + after.replace(recipe.console, told(recipe, folder / str(recipe.number)), 1)
    PAGE.write_text(text)


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        rewrite(Path(name))
