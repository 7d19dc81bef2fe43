"""A small Backstage catalog on a real loopback socket: the calls Stagedoor makes, answered as a real one answers them
(shapes and odd ways as recorded of a real backend), and every way in which one can fail.

`entities` are documents as authors write them; relations are stitched from them, uid and etag are made. A test
changes them, or the fields below, between two calls.
"""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import ssl
import threading
import time
import urllib.parse
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gateway.config.sources import Backstage

TOKEN = "a-static-token"
ORIGIN = "backstage.io/managed-by-origin-location"
LOCATION = "file:/srv/catalog/*.yaml"
PLACE = "file:/srv/catalog/all.yaml"

# Backstage's own words: field of spec -> (relation, its inverse, default kind). Written down apart from the product's
# table on purpose.
STITCHED = {
    ("component", "owner"): ("ownedBy", "ownerOf", "group"), ("api", "owner"): ("ownedBy", "ownerOf", "group"),
    ("system", "owner"): ("ownedBy", "ownerOf", "group"), ("domain", "owner"): ("ownedBy", "ownerOf", "group"),
    ("component", "system"): ("partOf", "hasPart", "system"), ("api", "system"): ("partOf", "hasPart", "system"),
    ("system", "domain"): ("partOf", "hasPart", "domain"),
    ("component", "providesApis"): ("providesApi", "apiProvidedBy", "api"),
    ("component", "consumesApis"): ("consumesApi", "apiConsumedBy", "api"),
    ("user", "memberOf"): ("memberOf", "hasMember", "group"), ("group", "members"): ("hasMember", "memberOf", "user"),
    ("group", "parent"): ("childOf", "parentOf", "group"), ("group", "children"): ("parentOf", "childOf", "group"),
}  # fmt: skip


def _sha1(content: bytes) -> str:
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()


def ref_of(document: dict[str, Any]) -> str:
    metadata = document["metadata"]
    return f"{document['kind']}:{metadata.get('namespace', 'default')}/{metadata['name']}".lower()


def target_of(text: str, kind: str, origin: str) -> str:
    head, _, rest = text.rpartition(":")
    namespace, _, name = rest.rpartition("/")
    return f"{head or kind}:{namespace or origin.partition(':')[2].partition('/')[0]}/{name}".lower()


def relations_of(documents: Iterable[dict[str, Any]]) -> dict[str, list[tuple[str, str]]]:
    """What Backstage stitches: every relation on both of its sides."""
    documents = list(documents)
    relations: dict[str, list[tuple[str, str]]] = {ref_of(document): [] for document in documents}
    for document in documents:
        origin = ref_of(document)
        for (kind, name), (forward, inverse, default) in STITCHED.items():
            if kind == document["kind"].lower():
                said = document.get("spec", {}).get(name, [])
                for text in said if isinstance(said, list) else [said]:
                    target = target_of(text, default, origin)
                    relations[origin].append((forward, target))
                    relations.get(target, []).append((inverse, origin))
    return {ref: sorted(set(each)) for ref, each in relations.items()}


class FakeCatalog:
    """``calls`` are method and path of what was asked; ``bodies`` counts the bytes that were sent."""

    def __init__(self, *documents: dict[str, Any], tls: ssl.SSLContext | None = None) -> None:
        self.entities: dict[str, dict[str, Any]] = {}
        self.put(*documents)
        self.token = TOKEN
        self.blind = False  # a token that may not read entities
        self.status = 200  # another: every call is answered with it
        self.retry_after = ""
        self.content_type = "application/json; charset=utf-8"
        self.raw: bytes | None = None  # sent instead of every good answer
        self.encoding = ""  # of what is sent
        self.location = ""  # a redirect there
        self.hold: threading.Event | None = None  # answers wait for it
        self.hide: set[str] = set()  # refs that queries lack, though they are there by ref
        self.announce = 0  # entities that the first page promises beside those there are
        self.order: list[str] = []  # refs first in the order of pages
        self.calls: list[str] = []
        self.defined: list[str] = []  # refs of the definitions that were read
        self.sent_bytes = 0
        self.cut = False  # answers end in the middle
        self.date = ""  # another `Date` than that of now
        self._lock = threading.Lock()
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _answerer(self))
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._scheme = "https" if tls else "http"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        host = "localhost" if self._scheme == "https" else "127.0.0.1"
        return f"{self._scheme}://{host}:{self._server.server_address[1]}"

    def put(self, *documents: dict[str, Any]) -> None:
        self.entities |= {ref_of(document): document for document in documents}

    def remove(self, *refs: str) -> None:
        for ref in refs:
            del self.entities[ref]

    def close(self) -> None:
        if self.hold is not None:
            self.hold.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    # === what it answers ===

    def stitched(self) -> dict[str, dict[str, Any]]:
        if self.blind:
            return {}
        entities = dict(self.entities)
        relations = relations_of(entities.values())
        return {ref: _stitched(ref, document, relations[ref]) for ref, document in entities.items()}

    def by_query(self, query: dict[str, list[str]]) -> dict[str, Any]:
        found = {ref: each for ref, each in self.stitched().items() if ref not in self.hide}
        limit = int(query.get("limit", ["200"])[0])
        if "cursor" in query:
            cursor = json.loads(base64.b64decode(query["cursor"][0]))
            kinds, after, total = cursor["kinds"], cursor["after"], cursor["total"]
        else:
            kinds, after, total = [each.partition("=")[2] for each in query.get("filter", [])], "", None
        refs = [ref for ref in found if not kinds or ref.partition(":")[0] in kinds]
        refs.sort(key=lambda ref: (ref not in self.order, _sha1(ref.encode())))
        total = len(refs) + self.announce if total is None else total
        start = refs.index(after) + 1 if after in refs else 0
        page = refs[start : start + limit]
        info = {}
        if start + limit < len(refs):
            info["nextCursor"] = base64.b64encode(
                json.dumps({"kinds": kinds, "after": page[-1], "total": total}).encode()
            ).decode()
        items = [_with_fields(found[ref], query["fields"][0].split(",")) for ref in page]
        return {"items": items, "totalItems": total, "pageInfo": info}

    def by_refs(self, body: dict[str, Any]) -> dict[str, Any]:
        found = self.stitched()
        if "spec.definition" in body["fields"]:
            self.defined += body["entityRefs"]
        items = [_with_fields(found[ref], body["fields"]) if ref in found else None for ref in body["entityRefs"]]
        return {"items": items}


