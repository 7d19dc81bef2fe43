"""The issuer as far as a gateway sees it: discovery and keys, static, over plain HTTP on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from bench.credentials import jwks
from bench.ground import ISSUER, PROVIDER

_DISCOVERY = {
    "issuer": ISSUER, "jwks_uri": f"{ISSUER}/jwks.json", "authorization_endpoint": f"{ISSUER}/authorize",
    "token_endpoint": f"{ISSUER}/token", "response_types_supported": ["code"],
    "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["RS256"],
}  # fmt: skip


@contextmanager
def issuer() -> Iterator[None]:
    """Serve while the block runs."""
    documents = {"/.well-known/openid-configuration": json.dumps(_DISCOVERY), "/jwks.json": jwks()}

    class Answerer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = documents.get(self.path, "").encode()
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            """Say nothing: the table is the output."""

    server = ThreadingHTTPServer(("127.0.0.1", PROVIDER), Answerer)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
