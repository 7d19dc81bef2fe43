"""How long people are remembered is the operator's to say: a duration under `state`, ninety days unless it is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway import config, config_load

FILE = """\
listeners: [{{name: main, address: "127.0.0.1:8443"}}]
environments: {{prod: {{hosts: [.example.com], upstreams: [10.0.0.0/8]}}}}
catalog: {{files: [catalog]}}
access_policy: access.yaml
state: {{folder: state{more}}}
"""


def load(folder: Path, more: str = "", **environ: str) -> config.Settings:
    (folder / "access.yaml").write_text("version: 1\n")
    (folder / "stagedoor.yaml").write_text(FILE.format(more=more))
    return config_load.load(folder / "stagedoor.yaml", environ)


@pytest.mark.parametrize(
    ("more", "seconds"),
    [("", 90 * 86400), (", sightings: 30d", 30 * 86400), (", sightings: 0s", 0), (", sightings: 8h", 28800)],
)
def test_the_retention_is_what_the_file_says(tmp_path: Path, more: str, seconds: float) -> None:
    settings = load(tmp_path, more)
    assert settings.sightings_s == seconds
    assert config.decode(config.encode(settings)).sightings_s == seconds


def test_a_variable_says_it_too_and_nonsense_is_refused(tmp_path: Path) -> None:
    assert load(tmp_path, STAGEDOOR_STATE__SIGHTINGS="1d").sightings_s == 86400
    with pytest.raises(config_load.ConfigFaults, match="no duration"):
        load(tmp_path, ", sightings: for ever")
