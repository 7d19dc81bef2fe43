"""Whether a load balancer's monitors can ask this node how it is, and hear that it is well.

A running node is asked as a BIG-IP asks: a line of HTTP/1.0 without Host, an empty line more behind it, TLS without
looking at the certificate. A monitor sends no PROXY header, and shows no certificate unless somebody gave it one; a
listener that wants either is asked at another port.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from gateway.config import Listener, Settings
from gateway.doctor.lines import Line, fail, ok, warn
from gateway.node.asking import supervisor_of

MONITOR: Final = "monitor"
ASKED: Final = b"GET /.stagedoor/bigip/health HTTP/1.0\r\n\r\n\r\n\r\n"
ANSWER_BYTES: Final = 4096
WAIT_S: Final = 3.0
FIX: Final = "add a listener with `health_only: true`, and have monitors ask its port"
_STATE: Final = re.compile(rb"stagedoor-state: ([a-z]+)")


def concerns(settings: Settings) -> bool:
    """Whether any load balancer is expected to ask."""
    return bool(settings.devices.bigip) or any(each.bigip or each.health_only for each in settings.listeners)


def monitors(settings: Settings) -> Sequence[Line]:
    runs = supervisor_of(Path(settings.state_folder)) is not None
    asked = [each for each in settings.listeners if each.bigip or each.health_only]
    return [*(_listener_line(each, settings, runs=runs) for each in asked), *_device_lines(settings)]


def _listener_line(listener: Listener, settings: Settings, *, runs: bool) -> Line:
    name = f"listener {listener.name}"
    if wants := _wanted_of_clients(listener):
        others = [each.name for each in settings.listeners if each.health_only]
        if others:
            return ok(MONITOR, name, f"it wants {wants}: monitors ask `{others[0]}`")
        return warn(MONITOR, name, f"it wants {wants}, which monitors do not bring", FIX)
    if not runs:
        return ok(MONITOR, name, "the node does not run: nobody asked")
    try:
        answer = _ask(listener)
    except OSError as error:
        found = f"{listener.address} does not answer: {error.strerror or error}"
        return fail(MONITOR, name, found, "look at what lies between, and at `stagedoor status`")
    said = _STATE.search(answer)
    if said is None:
        return fail(MONITOR, name, f"{listener.address} answers something else", "look who listens there: `ports`")
    found = f"{listener.address} says `{said[0].decode()}`"
    if said[1] == b"up":
        return ok(MONITOR, name, found)
    return warn(MONITOR, name, f"{found}: nothing new is sent here", "see `stagedoor status`")


def _wanted_of_clients(listener: Listener) -> str:
    """What a client of a listener has to bring that a monitor does not; "" = nothing."""
    if listener.proxy_protocol:
        return "a PROXY header"
    return "a client's certificate" if listener.tls is not None and listener.tls.client_ca else ""


def _ask(listener: Listener) -> bytes:
    host, _, port = listener.address.rpartition(":")
    address = ip_address(host.strip("[]"))
    if address.is_unspecified:
        host = "127.0.0.1" if address.version == 4 else "::1"
    answer = b""
    with _connected(listener, host.strip("[]"), int(port)) as sock:
        sock.sendall(ASKED)
        while len(answer) < ANSWER_BYTES and (piece := sock.recv(ANSWER_BYTES)):
            answer += piece
    return answer


def _connected(listener: Listener, host: str, port: int) -> socket.socket:
    sock = socket.create_connection((host, port), WAIT_S)
    if listener.tls is None:
        return sock
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # what it shows is the business of check `tls`
    context.verify_mode = ssl.CERT_NONE
    try:
        return context.wrap_socket(sock)
    except OSError:
        sock.close()
        raise


def _device_lines(settings: Settings) -> Iterator[Line]:
    """Ports that the generated monitors ask, on this node."""
    ports = {int(each.address.rpartition(":")[2]): each for each in settings.listeners}
    for device in settings.devices.bigip:
        name = f"BIG-IP {device.name}"
        if not device.health_port:
            continue
        listener = ports.get(device.health_port)
        if listener is None:
            found = f"its monitors ask port {device.health_port}, where no listener is"
            yield warn(MONITOR, name, found, "correct `health_port`, or add a listener with `health_only: true` there")
        elif wants := _wanted_of_clients(listener):
            yield warn(MONITOR, name, f"its monitors ask `{listener.name}`, which wants {wants}", FIX)
        else:
            yield ok(MONITOR, name, f"its monitors ask `{listener.name}`")
