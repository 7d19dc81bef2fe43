"""`python -m gateway.lab.bigip`: one device, or a pair, on loopback ports until it is told to stop.

With `--state` the saved configuration outlives the process, as it does a reboot; what was never saved does not.
It ends at Ctrl-C, at SIGTERM, and with a parent that holds its standard input as a pipe.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
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

from gateway.lab.bigip import furnishing
from gateway.lab.bigip.availability import DeviceGroup
from gateway.lab.bigip.listening import Address, Names, Traffic, at_address, by_name, of_path
from gateway.lab.bigip.prober import Prober, is_loopback
from gateway.lab.bigip.schema import Schema
from gateway.lab.bigip.serving import Device
from gateway.lab.bigip.tree import Held
from gateway.lab.bigip.unit import USERS, Unit
from gateway.lab.child import LOOPBACK, READY, end_with_input


def main() -> None:
    asked = _arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
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
            next(iter(units.values())).group.automatic = asked.automatic
        _furnish(units, asked)
        asyncio.run(_serve(units, tls, asked))
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
    parser.add_argument("--automatic", action="store_true", help="the two synchronise by themselves")
    parser.add_argument("--certs", type=Path, required=True, help="folder with bigip.pem and bigip.key")
    parser.add_argument("--state", type=Path, help="file that keeps the saved configuration")
    parser.add_argument("--schema", type=Path, help="AS3's JSON schema; without it declarations are hardly checked")
    passing = "/tenant/app/vs=8443: pass requests on for this virtual server, and probe members"
    parser.add_argument("--traffic", type=_traffic, action="append", default=[], metavar="VIRTUAL=PORT", help=passing)
    here = "127.0.0.10:8443: pass requests on for whatever virtual server has this destination"
    parser.add_argument("--address", type=_address, action="append", default=[], metavar="ADDRESS:PORT", help=here)
    named = "8443: take requests for names that lead to several of them; see --name"
    parser.add_argument("--names-at", type=int, default=0, metavar="PORT", help=named)
    leads = ".dev.localhost=127.0.0.11:8443: the DNS of --names-at; the longest ending counts, one without is the rest"
    parser.add_argument("--name", type=_lead, action="append", default=[], metavar="ENDING=ADDRESS:PORT", help=leads)
    shown = "apps=FILE.pem,FILE.key: it has /Common/apps.crt, .key, and the client SSL profile /Common/apps"
    parser.add_argument("--certificate", type=_certificate, action="append", default=[], metavar="NAME=…", help=shown)
    trusted = "doors=FILE.pem: it has /Common/doors.crt"
    parser.add_argument("--authority", type=_authority, action="append", default=[], metavar="NAME=FILE", help=trusted)
    return parser.parse_args()


def _traffic(text: str) -> tuple[str, int]:
    path, _, port = text.rpartition("=")
    if not path.startswith("/") or not port.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not like /stagedoor_prod/Shared/vs=8443")
    return path, int(port)


def _address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    if not is_loopback(host) or not port.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not like 127.0.0.10:8443: a loopback address and a port")
    return host, int(port)


def _lead(text: str) -> tuple[str, Address]:
    ending, equals, address = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not like .dev.localhost=127.0.0.11:8443")
    return ending.lower(), _address(address)


def _certificate(text: str) -> tuple[str, Path, Path]:
    name, _, files = text.partition("=")
    certificate, comma, key = files.partition(",")
    if not name or not comma:
        raise argparse.ArgumentTypeError(f"{text!r} is not like apps=FILE.pem,FILE.key")
    return name, Path(certificate), Path(key)


def _authority(text: str) -> tuple[str, Path]:
    name, equals, file = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not like doors=FILE.pem")
    return name, Path(file)


def _furnish(units: dict[int, Unit], asked: argparse.Namespace) -> None:
    for unit in units.values():
        for name, certificate, key in asked.certificate:
            with _reading("--certificate", certificate, "it takes a certificate and its key, both in PEM"):
                furnishing.add_certificate(unit, name, certificate, key)
        for name, file in asked.authority:
            with _reading("--authority", file, "it takes a certificate in PEM"):
                furnishing.add_authority(unit, name, file)


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


async def _serve(units: dict[int, Unit], tls: ssl.SSLContext, asked: argparse.Namespace) -> None:
    """Says on standard output where it listens, and at last that it is ready."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    if stat.S_ISFIFO(os.fstat(sys.stdin.fileno()).st_mode):
        await end_with_input(ended)
    async with AsyncExitStack() as stack:
        traffic = Traffic(next(iter(units.values())), None, tls)
        if asked.traffic or asked.address or asked.names_at:
            traffic = await _probed(stack, traffic.unit, tls)
        for port, unit in units.items():
            stack.push_async_callback(unit.records.close)
            runner = web.AppRunner(Device(unit, traffic.watched).app(), access_log=None, shutdown_timeout=0.5)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, LOOPBACK, port, ssl_context=tls).start()
            sys.stdout.write(f"{unit.hostname} at https://{LOOPBACK}:{port}\n")
        await _pass(stack, traffic, asked)
        sys.stdout.write(f"{READY}\n")
        sys.stdout.flush()
        await ended.wait()


async def _probed(stack: AsyncExitStack, unit: Unit, tls: ssl.SSLContext) -> Traffic:
    prober = Prober(unit, time.monotonic)
    probing = asyncio.get_running_loop().create_task(prober.run())
    stack.callback(probing.cancel)
    traffic = Traffic(unit, prober, tls)
    stack.callback(traffic.close)
    return traffic


async def _pass(stack: AsyncExitStack, traffic: Traffic, asked: argparse.Namespace) -> None:
    """Traffic goes through the active unit."""
    for path, port in asked.traffic:
        await stack.enter_async_context(of_path(traffic, path, (LOOPBACK, port)))
        sys.stdout.write(f"{path} at https://{LOOPBACK}:{port}\n")
    for address in asked.address:
        await stack.enter_async_context(at_address(traffic, address))
        sys.stdout.write(f"{address[0]}:{address[1]} is listened at\n")
    if asked.names_at:
        names = Names(dict(asked.name))
        await stack.enter_async_context(by_name(traffic, (LOOPBACK, asked.names_at), names))
        sys.stdout.write(f"names at https://{LOOPBACK}:{asked.names_at}\n")


if __name__ == "__main__":
    main()
