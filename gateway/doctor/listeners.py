"""Listeners: can their addresses be had, or does this very node hold them; and will clients accept what they show?

Who holds an address is read from `/proc/net/tcp`: the inode of the listening socket, looked for among the descriptors
of the node's supervisor, whose pid is that of the lock on the state folder. An address is tried the way the node does.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from gateway.certificates import SOON_S, read_certificate, uncovered
from gateway.config import Listener, Settings
from gateway.doctor.lines import Line, fail, ok, warn
from gateway.node.asking import supervisor_of
from gateway.supervisor.sockets import AddressError, Wanted, open_sockets

TLS: Final = "tls"
PORTS: Final = "ports"
_LISTEN: Final = "0A"  # the state of a listening socket in /proc/net/tcp
_SYSTEMD: Final = 1  # holds the sockets that it passes


# === TLS ===


def certificates(settings: Settings) -> Sequence[Line]:
    now = time.time()
    return [_certificate_line(listener, settings.central_host, now) for listener in settings.listeners]


def _certificate_line(listener: Listener, central_host: str, now: float) -> Line:
    name = f"listener {listener.name}"
    if listener.tls is None:
        if ip_address(listener.address.rpartition(":")[0].strip("[]")).is_loopback:
            return ok(TLS, name, "plain HTTP, on loopback alone")
        if listener.health_only:
            return ok(TLS, name, "plain HTTP, for monitors alone")
        found = f"plain HTTP on {listener.address}: tokens cross the network readable"
        return warn(TLS, name, found, f"give listener `{listener.name}` a `tls` certificate and key")
    try:
        certificate = read_certificate(listener.tls.certificate)
    except (OSError, ValueError) as error:
        return fail(TLS, name, f"`{listener.tls.certificate}`: {error}", "put a certificate in PEM there")
    renew = f"renew `{certificate.file}`, then reload the node with SIGHUP"
    found = certificate.dates(now)
    if certificate.is_over(now):
        return fail(TLS, name, found, renew)
    if certificate.ends - now < SOON_S:
        return warn(TLS, name, found, renew)
    # Behind a BIG-IP, people see the BIG-IP's certificate.
    if central_host and not (listener.bigip or listener.health_only) and uncovered([central_host], [certificate]):
        found = f"the certificate does not name the central host `{central_host}`"
        return warn(TLS, name, found, f"get one that does, or serve `{central_host}` by another listener")
    return ok(TLS, name, found)


# === addresses ===


def addresses(settings: Settings) -> Sequence[Line]:
    wanted = [
        Wanted(listener.name, listener.address, f"listeners[{position}].address")
        for position, listener in enumerate(settings.listeners)
    ]
    wanted.append(Wanted("admin", settings.admin_address, "admin.address"))
    supervisor = supervisor_of(Path(settings.state_folder))
    return [_address_line(each, supervisor) for each in wanted]


def _address_line(want: Wanted, supervisor: int | None) -> Line:
    name = f"listener {want.name}"
    try:
        open_sockets([want], 0, {})
    except AddressError as error:
        return _taken(name, want, error, supervisor)
    if supervisor is not None:
        found = f"{want.address} is free, though the node runs (pid {supervisor})"
        return warn(PORTS, name, found, "restart the node: a changed address needs it")
    return ok(PORTS, name, f"{want.address} is free")


def _taken(name: str, want: Wanted, error: AddressError, supervisor: int | None) -> Line:
    why, _, fix = str(error).partition(": ")
    match getattr(error.__cause__, "errno", None):
        case errno.EADDRINUSE:
            inodes = set(_listening_inodes(int(want.address.rpartition(":")[2])))
            if supervisor is not None and _holds(supervisor, inodes):
                return ok(PORTS, name, f"{want.address} is held by this node (pid {supervisor})")
            if _holds(_SYSTEMD, inodes):
                return ok(PORTS, name, f"{want.address} is held by systemd, to be passed")
            if supervisor is not None and not os.access(f"/proc/{supervisor}/fd", os.R_OK):
                found = f"{want.address} is in use; whether by this node (pid {supervisor}) only its user can see"
                return warn(PORTS, name, found, "ask again as the node's user or as root")
            return fail(PORTS, name, why, fix)
        case errno.EACCES:  # the service may have what this user lacks
            return warn(PORTS, name, why, fix)
    return fail(PORTS, name, why, fix)


def _listening_inodes(port: int) -> Iterator[str]:
    """Of sockets that listen on a port, whatever their address: a wildcard holds them all."""
    for table in ("tcp", "tcp6"):
        try:
            lines = Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]


def _holds(pid: int, inodes: set[str]) -> bool:
    wanted = {f"socket:[{inode}]" for inode in inodes}
    try:
        return any(os.readlink(entry) in wanted for entry in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False
