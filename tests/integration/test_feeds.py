"""Feeds of a whole node over TLS: who may read them, that what is read is whole, and that no doubt ever empties one.

Devices read at the central host through a door. Nothing listens where the devices' management should be: feeds need
no device that can be reached.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.control.web import SOCKET
from gateway.identity.assertion import FIELD
from policy.builtin import FEEDS
from tests.support.central import Reply, said_on
from tests.support.certificates import make
from tests.support.client_authority import ClientAuthority, client_context, dns
from tests.support.door import until
from tests.support.ports import free_port
from tests.support.whole_node import WholeNode, whole_node

pytestmark = pytest.mark.slow

HOST = "localhost"
READER = "198.51.100.7"
STRANGER = "203.0.113.9"
AS3 = f"{FEEDS}/bigip/dc1/prod/as3.json"
HOSTS = f"{FEEDS}/bigip/dc1/prod/data-groups/hosts.txt"
NAMES = tuple("abcdefgh")
PASSWORDS = ("a-password-of-this-year", "a-password-of-next-year")
PATIENCE_S = 60.0
COMPONENT = """\
---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: {name}
  annotations: {{stagedoor.dev/environments: "{environments}", stagedoor.dev/host: {name}.test,
    stagedoor.dev/upstream: "http://127.0.0.1:9", stagedoor.dev/virtual-address: {address}}}
