"""Two whole nodes on one PostgreSQL behind one address, as a load balancer shows them, and the people who use them.

Browsers know the address of the first node alone; a test says for each step which node the balancer chose. The second
node reaches the database over a cable that a test may pull.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import socket
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.door import until
from tests.support.postgres import Postgres
from tests.support.signing_in import SigningIn, signing_in
from tests.support.surfing import Page, Surfer
from tests.support.switching import SWITCHING, UPGRADE, Side
from tests.support.tokens import RS256
from tests.support.upstream import OK, Seen
from tests.support.whole_node import WholeNode, whole_node

REFRESH_S = 3
REACHED_S = 20.0
# Where nobody answers: who leads is known by who tries.
DEVICE = """\
devices:
  bigip:
    - name: lb
      units: [https://127.0.0.1:9]
      username: stagedoor
      password_file: {password}
      members: ["192.0.2.21:8443"]
      environments:
        prod: {{virtual_address: 203.0.113.10, client_tls: /Common/c, trust_ca: /Common/ca.crt, server_name: d.test}}
"""
ENDED_S = 120.0  # a test says how soon a tunnel has to end; this is when its wait does


class Cable:
    """A port of loopback that leads to another one, until it is pulled. Nobody else gets it meanwhile."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._held: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._kept = socket.socket()  # its address, also while nobody listens there
        self._kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._kept.bind(("127.0.0.1", 0))
        self.port: int = self._kept.getsockname()[1]
        self._pulled = True
        self.plug()

    def plug(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", self.port), backlog=64)
        self._taking = threading.Thread(target=self._take, args=(self._listening,), daemon=True)
        self._taking.start()
        self._pulled = False

    def pull(self) -> None:
        """Every connection is reset, and none is taken."""
        if self._pulled:
            return
        self._pulled = True
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)  # wakes who accepts
        self._taking.join(2 * REACHED_S)
        assert not self._taking.is_alive()
        self._listening.close()
        with self._lock:
            held, self._held = self._held, set()
        for each in held:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.pull()
        self._kept.close()

    def _take(self, listening: socket.socket) -> None:
        while True:
            try:
                near, _ = listening.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._to), REACHED_S)
            except OSError:
                near.close()  # who came may come again
                continue
            far.settimeout(None)
            with self._lock:
                self._held |= {near, far}
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(source, target), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(65536):
                target.sendall(piece)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)
        with self._lock:
            self._held.discard(source)
        source.close()  # each is the source of one


class TwoNodes:
    def __init__(self, place: SigningIn, second: WholeNode, cable: Cable) -> None:
        self.place = place
        self.nodes = (place.node, second)
        self.cable = cable
        for node in self.nodes:
            node.upstream.answer = _answer

    def lead(self, surfer: Surfer, node: int) -> Surfer:
        """The balancer sends this browser to that node (0, 1) from now on."""
        surfer.places = dict.fromkeys(surfer.places, self.nodes[node].port)
        return surfer

    def get(self, surfer: Surfer, node: int, url: str = "") -> Page:
        return self.lead(surfer, node).get(url or f"{self.place.app}/")

    def status(self, surfer: Surfer, node: int) -> int:
        return self.get(surfer, node).status

    def signed_in(self, who: str = "jane", node: int = 0) -> Surfer:
        surfer = self.lead(self.place.browser(), node)
        page = self.place.sign_in(surfer, who)
        assert page.status == 200, page.text
        return surfer

    def api(self, who: str, method: str, path: str, node: int = 0) -> Any:
        """What the API answers a program of theirs."""
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": self.nodes[0].issuer,
            "sub": who,
            "aud": "stagedoor",
            "exp": now + 600,
            "iat": now,
        }
        said = {"Authorization": f"Bearer {RS256.token(**claims).decode()}", "Accept": "application/json"}
        page = self.lead(self.place.browser(), node).ask(method, f"{self.place.central}/.stagedoor/api/v1{path}", said)
        assert page.status == 200, page.text
        return page.json()

    def sid_of(self, surfer: Surfer, who: str, node: int) -> str:
        """Of the one session they have, once a door has said whose it is."""
        found: list[str] = []

        def is_known() -> bool:
            assert self.status(surfer, node) == 200
            listed = self.api("jane", "GET", f"/sessions?user=user:default/{who}", node)
            found[:] = [each["sid"] for each in listed["sessions"]]
            return bool(found)

        until(is_known, 60)
        (sid,) = found
        return sid

    def websocket(self, surfer: Surfer, node: int) -> Side:
        """An open one of this browser's, through that node."""
        authority = self.place.app.removeprefix("https://")
        plain = socket.create_connection(("127.0.0.1", self.nodes[node].port), 20)
        side = Side(self.place.trust.wrap_socket(plain, server_hostname="echo.test"))
        cookies = "; ".join(f"{name}={value}" for name, value in surfer.cookies("echo.test").items())
        head = f"GET /live HTTP/1.1\r\nHost: {authority}\r\nOrigin: {self.place.app}\r\nCookie: {cookies}\r\n"
        side.send(head.encode() + UPGRADE + b"\r\n")
        assert side.read_head().startswith(b"HTTP/1.1 101 ")
        return side


def has_ended(side: Side) -> bool:
    """Wait for the end of a connection over TLS, however it comes."""
    side.sock.settimeout(ENDED_S)
    try:
        return side.sock.recv(1) == b""
    except (ConnectionResetError, ssl.SSLEOFError):
        return True


def _answer(seen: Seen) -> bytes:
    return SWITCHING if seen.header("upgrade") else OK


@contextmanager
def two_nodes(folder: Path, server: Postgres) -> Iterator[TwoNodes]:
    """jane administers. Sessions are confirmed every `REFRESH_S` seconds."""
    url = server.database()
    cable = Cable(server.port)
    keys = folder / "session.keys"
    keys.touch(0o600)
    keys.write_text(f"k1 {b64encode(secrets.token_bytes(32)).decode()}\n")
    password = folder / "device.password"
    password.touch(0o600)
    password.write_text("a-secret\n")

    def more(text: str) -> str:
        said = text.replace("state: {folder: state}", f'state: {{folder: state, database: "{url}"}}')
        said = re.sub(r"(name: idp, .*audiences: )\[api\]", r"\1[api, stagedoor]", said)
        return said + "administrators: [group:default/team]\n" + DEVICE.format(password=password)

    sessions = f"idle: 1h, refresh: {REFRESH_S}s, keys_file: {keys}"
    first = folder / "first"
    first.mkdir()
    with signing_in(first, sessions=sessions, more=more) as place:
        text = (first / "stagedoor.yaml").read_text()

        def configure(own: str) -> str:
            """What the first node has, but for what is this node's own."""
            said = text
            for find in (r"127\.0\.0\.1:[0-9]+(?=\", tls)", r"(?<=admin: {address: \")127\.0\.0\.1:[0-9]+"):
                port = re.search(find.replace(", tls", ", trusted"), own)
                assert port is not None
                said = re.sub(find, port[0], said)
            return said.replace("client.secret", str(first / "client.secret")).replace(
                f"127.0.0.1:{server.port}/", f"127.0.0.1:{cable.port}/"
            )

        second = folder / "second"
        second.mkdir()
        try:
            with whole_node(second, workers=1, configure=configure) as node:
                found = TwoNodes(place, node, cable)
                until(lambda: found.status(place.browser(), 1) == 303, 60)
                yield found
        finally:
            cable.close()
