"""A ferry company in a real Backstage, and a whole node that follows it: some forty entities, a third of them well.

Organisation and most services come from a provider, at once; `harbour.yaml` is a file that anybody may register, so
nobody is trusted there to define people. `Company.put` and `Company.write` are edits; what they come to is asked at the
door, and of the node's own API by those whom it concerns.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import yaml

from gateway.node.asking import ENGINE, ask
from tests.support.catalogs import api, entity, openapi
from tests.support.central import CentralNode
from tests.support.door import LoopThread
from tests.support.processors import slowdown
from tests.support.real_backstage import READ, RealBackstage, complete
from tests.support.tokens import RS256
from tests.support.upstream import Upstream
from tests.support.whole_node import WholeNode, whole_node
from tests.support.wire import Client

POLL_S: Final = 1.0
CENTRAL: Final = "localhost"  # of `CentralNode`
FILE: Final = "harbour.yaml"
LOSSES: Final = 16  # services that a test takes away at once
# Files are read again, and orphans found, every other second; orphans stay for who looks at them.
OFTEN: Final = "catalog: {processingInterval: {seconds: 2}, orphanStrategy: keep}"
LONG: Final = 30_000  # words of a list that means harm

Document = dict[str, Any]


class Company:
    def __init__(self, backstage: RealBackstage, node: WholeNode, upstream: str) -> None:
        self.backstage = backstage
        self.node = node
        self.central = CentralNode(node)
        self.upstream = upstream
        self.before: Mapping[tuple[str, str, str], str] = {}  # what everybody gets while nothing is wrong

    # === edits ===

    def put(self, *documents: Document, removed: tuple[str, ...] = ()) -> None:
        self.backstage.change(*documents, removed=removed)

    def write(self, *documents: Document) -> None:
        _write(self.backstage, *documents)

    def service(self, name: str, *, owner: str = "tickets", access: str = "owners", **more: Any) -> Document:
        return service(self.upstream, name, owner=owner, access=access, **more)

    # === what it comes to ===

    def hears(self, ref: str, asker: str = "root") -> Any:
        """What the API says of an entry to whoever asks; None when it is not theirs."""
        reply = self.central.ask(f"entities/{ref}", asker)
        return reply.json if reply.status == 200 else None

    def state(self, ref: str) -> str:
        return str(self.hears(ref)["state"])

    def gets(self, person: str, host: str, path: str = "/", **claims: Any) -> str:
        """`200`, or status and reason of the refusal. ``person`` "": nobody is signed in."""
        now = int(time.time())
        said: dict[str, Any] = {
            "iss": self.node.issuer,
            "sub": person,
            "exp": now + 600,
            "iat": now - 5,
            "scope": "openid",
        } | claims
        identity = b"Authorization: Bearer " + RS256.token(**said) + b"\r\n" if person else b""
        with Client(self.node.port) as client:
            got = client.send(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n".encode() + identity + b"\r\n").answer()
        return str(got.status) if got.status < 400 else f"{got.status} {got.code}"

    def everybody(self) -> dict[tuple[str, str, str], str]:
        """What everybody gets everywhere, of what is well."""
        return {
            (person, host, path): self.gets(person, host, path)
            for person in ("mara", "nils", "odd", "petra", "guest", "")
            for host, path in (
                ("tickets.test", "/tickets"), ("tickets.test", "/elsewhere"), ("departures.test", "/"),
                ("manifest.test", "/people"), ("kitchen.test", "/"), ("looped.test", "/"), ("nowhere.test", "/"),
            )
        }  # fmt: skip

    def in_force_s(self) -> float:
        """How long a visible change may take: one poll, or as long as this catalog is slow, and a second of an idle
        machine."""
        told = ask(self.node.folder / "state", ENGINE, {"t": "status"}, "status")
        return max(POLL_S, *(float(each["wait_s"]) for each in told["catalogs"])) + slowdown()

    def visible(self, ref: str, holds: Callable[[Any], Any]) -> None:
        """Wait until the catalog's own API shows the entity so; None: it does not show it."""
        waited_s(lambda: holds(self.backstage.shown(ref)))

    def hears_that(self, ref: str, state: str) -> Any:
        """Wait for the state, and return what is said of it."""
        waited_s(lambda: (self.hears(ref) or {}).get("state") == state)
        return self.hears(ref)