def _stitched(ref: str, document: dict[str, Any], relations: list[tuple[str, str]]) -> dict[str, Any]:
    metadata = {"namespace": "default", **document["metadata"]}
    annotations = metadata.get("annotations", {})
    if isinstance(annotations, dict):
        metadata["annotations"] = {ORIGIN: LOCATION, "backstage.io/managed-by-location": PLACE, **annotations}
    whole = {
        **document,
        "metadata": metadata,
        "relations": [{"type": kind, "targetRef": target} for kind, target in relations],
    }
    etag = _sha1(json.dumps(whole, sort_keys=True).encode())
    return {**whole, "metadata": {"etag": etag, "uid": f"uid-of-{ref}", **metadata}}


def _with_fields(entity: dict[str, Any], fields: list[str]) -> dict[str, Any]:
    chosen: dict[str, Any] = {}
    for field in fields:
        parts = field.split(".")
        at: Any = entity
        for part in parts:
            at = at.get(part) if isinstance(at, dict) else None
        if at is None:
            continue
        holder = chosen
        for part in parts[:-1]:
            holder = holder.setdefault(part, {})
        holder[parts[-1]] = at
    return chosen


def _answerer(catalog: FakeCatalog) -> type[http.server.BaseHTTPRequestHandler]:
    class Answerer(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(None)

        def do_POST(self) -> None:
            self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _answer(self, body: dict[str, Any] | None) -> None:
            path, _, query = self.path.partition("?")
            with catalog._lock:
                catalog.calls.append(f"{self.command} {self.path}")
            hold = catalog.hold
            if hold is not None:
                hold.wait(30)
            if catalog.status != 200 or catalog.location:
                self._send(catalog.status, b'{"error": {"message": "secret words", "stack": "at /srv/x.js"}}')
            elif self.headers.get("Authorization") != f"Bearer {catalog.token}":
                self._send(401, b'{"error": {"name": "AuthenticationError", "message": "Illegal token"}}')
            elif path == "/api/catalog/entities/by-query":
                self._send(200, json.dumps(catalog.by_query(urllib.parse.parse_qs(query))).encode(), etag=True)
            elif path == "/api/catalog/entities/by-refs" and body is not None:
                self._send(200, json.dumps(catalog.by_refs(body)).encode())
            else:
                self._send(404, b'{"error": {"name": "NotFoundError"}}')

        def _send(self, status: int, body: bytes, *, etag: bool = False) -> None:
            body = catalog.raw if catalog.raw is not None and status == 200 else body
            tag = f'W/"{_sha1(body)}"'
            if etag and self.headers.get("If-None-Match") == tag:
                self.send_response(304)
                self.send_header("ETag", tag)
                self.end_headers()
                return
            self.send_response(302 if catalog.location else status)
            if catalog.location:
                self.send_header("Location", catalog.location)
            if catalog.retry_after:
                self.send_header("Retry-After", catalog.retry_after)
            if etag:
                self.send_header("ETag", tag)
            if catalog.encoding:
                self.send_header("Content-Encoding", catalog.encoding)
            self.send_header("Content-Type", catalog.content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if catalog.cut else body)
            if catalog.cut:
                self.close_connection = True
            catalog.sent_bytes += len(body)

        def date_time_string(self, timestamp: float | None = None) -> str:
            return catalog.date or super().date_time_string(timestamp)

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:
                return  # the reader went away, as it may

    return Answerer


@contextmanager
def fake_catalog(*documents: dict[str, Any], tls: ssl.SSLContext | None = None) -> Iterator[FakeCatalog]:
    catalog = FakeCatalog(*documents, tls=tls)
    try:
        yield catalog
    finally:
        catalog.close()


def said(catalog: FakeCatalog | str, folder: Path, name: str = "main", **changes: Any) -> Backstage:
    """Settings that lead there, with the token in a file."""
    token = folder / f"{name}.token"
    if not token.exists():
        token.write_text(TOKEN + "\n")
    url = catalog if isinstance(catalog, str) else catalog.url
    return Backstage(name, url, str(token), **({"poll_s": 0.2, "full_s": 60.0} | changes))


def until(holds: Any, within_s: float = 15.0) -> float:
    """Seconds until ``holds()`` is true."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < within_s, "it did not happen"
        time.sleep(0.005)
    return time.monotonic() - began
