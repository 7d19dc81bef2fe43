"""A whole node with a central host, and a client that asks its API through a door, or straight at control's socket.

`ledger` belongs to olga's team and has a definition; `robot` is a program that uses it; root's team administers; jane
and joe (of the node's own catalog) own `echo` and nothing.
"""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

from gateway.control.web import SOCKET
from policy.builtin import API
from tests.support.door import until
from tests.support.tokens import RS256
from tests.support.whole_node import WholeNode, whole_node

HOST = "localhost"  # a name that resolves: the command line goes there
SECRET = "a-secret-of-forty-characters-or-so-0123456789"
CATALOG = """\
apiVersion: backstage.io/v1alpha1
kind: Group
metadata: {name: platform}
spec: {type: team, children: []}
---
apiVersion: backstage.io/v1alpha1
kind: Group
metadata: {name: books}
spec: {type: team, children: []}
---
apiVersion: backstage.io/v1alpha1
kind: User
metadata: {name: root}
spec: {memberOf: [platform]}
---
apiVersion: backstage.io/v1alpha1
kind: User
metadata: {name: olga}
spec: {memberOf: [books]}
---
apiVersion: backstage.io/v1alpha1
kind: API
metadata: {name: ledger-api}
spec:
  type: openapi
  lifecycle: production
  owner: books
  definition: |
    openapi: 3.0.3
    info: {title: Ledger, version: "1"}
    security: [{sso: [ledger:read]}]
    paths:
      /entries: {get: {responses: {"200": {description: ok}}}}
      /entries/{id}:
        get: {responses: {"200": {description: ok}}}
        delete: {responses: {"204": {description: gone}}}
    components:
      securitySchemes:
        sso: {type: oauth2, flows: {clientCredentials: {tokenUrl: "https://idp.test/t", scopes: {"ledger:read": r}}}}
---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: ledger
  annotations:
    stagedoor.dev/environments: prod
    stagedoor.dev/host: ledger.test
    stagedoor.dev/upstream: http://127.0.0.1:9
    stagedoor.dev/access: consumers
    stagedoor.dev/allow-consumers: robot
spec: {type: service, lifecycle: production, owner: books, providesApis: [ledger-api]}
---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: robot
  annotations: {stagedoor.dev/client-id: robot-id}
spec: {type: service, lifecycle: production, owner: books, consumesApis: [ledger-api]}
---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: pipeline
  annotations: {stagedoor.dev/client-id: pipeline-id}
spec: {type: service, lifecycle: production, owner: platform}
"""
ACCESS = """\
version: 1
environments:
  prod: {owners: [all], consumers: [declared], everyone: [all]}
rules:
  - deny: group:default/books
    to: {service: echo}
    in: [prod]
    because: Books keeps away from echo.
"""


class Reply(NamedTuple):
    status: int
    headers: Mapping[str, str]  # names in lower case
    text: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class CentralNode:
    """Started by :func:`central_node`."""

    def __init__(self, node: WholeNode) -> None:
        self.node = node

    def token(self, sub: str, **claims: Any) -> str:
        """A token for the API; of a program where ``sub`` is a client id."""
        now = int(time.time())
        said: dict[str, Any] = {
            "iss": self.node.issuer, "sub": sub, "aud": ["stagedoor"], "exp": now + 600, "iat": now - 5,
            "scope": "openid",
        }  # fmt: skip
        if sub.endswith("-id"):
            said |= {"client_id": sub, "gty": "client-credentials"}
        return RS256.token(**{**said, **claims}).decode()

    def ask(
        self,
        operation: str,
        asker: str | None,
        parameters: Mapping[str, Any] | None = None,
        *,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        token: str = "",
    ) -> Reply:
        """Through the door. ``asker`` None: nobody."""
        sent = {"Host": HOST, **(headers or {})}
        if asker is not None or token:
            sent["Authorization"] = f"Bearer {token or self.token(str(asker))}"
        connection = http.client.HTTPConnection("127.0.0.1", self.node.port, timeout=10)
        return _said(connection, method, target_of(operation, parameters), body, sent)

    def ask_straight(self, operation: str, parameters: Mapping[str, Any], headers: Mapping[str, str]) -> Reply:
        """At control's own socket, as a process of the node's user could."""
        connection = http.client.HTTPConnection("localhost", timeout=10)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(self.node.folder / "state" / SOCKET))
        return _said(connection, "GET", target_of(operation, parameters), None, {"Host": HOST, **headers})

    def records(self) -> list[dict[str, Any]]:
        folder = self.node.folder / "state" / "audit"
        lines = [line for path in sorted(folder.rglob("*.jsonl")) for line in path.read_bytes().splitlines()]
        read = [json.loads(line) for line in lines if line.endswith(b"}")]
        return [each for each in read if each.get("host") == HOST]


def target_of(operation: str, parameters: Mapping[str, Any] | None) -> str:
    query = urlencode(parameters or {}, doseq=True)
    return f"{API}/{operation}" + (f"?{query}" if query else "")


def _said(
    connection: http.client.HTTPConnection, method: str, target: str, body: bytes | None, headers: Mapping[str, str]
) -> Reply:
    try:
        connection.request(method, target, body, dict(headers))
        answer = connection.getresponse()
        return Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def _configured(settings: str) -> str:
    programs = "workload_when: {gty: client-credentials}"
    settings = settings.replace("audiences: [api]", f"audiences: [api, stagedoor], {programs}")
    catalog = "catalog: {files: [catalog, more], sync_secret_file: sync.secret}"
    settings = settings.replace("catalog: {files: [catalog]}", catalog)
    return settings + f"central_host: {HOST}\nadministrators: [group:default/platform, pipeline-id]\n"


def said_on(connection: http.client.HTTPConnection, method: str, target: str, headers: Mapping[str, str]) -> Reply:
    """One request without a body on a connection of one's own, which ends after it."""
    return _said(connection, method, target, None, headers)


@contextmanager
def central_node(folder: Path, *, workers: int = 1, configure: Callable[[str], str] = str) -> Iterator[CentralNode]:
    """``configure``: what a test makes of the settings."""
    (folder / "more").mkdir()
    (folder / "more" / "all.yaml").write_text(CATALOG)
    secret = folder / "sync.secret"
    secret.touch(0o600)
    secret.write_text(SECRET + "\n")
    with whole_node(folder, workers=workers, configure=lambda said: configure(_configured(said))) as node:
        (folder / "access.yaml").write_text(ACCESS)
        central = CentralNode(node)
        asked = {"method": "GET", "url": "https://echo.test/"}
        until(lambda: central.ask("explain", "olga", asked).status == 200, 20)
        until(lambda: central.ask("explain", "olga", asked).json["reason"] == "denied", 20)
        yield central
