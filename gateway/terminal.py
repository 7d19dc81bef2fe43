"""What all commands share: exit codes, the options `--config` and `--json`, and how a terminal is spoken to.

Stdout is data, talk is on stderr, colour is for terminals alone. What is shown may have been written by anybody (a
catalog, an issuer, a node of another version), so no control character reaches the terminal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import orjson

if TYPE_CHECKING:
    from rich.console import Console

    from gateway.config import Settings
    from policy.facts import Source
    from policy.reading import Fault

FOUND: Final = 1
USAGE: Final = 2
CONFIGURATION: Final = 3
UNREACHABLE: Final = 4
PARTLY: Final = 5
# Where a configuration is looked for when none is named: here, else the lab that was run here.
USUAL_PLACES: Final = (Path("stagedoor.yaml"), Path(".lab/stagedoor.yaml"))
FAULTS_SHOWN: Final = 20

# What JSON may hold as it is and a terminal obeys: controls beyond ASCII, and what turns the direction of writing.
_UNSHOWN: Final = re.compile("[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")

json_option = click.option("--json", "as_json", is_flag=True, help="The stable form for programs.")
config_option = click.option(
    "--config", "file", type=click.Path(dir_okay=False, path_type=Path),
    help="Default: `stagedoor.yaml`, else the lab's.",
)  # fmt: skip
state_option = click.option(
    "--state", "folder", type=click.Path(file_okay=False, path_type=Path),
    help="The node's state folder, instead of a configuration that names it.",
)  # fmt: skip


def state_folder_at(file: Path | None, folder: Path | None) -> Path:
    """The state folder that was named, or that of the configuration. Raises `ConfigError`."""
    if file is not None and folder is not None:
        raise click.UsageError("say either --config or --state")
    return folder or Path(settings_at(file, with_named_files=False).state_folder)


def configuration_at(file: Path | None) -> Path:
    """The file that was named, or the first of the usual places that has one."""
    return file or next((place for place in USUAL_PLACES if place.exists()), USUAL_PLACES[0])


def settings_at(file: Path | None, *, with_named_files: bool = True) -> Settings:
    """Raises `ConfigError` with every fault."""
    from gateway import config_load

    return config_load.load(configuration_at(file), with_named_files=with_named_files)


def write_json(value: object) -> None:
    text = orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
    click.echo(_UNSHOWN.sub(lambda found: f"\\u{ord(found[0]):04x}", text))


def console() -> Console:
    """For stdout: colours where a person looks, never a line break that was not said."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True)


def plain(text: str) -> str:
    """The text with every control character spelled out: nothing in it moves a cursor or changes a colour."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def mention(faults: Sequence[Fault]) -> None:
    """On stderr, beside an answer that stands on what could be read: what could not."""
    for fault in faults[:FAULTS_SHOWN]:
        click.echo(f"{fault.severity}: {plain(str(fault))}", err=True)
    if len(faults) > FAULTS_SHOWN:
        click.echo(f"note: {len(faults) - FAULTS_SHOWN} more faults are not shown", err=True)


def from_here(file: str) -> str:
    """A path as a person would type it: relative below the current folder, whole elsewhere."""
    path = Path(file)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else file


def place_in(source: Mapping[str, Any]) -> str:
    """The same of a source as answers write it."""
    from policy.facts import Source

    return place_of(Source(str(source["file"]), int(source["line"])))


def place_of(source: Source) -> str:
    """File and line of a source, as a person would type the file."""
    file = from_here(source.file)
    return f"{file}:{source.line}" if source.line else file


def age(age_s: int | None) -> str:
    """`3m`: an age needs one unit to be understood."""
    if age_s is None:
        return "-"
    for unit_s, name in ((86400, "d"), (3600, "h"), (60, "m")):
        if age_s >= 2 * unit_s:
            return f"{age_s // unit_s}{name}"
    return f"{age_s}s"
