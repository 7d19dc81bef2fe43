"""Stagedoor itself, started as people start it: `stagedoor serve` on a configuration and a catalog folder.

One worker; supervisor, control and engine share the gateway core and their CPU counts. The catalog goes through
the product's own reading, compiling and publishing, and no round begins before the engine has come to rest.
"""

from __future__ import annotations

import shutil

from bench import catalog
from bench.credentials import certificates
from bench.ground import AUDIENCE, DOMAIN, DOOR, DOOR_ADMIN, DOOR_TLS, GATEWAY_CORE, ISSUER, PYTHON, WORK
from bench.peers import PROBE, Gateway, told_version
from bench.processes import Tree
from bench.wire import answers, fetch

FOLDER = WORK / "stagedoor"
COMMAND = [PYTHON, "-m", "gateway.cli"]

CONFIGURATION = """\
workers: 1
listeners:
  - {name: plain, address: "127.0.0.1:@PLAIN@", trusted_peers: [127.0.0.0/8]}
  - name: tls
    address: "127.0.0.1:@TLS@"
    trusted_peers: [127.0.0.0/8]
    tls: {certificate: @CERTIFICATE@, key: @KEY@}
admin: {address: "127.0.0.1:@ADMIN@"}
central_host: door.@DOMAIN@
issuers:
  - name: bench
    preset: generic
    issuer: @ISSUER@
    audiences: [@AUDIENCE@]
    algorithms: [RS256]
    match: {sub: metadata.name}
catalog: {files: [@CATALOG@]}
environments:
  prod: {hosts: [".@DOMAIN@"], upstreams: [127.0.0.0/8]}
access_policy: @POLICY@
audit: {sync: second}
state: {folder: @STATE@}
"""


def configure() -> None:
    _, certificate, key = certificates()
    text = CONFIGURATION
    for mark, value in {
        "PLAIN": DOOR, "TLS": DOOR_TLS, "ADMIN": DOOR_ADMIN, "CERTIFICATE": certificate, "KEY": key, "DOMAIN": DOMAIN,
        "ISSUER": ISSUER, "AUDIENCE": AUDIENCE, "CATALOG": catalog.FOLDER, "POLICY": WORK / "access.yaml",
        "STATE": FOLDER / "state",
    }.items():  # fmt: skip
        text = text.replace(f"@{mark}@", str(value))
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "stagedoor.yaml").write_text(text)


def start(token: str, keep_state: bool = False) -> Gateway:
    if not keep_state:
        shutil.rmtree(FOLDER / "state", ignore_errors=True)
    shutil.rmtree(FOLDER / "state" / "audit", ignore_errors=True)
    configure()
    tree = Tree("stagedoor", [*COMMAND, "serve", "--config", str(FOLDER / "stagedoor.yaml")], GATEWAY_CORE, FOLDER)
    try:
        tree.wait_until(lambda: answers(DOOR, PROBE, token), 300.0)
        tree.wait_idle()
    except BaseException:
        tree.stop()
        raise
    told = told_version([*COMMAND, "version"]).removeprefix("stagedoor ")
    return Gateway("stagedoor", told, tree, {"": DOOR, "tls": DOOR_TLS}, "gateway.app door")


def metrics() -> dict[str, float]:
    """Every sample of the admin listener's exposition, keyed by name and labels as written there."""
    status, body = fetch(DOOR_ADMIN, "/metrics")
    samples: dict[str, float] = {}
    for line in body.decode().splitlines() if status == 200 else ():
        name, _, value = line.rpartition(" ")
        if name and not line.startswith("#"):
            samples[name] = float(value)
    return samples
