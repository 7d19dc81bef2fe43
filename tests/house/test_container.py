"""The Dockerfile by its own small rules. No engine builds it here, so what can be read is checked by reading."""

from __future__ import annotations

import re
import tomllib

import pytest

from tests.house.source import ROOT

TEXT = (ROOT / "Dockerfile").read_text()
INSTRUCTIONS = [
    (line.split(maxsplit=1)[0].upper(), line.split(maxsplit=1)[1])
    for line in re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", TEXT, flags=re.MULTILINE)).splitlines()
    if line.strip()
]
STAGES: list[list[tuple[str, str]]] = []
for _word, _rest in INSTRUCTIONS:
    if _word == "FROM":
        STAGES.append([])
    if STAGES:
        STAGES[-1].append((_word, _rest))
FINAL = STAGES[-1]


def said(word: str, stage: list[tuple[str, str]] = FINAL) -> list[str]:
    return [rest for instruction, rest in stage if instruction == word]


def test_the_tools_that_build_are_not_in_the_image() -> None:
    assert len(STAGES) >= 2
    assert any("--from=" in rest for rest in said("COPY"))
    assert not [rest for rest in said("RUN") if re.search(r"\b(pip|apt-get|gcc|make)\b", rest)]


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: str(stage[0][1]))
def test_a_base_is_pinned_to_a_release(stage: list[tuple[str, str]]) -> None:
    image = stage[0][1].split()[0]
    _, colon, tag = image.partition(":")
    assert colon
    assert re.search(r"\d+\.\d+\.\d+", tag), f"`{image}` moves"


def test_it_runs_as_a_number_that_is_not_root() -> None:
    user = said("USER")[-1]
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user), "a name cannot be checked by `runAsNonRoot`"
    last = max(at for at, (word, _) in enumerate(FINAL) if word == "USER")
    assert not [word for word, _ in FINAL[last:] if word in ("RUN", "COPY", "ADD")], "files belong to root, read-only"


def test_nothing_secret_is_built_in() -> None:
    assert not re.search(r"(password|secret|token|private)[\w-]*\s*=", TEXT, re.IGNORECASE)
    assert not [rest for word, rest in INSTRUCTIONS if word == "COPY" and re.search(r"\.(key|pem)\b|\.lab", rest)]


def test_nothing_is_fetched_but_what_is_pinned() -> None:
    assert not said("ADD")
    assert "constraints.txt" in TEXT
    assert not re.search(r"\b(curl|wget)\b", TEXT)
    for installs in re.findall(r"pip (?:install|wheel) [^\n]*", re.sub(r"\\\n", " ", TEXT)):
        assert "-c constraints.txt" in installs or "--no-index" in installs, installs


def test_it_is_started_without_a_shell_so_that_signals_arrive() -> None:
    for word in ("ENTRYPOINT", "CMD", "HEALTHCHECK"):
        assert said(word), f"no {word}"
    assert all(rest.startswith("[") for rest in said("ENTRYPOINT") + said("CMD"))
    assert said("STOPSIGNAL") == ["SIGTERM"]


def test_its_state_is_a_volume_and_the_rest_may_be_read_only() -> None:
    assert said("VOLUME") == ['["/var/lib/stagedoor"]']
    assert any("PYTHONDONTWRITEBYTECODE=1" in rest for rest in said("ENV"))


def test_the_python_is_one_the_project_supports() -> None:
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    version = re.search(r"python:(\d+)\.(\d+)", TEXT)
    assert version is not None
    assert wanted == ">=3.11"
    assert (int(version[1]), int(version[2])) >= (3, 11)


def test_the_build_context_leaves_out_what_is_local() -> None:
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {".git", ".venv", ".lab", "tests", "bench"} <= set(ignored)
