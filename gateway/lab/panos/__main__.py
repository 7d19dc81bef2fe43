"""`python -m gateway.lab.panos`: one firewall, a pair, or a Panorama with its firewall, on loopback until told to stop.

It ends at Ctrl-C, at SIGTERM, and with a parent that holds its standard input as a pipe.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import ssl
import stat
import sys
from collections.abc import Iterable
from contextlib import AsyncExitStack
from pathlib import Path

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from gateway.lab.child import LOOPBACK, READY, end_with_input
from gateway.lab.panos import furnishing
from gateway.lab.panos.admins import DEFAULT
from gateway.lab.panos.device import MODEL, VERSION, Device
from gateway.lab.panos.pairs import Pair
from gateway.lab.panos.serving import Front
from gateway.lab.panos.tags import CAPACITIES


def main() -> None:
    asked = _arguments()
    logging.getLogger("aiohttp.server").addFilter(_is_no_clients_fault)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        tls.load_cert_chain(asked.certs / "panos.pem", asked.certs / "panos.key")
    except OSError as error:
        advice = "make one: python certs/make.py --out DIR --leaf panos localhost 127.0.0.1"
        sys.exit(f"--certs {asked.certs}: {error.strerror or error}; {advice}.")
    devices = _devices(asked)
    _furnish(devices.values(), asked)
    try:
        asyncio.run(_serve(devices, tls, asked.address))
    except (OSError, OverflowError) as error:
        sys.exit(f"The emulator cannot listen: {error}. Choose another --port.")


def _is_no_clients_fault(record: logging.LogRecord) -> bool:
    """What is no HTTP was answered with 400; its text may hold a key."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


def _arguments() -> argparse.Namespace:
    users = ", ".join(f"{admin.name}/{admin.password}" for admin in DEFAULT)
    parser = argparse.ArgumentParser(prog="python -m gateway.lab.panos", description=f"Administrators: {users}.")
    parser.add_argument("--port", type=int, required=True, help="on --address, HTTPS")
    parser.add_argument("--peer-port", type=int, default=0, help="of a second firewall, which makes the two a pair")
    parser.add_argument("--panorama-port", type=int, default=0, help="of a Panorama that manages the firewall")
    parser.add_argument("--certs", type=Path, required=True, help="folder with panos.pem and panos.key")
    parser.add_argument("--vsys", type=int, default=1, choices=range(1, 11), metavar="N", help="how many (1)")
    parser.add_argument("--model", default=MODEL, choices=sorted(CAPACITIES), help=f"for its capacity ({MODEL})")
    parser.add_argument("--version", default=VERSION, help=f"of PAN-OS ({VERSION})")
    parser.add_argument("--address", default=LOOPBACK, type=_loopback, help=f"within 127.0.0.0/8 ({LOOPBACK})")
    holds = "a <config> that it has from the beginning, beside that of its box"
    parser.add_argument("--configuration", type=Path, action="append", default=[], metavar="FILE", help=holds)
    keys = "stagedoor=FILE: the administrator's API key is what the file holds"
    parser.add_argument("--key", type=_pair, action="append", default=[], metavar="ADMIN=FILE", help=keys)
    people = r"203.0.113.7=corp\jane: who sits at an address"
    parser.add_argument("--person", type=_pair, action="append", default=[], metavar="ADDRESS=USER", help=people)
    return parser.parse_args()


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def _loopback(text: str) -> str:
    if not text.startswith("127."):
        raise argparse.ArgumentTypeError(f"{text} is not within 127.0.0.0/8")
    return text


def _furnish(devices: Iterable[Device], asked: argparse.Namespace) -> None:
    """Firewalls get all of it, a Panorama the keys. Ends the process with what is wrong, and where."""
    said = ""
    try:
        for device in devices:
            for admin, file in asked.key:
                said = f"--key {admin}={file}"
                furnishing.add_key(device, admin, Path(file))
            for file in () if device.panorama else asked.configuration:
                said = f"--configuration {file}"
                furnishing.add_configuration(device, file)
            for address, user in () if device.panorama else asked.person:
                said = f"--person {address}={user}"
                furnishing.add_person(device, address, user)
    except OSError as error:
        sys.exit(f"{said}: {error.strerror or error}.")
    except ValueError as error:
        sys.exit(f"{said}: {error}.")


def _devices(asked: argparse.Namespace) -> dict[int, Device]:
    vsys = [f"vsys{number}" for number in range(1, asked.vsys + 1)]
    pair = Pair() if asked.peer_port else None
    found: dict[int, Device] = {}
    for port, letter, number in ((asked.port, "a", 1), (asked.peer_port, "b", 2)):
        if port:
            found[port] = Device(
                f"firewall-{letter}.lab.test",
                serial=f"00705100000000{number}",
                vsys=vsys,
                model=asked.model,
                version=asked.version,
                pair=pair,
            )
    if asked.panorama_port:
        panorama = Device("panorama.lab.test", serial="000702000000001", panorama=True, version=asked.version)
        panorama.managed = {device.serial: device for device in found.values()}
        found[asked.panorama_port] = panorama
    return found


async def _serve(devices: dict[int, Device], tls: ssl.SSLContext, address: str) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    if stat.S_ISFIFO(os.fstat(sys.stdin.fileno()).st_mode):
        await end_with_input(ended)
    async with AsyncExitStack() as stack:
        for port, device in devices.items():
            runner = web.AppRunner(Front(device).app(), access_log=None, shutdown_timeout=0.5)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, address, port, ssl_context=tls).start()
            sys.stdout.write(f"{device.hostname} ({device.serial}) at https://{address}:{port}\n")
        sys.stdout.write(f"{READY}\n")
        sys.stdout.flush()
        await ended.wait()


if __name__ == "__main__":
    main()