def waited_s(holds: Callable[[], Any], within_s: float = 60.0) -> float:
    """Seconds until it holds; fails when it does not in time."""
    began_s = time.monotonic()
    while not holds():
        assert time.monotonic() - began_s < within_s, "did not happen in time"
        time.sleep(0.02)
    return time.monotonic() - began_s


@contextmanager
def company(folder: Path) -> Iterator[Company]:
    """Started with what is well; then all the rest is put into the catalog, and seen. Definitions may come later."""
    thread = LoopThread("company")
    upstream = Upstream(thread).start()
    backstage = RealBackstage()
    backstage.catalog.mkdir()
    _write(backstage, entity("System", "quay", owner="harbour"))
    backstage.start(OFTEN)
    try:
        good = [*organisation(), *well(upstream.url), *losses(upstream.url)]
        backstage.change(*good)
        for ref in map(ref_of, good):  # what is added together is shown one by one, and relations later still
            waited_s(lambda: (backstage.shown(ref) or {}).get("relations"))  # noqa: B023 - waited for here
        with whole_node(folder, workers=1, configure=lambda text: _configured(text, folder, backstage)) as node:
            found = Company(backstage, node, upstream.url)
            waited_s(lambda: found.gets("mara", "tickets.test", "/tickets") == "200")
            waited_s(lambda: found.gets("nils", "manifest.test", "/people") == "200")
            found.before = found.everybody()
            bad = ill(upstream.url)
            found.put(*bad)
            for ref in map(ref_of, bad):
                waited_s(lambda: found.state(ref) != "not_seen")  # noqa: B023 - waited for here
            yield found
    finally:
        backstage.stop()
        shutil.rmtree(backstage.catalog, ignore_errors=True)
        upstream.stop()
        thread.close()


def _write(backstage: RealBackstage, *documents: Document) -> None:
    draft = backstage.catalog / "draft"
    draft.write_text("---\n".join(yaml.safe_dump(complete(each)) for each in documents))
    draft.rename(backstage.catalog / FILE)


def _configured(text: str, folder: Path, backstage: RealBackstage) -> str:
    token = folder / "token"
    token.touch(0o600)
    token.write_text(READ)
    settings = yaml.safe_load(text)
    followed = {"name": "main", "url": backstage.url, "token_file": "token", "poll": f"{POLL_S:g}s"}
    origins = {"users": ["main stagedoor-fixture:default"], "groups": ["main stagedoor-fixture:default"]}
    email = {"field": "spec.profile.email", "domains": ["ferry.example"]}
    settings["catalog"] = {"backstage": [followed], "origins": origins}
    settings["issuers"][0] |= {"audiences": ["api", "stagedoor"], "match": {"sub": "metadata.name", "email": email}}
    return yaml.safe_dump(settings | {"central_host": CENTRAL, "administrators": ["group:default/bridge"]})


# === the catalog ===


def service(at: str, name: str, *, owner: str = "tickets", access: str = "everyone", **more: Any) -> Document:
    """A website NAME.test. Keywords are annotations (`-` as `_`), but for `providesApis`, `title` and `links`."""
    bare = name.rpartition("/")[2].lower()
    spec = {"providesApis": more.pop("providesApis")} if "providesApis" in more else {"type": "website"}
    shown = {key: more.pop(key) for key in ("title", "links") if key in more}
    said = {"environments": "prod", "host": f"{bare}.test", "upstream": at, "access": access}
    said |= {key.replace("_", "-"): text for key, text in more.items()}
    made = complete(entity("Component", name, annotations=said, owner=owner, **spec))
    return {**made, "metadata": {**made["metadata"], **shown}}


def ref_of(document: Document) -> str:
    metadata = document["metadata"]
    return f"{document['kind'].lower()}:{metadata.get('namespace', 'default')}/{metadata['name']}"


def user(name: str, *teams: str, email: str = "") -> Document:
    return entity("User", name, memberOf=list(teams), profile={"email": email or f"{name}@ferry.example"})


