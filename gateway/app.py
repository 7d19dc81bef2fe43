"""The entry of every child: ``python -m gateway.app ROLE …`` is started by the supervisor, never by a person.

A role's module is named on the command line and is the only one imported, so that a door loads nothing of what
control or the engine need. ``load`` is the short-lived child that reads and validates `stagedoor.yaml`: it writes
the settings frame into the state folder and prints the frame's path; on a fault it prints every fault instead and
exits with 3, having changed nothing.

Signals belong to the supervisor. A terminal's Ctrl-C or a service manager's SIGTERM to the whole group is not for
a child to act on; SIGTERM to one child alone asks the supervisor for a planned restart of it.
"""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import socket
import sys
import traceback
from base64 import b32encode
from hashlib import blake2b
from pathlib import Path
from typing import Final

from gateway import config, telemetry
from gateway.child import NodeState, ParentChannel, RoleContext
from gateway.errors import ConfigError, StagedoorError

DONE: Final = 0
CRASHED: Final = 1
CONFIGURATION: Final = 3
UNAVAILABLE: Final = 4

# Where cores are few, a base that is compiled (engine) and read again (control) waits for requests, not they for it.
NICENESS: Final = {"engine": 10, "control": 5}


def main(argv: list[str]) -> int:
    arguments = _parser().parse_args(argv)
    telemetry.speak_as(arguments.role, getattr(arguments, "slot", 0), "auto")
    try:
        return load(Path(arguments.config)) if arguments.role == "load" else run_role(arguments)
    except ConfigError as error:
        telemetry.log("configuration_refused", level="error", why=str(error))
        return CONFIGURATION
    except StagedoorError as error:
        telemetry.log("unavailable", level="error", why=str(error))
        return UNAVAILABLE
    except Exception as error:
        telemetry.log("crashed", level="error", why=repr(error), stack=traceback.format_exc())
        return CRASHED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m gateway.app", allow_abbrev=False)
    parser.add_argument("role")
    parser.add_argument("--config", help="stagedoor.yaml (load)")
    parser.add_argument("--module", help="module with the role's `run`")
    parser.add_argument("--slot", type=int, default=0)
    parser.add_argument("--settings", help="path of the settings frame")
    parser.add_argument("--node", type=int, help="descriptor of the node's state page")
    parser.add_argument("--parent", type=int, help="descriptor of the channel to the supervisor")
    parser.add_argument("--socket", action="append", default=[], metavar="NAME=FD")
    parser.add_argument("--journal", action="store_true", help="stderr is systemd's journal")
    return parser


def run_role(arguments: argparse.Namespace) -> int:
    parent = ParentChannel(socket.socket(fileno=arguments.parent))
    parent.watch()
    _leave_signals_to(parent)
    frame = Path(arguments.settings)
    settings = config.decode(frame.read_bytes())
    telemetry.speak_as(arguments.role, arguments.slot, settings.log_format, journal=arguments.journal)
    context = RoleContext(
        role=arguments.role,
        slot=arguments.slot,
        settings=settings,
        state_folder=frame.parent,
        sockets=_sockets(arguments.socket),
        parent=parent,
        node=NodeState(arguments.node),
    )
    os.nice(NICENESS.get(arguments.role, 0))
    importlib.import_module(arguments.module).run(context)
    return DONE


def _leave_signals_to(parent: ParentChannel) -> None:
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: parent.say("restart"))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR2))


def _sockets(named: list[str]) -> dict[str, socket.socket]:
    sockets = {}
    for pair in named:
        name, _, fd = pair.rpartition("=")
        sockets[name] = socket.socket(fileno=int(fd))
    return sockets


# === the role `load` ===


def load(file: Path) -> int:
    """Validate ``file`` and publish its settings as a frame. Stdout gets the frame's path, or what is wrong."""
    from gateway import config_load

    try:
        path = write_frame(config_load.load(file))
    except ConfigError as error:
        sys.stdout.write(f"{error}\n")
        return CONFIGURATION
    sys.stdout.write(f"{path}\n")
    return DONE


def write_frame(settings: config.Settings) -> Path:
    """The frame's name is the hash of its content; it appears whole or not at all."""
    frame = config.encode(settings)
    name = b32encode(blake2b(frame, digest_size=15).digest()).decode().lower()
    folder = Path(settings.state_folder).absolute()
    path = folder / f"settings-{name}.frame"
    fresh = folder / f".{path.name}.{os.getpid()}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(frame)
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(path)
    except OSError as error:
        raise ConfigError(f"state folder `{folder}` cannot be written: {error.strerror} (`state.folder`)") from error
    return path


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
