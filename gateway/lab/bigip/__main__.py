"""`python -m gateway.lab.bigip`: one device, or a pair, on loopback ports until it is told to stop.

With `--state` the saved configuration outlives the process, as it does a reboot; what was never saved does not.
It ends at Ctrl-C, at SIGTERM, and with a parent that holds its standard input as a pipe.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import ssl
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

from aiohttp import web

from gateway.lab.bigip.availability import DeviceGroup
from gateway.lab.bigip.data_plane import passing_traffic
from gateway.lab.bigip.prober import Prober
from gateway.lab.bigip.schema import Schema
from gateway.lab.bigip.serving import Device
from gateway.lab.bigip.tree import Held
from gateway.lab.bigip.unit import USERS, Unit
from gateway.lab.child import LOOPBACK


def main() -> None:
    asked = _arguments()
    try:
        with _reading(
            "--certs", asked.certs, "make one: python certs/make.py --out DIR --leaf bigip localhost 127.0.0.1"
        ):
            tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            tls.load_cert_chain(asked.certs / "bigip.pem", asked.certs / "bigip.key")
        with _reading("--schema", asked.schema, "it is the file as3-schema.json of an AS3 release"):
            schema = Schema(asked.schema) if asked.schema else None
        with _reading("--state", asked.state, "remove it to begin anew"):
            units = _units([asked.port, *([asked.peer_port] if asked.peer_port else [])], asked.state, schema)
        asyncio.run(_serve(units, tls, dict(asked.traffic)))
    except (OSError, OverflowError) as error:
        sys.exit(f"The emulator cannot listen: {error}. Choose another --port.")


@contextmanager
def _reading(option: str, path: Path | None, advice: str) -> Iterator[None]:
    """Ends the process with what is wrong with a file, and what to do."""
    try:
        yield
    except OSError as error:
        sys.exit(f"{option} {path}: {error.strerror or error}; {advice}.")
    except (AttributeError, KeyError, TypeError, ValueError):
        sys.exit(f"{option} {path}: is not what it should be; {advice}.")


def _arguments() -> argparse.Namespace:
    users = ", ".join(f"{name}/{password}" for name, password in USERS.items())
    parser = argparse.ArgumentParser(prog="python -m gateway.lab.bigip", description=f"Users: {users}.")
    parser.add_argument("--port", type=int, required=True, help="on 127.0.0.1, HTTPS")
    parser.add_argument("--peer-port", type=int, default=0, help="of a second unit, which makes the two a device group")
    parser.add_argument("--certs", type=Path, required=True, help="folder with bigip.pem and bigip.key")
    parser.add_argument("--state", type=Path, help="file that keeps the saved configuration")
    parser.add_argument("--schema", type=Path, help="AS3's JSON schema; without it declarations are hardly checked")
    passing = "/tenant/app/vs=8443: pass requests on for this virtual server, and probe members"
    parser.add_argument("--traffic", type=_traffic, action="append", default=[], metavar="VIRTUAL=PORT", help=passing)
    return parser.parse_args()


def _traffic(text: str) -> tuple[str, int]:
    path, _, port = text.rpartition("=")
    if not path.startswith("/") or not port.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not like /stagedoor_prod/Shared/vs=8443")
    return path, int(port)


def _units(ports: list[int], state: Path | None, schema: Schema | None) -> dict[int, Unit]:
    group = DeviceGroup()
    units: dict[int, Unit] = {}
    for port, letter in zip(ports, "ab", strict=False):
        unit = units[port] = Unit(f"bigip-{letter}.lab.test", group=group, schema=schema)
        if state is not None:
            _remember(unit, state.with_name(f"{state.stem}-{letter}{state.suffix}") if len(ports) > 1 else state)
    return units


def _remember(unit: Unit, path: Path) -> None:
    if path.exists():
        held: Held = json.loads(path.read_bytes())
        unit.load(held)

    def write(held: Held) -> None:
        new = path.with_name(f".{path.name}.new")
        new.write_text(json.dumps(held))
        os.replace(new, path)

    unit.on_saved = write


async def _serve(units: dict[int, Unit], tls: ssl.SSLContext, traffic: dict[str, int]) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    if stat.S_ISFIFO(os.fstat(sys.stdin.fileno()).st_mode):
        await loop.connect_read_pipe(lambda: _EndOfInput(ended), sys.stdin)
    async with AsyncExitStack() as stack:
        for port, unit in units.items():
            stack.push_async_callback(unit.records.close)
            runner = web.AppRunner(Device(unit).app(), access_log=None, shutdown_timeout=0.5)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, LOOPBACK, port, ssl_context=tls).start()
            sys.stdout.write(f"{unit.hostname} at https://{LOOPBACK}:{port}\n")
        if traffic:
            await _pass(stack, next(iter(units.values())), tls, traffic)
        sys.stdout.flush()
        await ended.wait()


async def _pass(stack: AsyncExitStack, unit: Unit, tls: ssl.SSLContext, traffic: dict[str, int]) -> None:
    """Traffic goes through the first unit, whichever is active."""
    prober = Prober(unit, time.monotonic)
    probing = asyncio.get_running_loop().create_task(prober.run())
    stack.callback(probing.cancel)
    for path, port in traffic.items():
        await stack.enter_async_context(passing_traffic(unit, path, port, tls, prober))
        sys.stdout.write(f"{path} at https://{LOOPBACK}:{port}\n")


class _EndOfInput(asyncio.Protocol):
    def __init__(self, ended: asyncio.Event) -> None:
        self._ended = ended

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended.set()


if __name__ == "__main__":
    main()