def organisation() -> list[Document]:
    groups = {"fleet": "", "tickets": "fleet", "harbour": "fleet", "galley": "", "bridge": "",
              "loop-a": "loop-b", "loop-b": "loop-a"}  # fmt: skip
    people = {"mara": "tickets", "nils": "harbour", "odd": "galley", "petra": "loop-a", "root": "bridge",
              "guest": "tickets"}  # fmt: skip
    return [
        *(
            entity("Group", name, **(dict[str, Any](parent=parent) if parent else {}))
            for name, parent in groups.items()
        ),
        *(user(name, team) for name, team in people.items()),
        user("twin-one", "harbour", email="twin@ferry.example"),
        user("twin-two", "galley", email="Twin@ferry.example"),
    ]


def well(upstream: str) -> list[Document]:
    return [
        api("tickets-api", openapi("GET /tickets", "POST /tickets"), owner="tickets"),
        service(upstream, "tickets", access="owners", providesApis=["tickets-api"]),
        service(upstream, "departures", owner="harbour"),
        api("manifest-api", openapi("GET /people"), owner="harbour"),
        service(upstream, "manifest", owner="harbour", access="owners", providesApis=["manifest-api"]),
        service(upstream, "kitchen", owner="galley", access="owners"),
        service(upstream, "looped", owner="loop-b", access="owners"),
    ]


def losses(upstream: str) -> list[Document]:
    return [service(upstream, f"loss-{number}", owner="galley") for number in range(LOSSES)]


def bomb() -> str:
    """YAML whose aliases would stand for a thousand million values."""
    pairs = zip("abcdefghi", "bcdefghij", strict=True)
    rows = [f"{name}: &{name} [{', '.join([f'*{last}'] * 9)}]" for last, name in pairs]
    return "\n".join(["openapi: 3.0.3", "a: &a [x, x, x, x, x, x, x, x, x]", *rows, "paths: {}"])


def ill(upstream: str) -> list[Document]:
    """Broken and hostile."""

    def provided(name: str, definition: object) -> list[Document]:
        made = service(upstream, name, providesApis=[f"{name}-api"])
        return [made, api(f"{name}-api", definition, owner="tickets")]

    remote = openapi("GET /b")
    remote["paths"]["/a"] = {"$ref": "http://127.0.0.1:9/evil.yaml#/a"}
    doubled = openapi("GET /a", "GET /b")
    for item in doubled["paths"].values():
        item["get"]["operationId"] = "same"
    script = "<script>alert(1)</script>\u202e\x1b[31m\x07"
    harm = {key: ",".join(f"{key[0]}{number}" for number in range(LONG)) for key in ("allow-groups", "options")}
    return [
        service(upstream, "ghosted", owner="nobody-at-all"),
        service(upstream, "owned-by-a-person", owner="user:mara"),
        service(upstream, "abroad/far"),
        service(upstream, "prodd", environments="prodd"),
        service(upstream, "schemed", host="https://schemed.test/x"),
        service(upstream, "outsider", host="outsider.evil.example"),
        service(upstream, "wandering", upstream="http://10.9.9.9"),
        service(upstream, "misspelt", acess="everyone", access="evryone"),
        service(upstream, "rival-a", host="rival.test"),
        service(upstream, "rival-b", host="rival.test", owner="harbour"),
        service(upstream, "thief", host="departures.test", owner="galley"),
        service(upstream, "squatter", host="departures.test", path="/admin", owner="galley"),
        service(upstream, "shared-a", client_id="same"),
        service(upstream, "shared-b", client_id="same"),
        service(upstream, "without-api", providesApis=["no-such-api"]),
        *provided("bombed", bomb()),
        *provided("huge", "openapi: 3.0.3\n# " + "x" * (5 << 20) + "\npaths: {/x: {get: {}}}\n"),
        *provided("remote", remote),
        *provided("doubled", doubled),
        *provided("garbled", "this is: [no openapi"),
        *provided("endless", json.dumps({"openapi": "3.0.3", "paths": {f"/a//{n}": {"get": {}} for n in range(LONG)}})),
        entity("System", "misplaced", owner="tickets", annotations={"environments": "prod"}),
        service(upstream, "h-marked", title=script, links=[{"url": "javascript:alert(1)", "title": script}]),
        service(upstream, "h-control", host="h-control.test\r\nX-Evil: 1"),
        service(upstream, "h-half", title="half \ud800 a character"),
        service(upstream, "h-over", cors="x" * (1 << 20)),
        service(upstream, "h-wordy", **harm),
    ]