spec: {{type: service, lifecycle: production, owner: team}}
"""


class Feeds:
    """The node, and who asks it. ``main`` trusts whoever connects, ``plain`` nobody, ``direct`` sees certificates."""

    def __init__(self, node: WholeNode, folder: Path, ports: Mapping[str, int]) -> None:
        self.node = node
        self.folder = folder
        self.ports = {"main": node.port, **ports}
        self.clients = ClientAuthority("clients", now=time.time())

    def ask(
        self, path: str, client: str = READER, *, method: str = "GET", port: str = "main",
        certificate: tuple[str, str] | None = None, **headers: str,
    ) -> Reply:  # fmt: skip
        context = client_context(str(self.folder / "tls" / "ca.pem"), certificate)
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.ports[port], timeout=PATIENCE_S, context=context
        )  # fmt: skip
        sent = {"Host": HOST, **{name.replace("_", "-"): value for name, value in headers.items()}}
        if client:
            sent |= {"X-Forwarded-For": client, "X-Forwarded-Proto": "https"}
        return said_on(connection, method, path, sent)

    def publish(self, *names: str, environments: str = "prod") -> None:
        draft = self.folder / "draft"
        made = (COMPONENT.format(name=name, environments=environments, address="203.0.113.10") for name in names)
        draft.write_text("".join(made))
        draft.rename(self.folder / "more" / "all.yaml")

    def hosts(self, reply: Reply) -> set[str]:
        assert reply.status == 200, reply
        return set(re.findall(r'(?m)^"([^"]+)" := ".*",$', reply.text.decode()))

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-P", "-m", "gateway.cli", *arguments, "--config", str(self.folder / "stagedoor.yaml")],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip


def device(name: str, readers: Mapping[str, Any] | None) -> dict[str, Any]:
    prod = {
        "virtual_address": "203.0.113.10", "client_tls": "/Common/c", "trust_ca": "/Common/ca.crt",
        "server_name": "door.test", "mode": "observe", "networks": ["203.0.113.0/24"],
    }  # fmt: skip
    made = {
        "name": name, "units": [f"https://127.0.0.1:{9000 + int(name[2:])}"], "username": "u",
        "password_file": "device-password", "members": ["127.0.0.1:8443"], "environments": {"prod": prod},
    }  # fmt: skip
    return made if readers is None else {**made, "readers": readers}


def written(folder: Path, name: str, secret: str) -> str:
    file = folder / name
    file.touch(0o600)
    file.write_text(secret + "\n")
    return name


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Feeds]:
    folder = tmp_path_factory.mktemp("feeds")
    authority = ClientAuthority("clients", now=time.time())
    (folder / "tls").mkdir()
    (folder / "more").mkdir()
    certificate, key = make(folder / "tls", "door", "localhost", "127.0.0.1")
    (folder / "clients.pem").write_bytes(authority.own.pem)
    written(folder, "device-password", "x")
    passwords = [written(folder, f"pw{at}", each) for at, each in enumerate(PASSWORDS)]
    ports = {"plain": free_port(), "direct": free_port()}
    tls = {"certificate": str(certificate), "key": str(key)}
    network = {"networks": ["198.51.100.0/24"]}

    def configured(text: str) -> str:
        said = yaml.safe_load(text)
        main = said["listeners"][0] | {"tls": tls, "trusted_peers": ["127.0.0.1/32"]}
        plain = {"name": "plain", "address": f"127.0.0.1:{ports['plain']}", "tls": tls}
        direct = {"name": "direct", "address": f"127.0.0.1:{ports['direct']}", "direct": True,
                  "tls": tls | {"client_ca": "clients.pem"}}  # fmt: skip
        said |= {"listeners": [main, plain, direct], "central_host": HOST}
        said["catalog"]["files"] = ["catalog", "more"]
        said["devices"] = {"bigip": [
            device("dc1", network), device("dc2", network | {"username": "dc2", "password_files": passwords}),
            device("dc3", None), device("dc4", {"networks": ["127.0.0.0/8"], "certificates": ["dns:bigip.test"]}),
        ]}  # fmt: skip
        return yaml.safe_dump(said)

    (folder / "more" / "all.yaml").write_text("")
    with whole_node(folder, workers=1, configure=configured) as node:
        feeds = Feeds(node, folder, ports)
        feeds.clients = authority
        feeds.publish(*NAMES)
        until(lambda: feeds.ask(AS3).status == 200, PATIENCE_S)
        until(lambda: len(feeds.hosts(feeds.ask(HOSTS))) == 9, PATIENCE_S)
        yield feeds


@pytest.fixture
def feeds(running: Feeds) -> Feeds:
    """With every service given again, whatever the test before left."""
    running.publish(*NAMES)
    until(lambda: running.ask(HOSTS).status == 200 and len(running.hosts(running.ask(HOSTS))) == 9, PATIENCE_S)
    return running


# === who may read ===


def test_a_device_reads_by_the_address_that_a_trusted_peer_vouches_for(feeds: Feeds) -> None:
    """And by no address that a peer whom nobody trusts writes of itself."""
    assert feeds.ask(AS3).status == 200
    assert feeds.ask(AS3, f"{STRANGER}, {READER}").status == 200, "what BIG-IP added is the last"
    assert feeds.ask(AS3, f"{READER}, {STRANGER}").status == 404
    assert feeds.ask(AS3, "").status == 404, "the peer itself is no reader"
    assert feeds.ask(AS3, port="plain").status == 404


def test_a_password_is_asked_for_beside_the_address_and_either_of_two_counts(feeds: Feeds) -> None:
    path = AS3.replace("dc1", "dc2")
    answer = feeds.ask(path)
    assert (answer.status, answer.headers["www-authenticate"].split()[0]) == (401, "Basic")
    assert feeds.ask(path, Authorization=basic("dc2", "wrong")).status == 401
    for password in PASSWORDS:
        assert feeds.ask(path, Authorization=basic("dc2", password)).status == 200
        assert feeds.ask(path, STRANGER, Authorization=basic("dc2", password)).status == 404
    assert feeds.ask(AS3.replace("dc1", "dc3"), Authorization=basic("dc2", PASSWORDS[0])).status == 404


def test_a_certificate_is_asked_for_where_one_is_set(feeds: Feeds) -> None:
    path = AS3.replace("dc1", "dc4")
    named = feeds.clients.leaf(dns("bigip.test")).write(feeds.folder, "named")
    other = feeds.clients.leaf(dns("other.test")).write(feeds.folder, "other")
    assert feeds.ask(path, "", port="direct", certificate=named).status == 200
    assert feeds.ask(path, "", port="direct", certificate=other).status == 404
    assert feeds.ask(path, "", port="plain").status == 404
    assert feeds.ask(path, "", port="plain", X_Client_Cert=feeds.folder.name).status == 404


def test_nobody_else_learns_what_there_is(feeds: Feeds) -> None:
    found = set()
    for path in (AS3, HOSTS, FEEDS, f"{FEEDS}/", f"{FEEDS}/bigip/dc3/prod/as3.json", f"{FEEDS}/bigip/none/x/as3.json",
                 f"{FEEDS}/{'x' * 2000}"):  # fmt: skip
        for method in ("GET", "POST", "DELETE"):
            answer = feeds.ask(path, STRANGER, method=method)
            headers = {name: value for name, value in answer.headers.items() if name not in ("date", "x-request-id")}
            found.add((answer.status, json.dumps(headers, sort_keys=True), answer.text))
    assert [status for status, _, _ in found] == [404]


def test_a_request_at_controls_own_socket_is_nobodys(feeds: Feeds) -> None:
    straight = http.client.HTTPConnection("localhost", timeout=PATIENCE_S)
    straight.sock = socket.socket(socket.AF_UNIX)
    straight.sock.connect(str(feeds.folder / "state" / SOCKET))
    answer = said_on(straight, "GET", AS3, {"Host": HOST, "X-Forwarded-For": READER, "X-Forwarded-Proto": "https"})
    assert (answer.status, "etag" in answer.headers) == (503, False), "as if from a door that has no key yet"
    forged = {"Host": HOST, "X-Forwarded-For": READER, FIELD: "x.y.z"}
    straight.sock = socket.socket(socket.AF_UNIX)
    straight.sock.connect(str(feeds.folder / "state" / SOCKET))
    assert said_on(straight, "GET", AS3, forged).status == 404


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"{FEEDS}/bigip/dc1%2Fprod/as3.json", 400), (f"{FEEDS}/bigip/dc3/../dc1/prod/as3.json", 400),
        (f"{FEEDS}/bigip/dc3/%2e%2e/dc1/prod/as3.json", 400), (f"{FEEDS}//bigip/dc1/prod/as3.json", 400),
        (f"{FEEDS}/bigip/dc1/prod/as3.json;x", 400), (f"{FEEDS}/bigip/dc1/prod/as3.json%00", 400),
        (f"{FEEDS}/bigip/dc1/prod/%252e%252e/as3.json", 400), (f"{FEEDS}/bigip/dc1/prod/as3%2Ejson", 404),
        (f"{FEEDS}/bigip/dc1/prod/as3.json/", 404), (f"{FEEDS}/bigip/dc1/nowhere/as3.json", 404),
        (f"{FEEDS}/bigip/nobody/prod/as3.json", 404), (f"{FEEDS}/bigip/dc1/prod/{'x' * 3000}", 404),
        (f"{FEEDS}/bigip/dc1/prod/data-groups/nothing.txt", 404), (f"{FEEDS}/panos/dc1/prod/as3.json", 404),
    ],
)  # fmt: skip
def test_a_hostile_path_finds_nothing(feeds: Feeds, path: str, status: int) -> None:
    assert feeds.ask(path).status == status


# === what is read ===


def test_what_is_read_is_what_pipelines_render_from_the_same_files(feeds: Feeds) -> None:
    """So another node with these files, and this one after a restart, give the same bytes."""
    rendered = feeds.command("bigip", "render", "prod", "--device", "dc1")
    assert rendered.returncode == 0, rendered.stderr
    answer = feeds.ask(AS3)
    assert answer.text == rendered.stdout.encode()
    assert answer.headers["etag"] == f'"{sha256(answer.text).hexdigest()[:32]}"'
    assert answer.headers["content-length"] == str(len(answer.text))
    assert (answer.headers["content-type"], answer.headers["cache-control"]) == (
        "application/json", "private, no-cache",
    )  # fmt: skip
    head = feeds.ask(AS3, method="HEAD")
    assert (head.status, head.text, head.headers["content-length"]) == (200, b"", answer.headers["content-length"])
    declared = answer.json["stagedoor_prod"]["Shared"]["hosts"]["records"]
    lines = feeds.ask(HOSTS).text.decode().splitlines()
    assert lines == sorted(f'"{each["key"]}" := "{each["value"]}",' for each in declared)


def test_a_read_asks_whether_anything_is_new_and_leaves_a_record(feeds: Feeds) -> None:
    etag = feeds.ask(AS3).headers["etag"]
    answer = feeds.ask(AS3, If_None_Match=etag)
    assert (answer.status, answer.text, answer.headers["etag"]) == (304, b"", etag)
    refused = feeds.ask(AS3, STRANGER)
    other = feeds.ask(AS3, method="POST")
    assert (other.status, other.headers["allow"]) == (405, "GET, HEAD")
    wanted = {answer.headers["x-request-id"]: (304, READER), refused.headers["x-request-id"]: (404, STRANGER),
              other.headers["x-request-id"]: (405, READER)}  # fmt: skip
    until(lambda: {each: found[each] for found in [recorded(feeds)] for each in wanted if each in found} == wanted, 30)


def test_no_secret_is_in_a_document(feeds: Feeds) -> None:
    for path in (AS3, HOSTS, f"{FEEDS}/"):
        text = feeds.ask(path).text.decode()
        assert not any(secret in text for secret in (*PASSWORDS, "PRIVATE KEY", "CERTIFICATE---", "device-password"))


def test_the_index_lists_what_the_asker_may_read_and_nothing_else(feeds: Feeds) -> None:
    said = feeds.ask(f"{FEEDS}/").json
    assert {each["device"] for each in said["feeds"]} == {"dc1"}
    with_password = feeds.ask(f"{FEEDS}/", Authorization=basic("dc2", PASSWORDS[0])).json
    assert {each["device"] for each in with_password["feeds"]} == {"dc1", "dc2"}
    for each in said["feeds"]:
        answer = feeds.ask(each["path"])
        assert (answer.headers["etag"], len(answer.text)) == (each["etag"], each["length"])


def test_reads_during_a_publish_give_the_old_or_the_new_document_whole_with_its_own_tag(feeds: Feeds) -> None:
    seen: list[tuple[int, str, bytes]] = []
    is_over = threading.Event()

    def read() -> None:
        while not is_over.is_set():
            answer = feeds.ask(AS3)
            seen.append((answer.status, answer.headers.get("etag", ""), answer.text))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        for names in ((*NAMES, "i"), NAMES, (*NAMES, "i", "j")):
            feeds.publish(*names)
            until(lambda wanted=names: len(feeds.hosts(feeds.ask(HOSTS))) == 1 + len(wanted), PATIENCE_S)  # type: ignore[misc]  # a default binds it
    finally:
        is_over.set()
        for reader in readers:
            reader.join(PATIENCE_S)
    assert {status for status, _, _ in seen} == {200}
    assert len({text for _, _, text in seen}) >= 3
    for _, etag, text in seen:
        assert etag == f'"{sha256(text).hexdigest()[:32]}"'
        assert json.loads(text)["class"] == "ADC"


# === doubt ===


def test_what_would_take_too_much_away_is_withheld_until_a_person_accepts_it(feeds: Feeds) -> None:
    before = feeds.ask(HOSTS)
    of_other, password = AS3.replace("dc1", "dc2"), basic("dc2", PASSWORDS[0])
    assert feeds.ask(of_other, Authorization=password).status == 200
    feeds.publish("a", "b")
    until(lambda: feeds.ask(HOSTS).status == 503, PATIENCE_S)
    answer = feeds.ask(HOSTS, If_None_Match=before.headers["etag"])
    assert (answer.status, answer.headers["retry-after"]) == (503, "60")
    assert answer.text.startswith(b"503 withheld (held)")
    assert feeds.ask(AS3).status == 503
    listed = feeds.command("feeds", "list")
    assert listed.returncode == 1
    assert "takes away 6 of 9" in listed.stdout
    refused = feeds.command("feeds", "accept", "--device", "dc1", "--env", "prod")
    assert (refused.returncode, "say --yes" in refused.stderr) == (2, True)
    accepted = feeds.command("feeds", "accept", "--device", "dc1", "--env", "prod", "--yes")
    assert accepted.returncode == 0, accepted
    assert "6 would go: component:default/c" in accepted.stderr
    assert feeds.hosts(feeds.ask(HOSTS)) == {"a.test", "b.test", "echo.test"}
    assert feeds.ask(of_other, Authorization=password).status == 503, "nobody said so for that one"


def test_an_emptied_catalog_gives_no_empty_feed(feeds: Feeds) -> None:
    """Files that say that nothing is published, and files that lost everything: whatever of the loss is believed, a
    reader gets what it has or an error."""
    before = feeds.ask(HOSTS)
    everything = feeds.folder / "catalog" / "all.yaml"
    kept = everything.read_text()
    draft = feeds.folder / "draft2"
    try:
        feeds.publish(*NAMES, environments="")
        draft.write_text(kept.replace("stagedoor.dev/environments: prod", "stagedoor.dev/environments: ''"))
        draft.rename(everything)
        until(lambda: b"(empty)" in feeds.ask(HOSTS).text, PATIENCE_S)
        assert feeds.ask(AS3).status == 503
        assert feeds.command("feeds", "accept", "--device", "dc1", "--env", "prod", "--yes").returncode == 1
        assert feeds.ask(HOSTS).status == 503
    finally:
        draft.write_text(kept)
        draft.rename(everything)
        feeds.publish(*NAMES)
    until(lambda: feeds.ask(HOSTS).text == before.text, PATIENCE_S)
    (feeds.folder / "more" / "all.yaml").write_text("")
    everything.write_text("")
    try:
        seen = set()

        def is_noticed() -> bool:
            answer = feeds.ask(HOSTS)
            seen.add(answer.text if answer.status == 200 else b"")
            said = feeds.command("status").stdout
            return "held losses: none" not in said or "is withheld" in said

        until(is_noticed, PATIENCE_S)
        assert feeds.ask(HOSTS).status in (200, 503)
        assert seen <= {before.text, b""}
    finally:
        draft.write_text(kept)
        draft.rename(everything)


def test_while_the_engine_is_away_what_it_gave_is_given_with_its_age(feeds: Feeds) -> None:
    before = feeds.ask(AS3)
    engine = feeds.node.children("engine")[0]
    os.kill(engine, signal.SIGSTOP)
    try:
        answer = feeds.ask(AS3)
        assert (answer.status, answer.text) == (200, before.text)
        assert int(answer.headers["age"]) >= 4
    finally:
        os.kill(engine, signal.SIGCONT)
    until(lambda: "age" not in feeds.ask(AS3).headers, PATIENCE_S)


@pytest.mark.parametrize("role", ["engine", "control"])
def test_a_role_that_is_killed_costs_no_reader_a_wrong_document(feeds: Feeds, role: str) -> None:
    """What is given meanwhile is the document or an error, and afterwards the document with the tag of before."""
    before = feeds.ask(AS3)
    killed = feeds.node.children(role)[0]
    os.kill(killed, signal.SIGKILL)
    seen = set()

    def is_back() -> bool:
        answer = feeds.ask(AS3)
        seen.add((answer.status, answer.text if answer.status == 200 else b""))
        return feeds.node.children(role)[0] != killed and answer.status == 200 and "age" not in answer.headers

    until(is_back, PATIENCE_S)
    assert {text for status, text in seen if status == 200} == {before.text}
    assert {status for status, _ in seen} <= {200, 502, 503, 504}
    assert feeds.ask(AS3).headers["etag"] == before.headers["etag"]


def test_what_readers_have_is_remembered_over_a_restart_of_the_engine(feeds: Feeds) -> None:
    """An engine that begins with a small catalog knows what it gave before it ended."""
    killed = feeds.node.children("engine")[0]
    os.kill(killed, signal.SIGSTOP)
    feeds.publish("a", "b")
    os.kill(killed, signal.SIGKILL)
    until(lambda: b"(held)" in feeds.ask(HOSTS).text, PATIENCE_S)


def test_readers_who_are_taken_out_of_the_settings_read_no_more(feeds: Feeds) -> None:
    file = feeds.folder / "stagedoor.yaml"
    before = file.read_text()
    said = yaml.safe_load(before)
    del said["devices"]["bigip"][0]["readers"]
    try:
        file.write_text(yaml.safe_dump(said))
        feeds.node.process.send_signal(signal.SIGHUP)
        until(lambda: feeds.ask(AS3).status == 404, PATIENCE_S)
    finally:
        file.write_text(before)
        feeds.node.process.send_signal(signal.SIGHUP)
    until(lambda: feeds.ask(AS3).status == 200, PATIENCE_S)


def test_reads_are_counted(feeds: Feeds) -> None:
    feeds.ask(AS3)
    metrics = feeds.node.metrics()
    said = 'stagedoor_feed_reads_total{device="dc1",environment="prod",feed="as3.json",outcome="given",vendor="bigip"}'
    assert said in metrics
    assert 'stagedoor_feed_age_seconds{device="dc1",environment="prod",vendor="bigip"}' in metrics


def basic(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


def recorded(feeds: Feeds) -> dict[str, tuple[int, str]]:
    """Request id → status and client, of all records below the feeds' path."""
    found = {}
    for path in sorted((feeds.folder / "state" / "audit").rglob("*.jsonl")):
        for line in path.read_bytes().splitlines():
            record = json.loads(line) if line.endswith(b"}") else {}
            if str(record.get("path", "")).startswith(FEEDS):
                found[record["request_id"]] = (record["status"], record["client"])
    return found
