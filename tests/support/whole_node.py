"""A whole node as an operator starts it: `stagedoor serve`, real roles, a catalog in files, an issuer, an upstream."""

from __future__ import annotations

import http.server
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.door import LoopThread, until
from tests.support.ports import free_port
from tests.support.tokens import RS256, Signer
from tests.support.upstream import Upstream

CONFIG = """\
workers: {workers}
listeners: [{{name: main, address: "127.0.0.1:{port}", trusted_peers: {trusted}}}]
admin: {{address: "127.0.0.1:{admin}"}}
issuers:
  - {{name: idp, issuer: "http://127.0.0.1:{issuer}", audiences: [api], match: {{sub: metadata.name}}}}
environments: {{prod: {{hosts: [.test], upstreams: [127.0.0.0/8]}}}}
catalog: {{files: [catalog]}}
access_policy: access.yaml
state: {{folder: state}}
timeouts: {{drain: {{announce: 0s, finish: 10s}}}}
log: {{format: json}}
"""
ACCESS = "version: 1\nenvironments:\n  prod: {owners: [all], everyone: [all]}\n"
CATALOG = """\
apiVersion: backstage.io/v1alpha1
kind: User
metadata: {{name: jane}}
spec: {{memberOf: [team]}}
---
apiVersion: backstage.io/v1alpha1
kind: User
metadata: {{name: joe}}
spec: {{memberOf: []}}
---
apiVersion: backstage.io/v1alpha1
kind: Group
metadata: {{name: team}}
spec: {{type: team, children: []}}
---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: echo
  annotations:
    stagedoor.dev/environments: prod
    stagedoor.dev/host: echo.test
    stagedoor.dev/upstream: {upstream}
    stagedoor.dev/access: {access}
spec: {{type: website, lifecycle: production, owner: team}}
"""


class WholeNode:
    """Started by :func:`whole_node`; `log` holds the supervisor's and the roles' lines."""

    def __init__(
        self, folder: Path, upstream: Upstream, workers: int, service: str, trusted: str,
        configure: Callable[[str], str] = str,
    ) -> None:  # fmt: skip
        self.folder = folder
        self.workers = workers
        self.upstream = upstream
        self.service = service or upstream.url
        self.signers: tuple[Signer, ...] = (RS256,)
        self.issuer_up = True
        self.words: dict[str, dict[str, Any]] = {}  # what the issuer says about opaque tokens
        self.asked: list[tuple[str, str]] = []  # credentials and form of each question about one
        self.port, self.admin, issuer_port = free_port(), free_port(), free_port()
        self.issuer = f"http://127.0.0.1:{issuer_port}"
        self._issuer = _Issuer(self, issuer_port)
        (folder / "catalog").mkdir()
        self.publish()
        (folder / "access.yaml").write_text(ACCESS)
        settings = CONFIG.format(workers=workers, port=self.port, trusted=trusted, admin=self.admin, issuer=issuer_port)
        (folder / "stagedoor.yaml").write_text(configure(settings))
        self._log = (folder / "log").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "gateway.cli", "serve", "--config", str(folder / "stagedoor.yaml")],
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, start_new_session=True,
        )  # fmt: skip

    def publish(self, access: str = "everyone") -> None:
        """Save the catalog, as an editor does: a new file takes the old one's place."""
        draft = self.folder / "draft"
        draft.write_text(CATALOG.format(upstream=self.service, access=access))
        draft.rename(self.folder / "catalog" / "all.yaml")

    def token(self, sub: str = "jane", signer: Signer = RS256) -> bytes:
        now = int(time.time())
        return signer.token(iss=self.issuer, sub=sub, exp=now + 600, iat=now - 5, scope="openid")

    def request(self, sub: str | None = "jane", target: str = "/", signer: Signer = RS256, lines: bytes = b"") -> bytes:
        identity = b"Authorization: Bearer " + self.token(sub, signer) + b"\r\n" if sub else b""
        return f"GET {target} HTTP/1.1\r\nHost: echo.test\r\n".encode() + identity + lines + b"\r\n"

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = (self.folder / "log").read_text().splitlines()
        found = [json.loads(line) for line in lines if line.startswith("{")]
        return [event for event in found if event["event"] == name]

    def children(self, role: str) -> dict[int, int]:
        """Slot to pid of the newest child of a role."""
        started = [event for event in self.events("child_started") if event["child"] == role]
        return {event["child_slot"]: event["child_pid"] for event in started}

    def ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def settled(self) -> bool:
        """Every worker serves what control told it last, and each issuer was asked: nobody has to wait for anything."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/readyz?verbose", timeout=2) as answer:
                told = answer.read().decode()
        except OSError:
            return False
        unasked = re.search(r"(?m)^\[note\] (overlay|issuer .*: 0 keys$)", told)
        return f"doors: {self.workers} of {self.workers} connected" in told and not unasked

    def metrics(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/metrics", timeout=5) as answer:
            return str(answer.read().decode())

    def close(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(40)
        finally:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait(5)
            self._issuer.close()
            self._log.close()


class _Issuer:
    """Discovery, keys, and what tokens are worth. It answers 503 while the node's `issuer_up` is False."""

    def __init__(self, node: WholeNode, port: int) -> None:
        class Answerer(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                documents: dict[str, Any] = {
                    "/.well-known/openid-configuration": {
                        "issuer": node.issuer,
                        "jwks_uri": node.issuer + "/jwks",
                        "introspection_endpoint": node.issuer + "/introspect",
                    },
                    "/jwks": {"keys": [signer.jwk for signer in node.signers]},
                }
                self.answer(documents.get(self.path))

            def do_POST(self) -> None:
                form = self.rfile.read(int(self.headers["Content-Length"])).decode()
                node.asked.append((self.headers["Authorization"], form))
                token = urllib.parse.parse_qs(form)["token"][0]
                self.answer(node.words.get(token, {"active": False}))

            def answer(self, document: object) -> None:
                body = json.dumps(document).encode()
                self.send_response(200 if node.issuer_up else 503)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: object) -> None:
                """Say nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Answerer)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


@contextmanager
def whole_node(
    folder: Path, *, workers: int = 2, service: str = "", trusted: str = "[]", configure: Callable[[str], str] = str
) -> Iterator[WholeNode]:
    """``service``: the URL of another upstream than the scripted one; ``trusted``: networks of `trusted_peers`;
    ``configure``: what else the configuration says."""
    thread = LoopThread("upstream")
    upstream = Upstream(thread).start()
    node = WholeNode(folder, upstream, workers, service, trusted, configure)
    try:
        until(node.settled, 60)
        yield node
    finally:
        node.close()
        upstream.stop()
        thread.close()
