"""aiohttp's server and client on uvloop: what a capable team writes in Python in an afternoon."""

from __future__ import annotations

import importlib.util
from importlib.metadata import version

from bench.credentials import public_pem
from bench.ground import AIOHTTP, AUDIENCE, GATEWAY_CORE, ISSUER, PYTHON, UPSTREAM, WORK, Missing
from bench.peers import Gateway, started
from bench.processes import Tree

FOLDER = WORK / "aiohttp"


def start(token: str) -> Gateway:
    for module in ("aiohttp", "uvloop", "jwt"):
        if not importlib.util.find_spec(module):
            raise Missing(f"the module `{module}` is not installed")
    log = FOLDER / "access.log"
    log.unlink(missing_ok=True)
    command = [
        PYTHON, "-m", "bench.peers.aiohttp_proxy", str(AIOHTTP), f"http://127.0.0.1:{UPSTREAM}",
        str(public_pem()), ISSUER, AUDIENCE, str(log),
    ]  # fmt: skip
    tree = started(Tree("aiohttp", command, GATEWAY_CORE, FOLDER), AIOHTTP, token)
    return Gateway("aiohttp", version("aiohttp"), tree, {"": AIOHTTP})
