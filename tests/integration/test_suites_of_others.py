"""Suites that others wrote, held against the door. They are theirs and not part of this project: each test runs where
`STAGEDOOR_SUITES` names a folder with a checkout of it, under the name given in `_suite`.

Behind the door stands an upstream that cuts requests from its connections with h11: where door and upstream disagreed
about where a request ends, h11 would find a fault, or the upstream would see a request that the door never answered.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from codecs import escape_decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from websockets.sync.server import ServerConnection, serve

from tests.support.door import LoopThread, RunningDoor, read_to_end
from tests.support.public_door import public_door
from tests.support.upstream import Seen, Upstream

HOSTS = ("example.com", "localhost", "www.example.com")
SILENCE_S = 0.5
STATUS = re.compile(rb"HTTP/1\.1 (\d{3})")


def _suite(name: str) -> Path:
    folder = Path(os.environ.get("STAGEDOOR_SUITES", "/nonexistent")) / name
    if not folder.is_dir():
        pytest.skip(f"needs a checkout of {name} in the folder that STAGEDOOR_SUITES names")
    return folder


def _echo(seen: Seen) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(seen.body), seen.body)


@pytest.fixture(scope="module")
def upstream(rest: LoopThread) -> Iterator[Upstream]:
    made = Upstream(rest, answer=_echo).start()
    yield made
    made.stop()
    assert made.faults == [], "the door sent something a strict server refuses"


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[RunningDoor]:
    with public_door(tmp_path_factory.mktemp("others") / "state", upstream.url, HOSTS) as running:
        yield running


def _answer(door: RunningDoor, request: bytes) -> bytes:
    return door.exchange(request, SILENCE_S)


def test_the_cases_of_h1spec(door: RunningDoor) -> None:
    text = (_suite("h1spec") / "http_test.ts").read_text()
    listed = text[text.index("= [", text.index("const testCases")) + 2 : text.index("\n];") + 2]
    printed = subprocess.run(["node", "-e", f"console.log(JSON.stringify({listed}))"], capture_output=True, check=True)
    cases = json.loads(printed.stdout)
    wrong = [case["description"] for case in cases if not _as_h1spec_wants(door, case)]
    assert cases and not wrong


def _as_h1spec_wants(door: RunningDoor, case: dict[str, Any]) -> bool:
    answer = _answer(door, case["request"].encode())
    if case.get("expectedTimeout"):
        return answer == b""
    found = STATUS.match(answer)
    status = int(found[1]) if found else 0
    body = answer.partition(b"\r\n\r\n")[2].decode()
    return any(low <= status <= high for low, high in case["expectedStatus"]) and (
        status != 200 or "expectedBody" not in case or body == case["expectedBody"]
    )


def test_what_http_desync_guardian_calls_severe_is_refused_and_the_connection_closed(door: RunningDoor) -> None:
    folder = _suite("http-desync-guardian") / "tests"
    cases = [case for path in sorted(folder.glob("*.yaml")) for case in yaml.safe_load(path.read_text()) or []]
    severe = [case for case in cases if case["expected"]["tier"] == "Severe"]
    wrong = []
    for case in severe:
        with door.connect(20) as client:  # reads to the end: a connection that stays open fails
            client.sendall(_written(case))
            refusal = STATUS.match(read_to_end(client))
        if refusal is None or not 400 <= int(refusal[1]) < 600:
            wrong.append(case["name"])
    assert severe and not wrong


def _written(case: dict[str, Any]) -> bytes:
    """The head that a case describes: a target that is absent is sent as such."""

    def text(value: object) -> bytes:
        return b"" if value is None else str(value).encode()

    fields = [(text(field.get("name")), text(field.get("value"))) for field in case.get("headers") or []]
    if not any(name.lower() == b"host" for name, _ in fields):
        fields.insert(0, (b"Host", b"example.com"))
    line = b" ".join((text(case.get("method", "GET")), text(case.get("uri")), text(case.get("version"))))
    return line + b"\r\n" + b"".join(name + b": " + value + b"\r\n" for name, value in fields) + b"\r\n"


@pytest.mark.parametrize("config", ["default", "doubles", "exhaustive"])
def test_no_mutation_of_smuggler_hides_a_request(door: RunningDoor, upstream: Upstream, config: str) -> None:
    """Either it is refused, or the length that counts for both is the one that Content-Length says."""
    folder = _suite("smuggler")
    script = (
        "import sys, json; sys.path.insert(0, '.'); from lib.Payload import *; mutations = {};"
        f"exec(open('configs/{config}.py').read());"
        "print(json.dumps({name: made.header for name, made in mutations.items()}))"
    )
    printed = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, check=True)
    mutations = json.loads(printed.stdout)
    hidden = b"GET /hidden HTTP/1.1\r\nHost: example.com\r\n\r\n"
    whole, chunk = b"0\r\n\r\n" + hidden, b"%x\r\n%s\r\n0\r\n\r\n" % (len(hidden), hidden)
    wrong = []
    for name, header in mutations.items():
        for body, counted in ((whole, len(whole)), (chunk, 4)):
            before = len(upstream.seen)
            head = header.replace("__REPLACE_CL__", str(counted)).replace("__METHOD__", "POST")
            head = head.replace("__ENDPOINT__", "/a").replace("__HOST__", "example.com").replace("__RANDOM__", "1")
            answer = _answer(door, head.encode("latin-1") + b"\r\n" + body)
            seen = [each.target for each in upstream.seen[before:]]
            framing = [each.header("transfer-encoding") for each in upstream.seen[before:]]
            bodies = [len(each.body) for each in upstream.seen[before : before + 1]]
            answered = [int(status) for status in STATUS.findall(answer)]
            refused = answered[:1] == [400] and not seen
            by_length = bodies == [counted] and not any(framing) and len(seen) == answered.count(200)
            if not (refused or by_length):
                wrong.append((name, answered, seen))
    assert mutations and not wrong


def test_no_find_of_the_http_garden_reaches_an_upstream_unanswered(door: RunningDoor, upstream: Upstream) -> None:
    """The payloads of bugs that it found elsewhere, each with the host that the door serves and as it is written."""
    text = (_suite("http-garden") / "TROPHIES.md").read_text()
    found = [escape_decode(each.encode())[0] for each in re.findall(r"Payload: `(.*?)`", text)]
    wrong = []
    for payload in found:
        for request in (payload, re.sub(rb"(?i)host: ?\w+", b"Host: example.com", payload)):
            before = len(upstream.seen)
            answered = STATUS.findall(_answer(door, request))
            if len(upstream.seen) - before != answered.count(b"200"):
                wrong.append((request, answered, upstream.seen[before:]))
    assert found and not wrong


@pytest.mark.slow
def test_autobahn_finds_the_same_through_the_door_as_beside_it(tmp_path: Path) -> None:
    """Its fuzzing client asks one echo server case by case, once directly and once through the door."""
    tool = shutil.which("wstest")
    if tool is None:
        pytest.skip("needs wstest (autobahntestsuite) on the PATH")

    def echo(connection: ServerConnection) -> None:
        for message in connection:
            connection.send(message)

    with serve(echo, "127.0.0.1", 0, max_size=None, ping_interval=None) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        port = server.socket.getsockname()[1]
        with public_door(tmp_path / "state", f"http://127.0.0.1:{port}", ("localhost",)) as door:
            agents = {"beside": port, "through": door.port}
            spec = {
                "outdir": str(tmp_path / "report"),
                "servers": [{"agent": name, "url": f"ws://localhost:{at}"} for name, at in agents.items()],
                "cases": ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"],
                "exclude-cases": [],
                "exclude-agent-cases": {},
            }
            (tmp_path / "spec.json").write_text(json.dumps(spec))
            arguments = [tool, "-m", "fuzzingclient", "-s", str(tmp_path / "spec.json")]
            subprocess.run(arguments, check=True, capture_output=True, timeout=600)
        server.shutdown()
        thread.join(5)
    found = json.loads((tmp_path / "report/index.json").read_text())
    beside, through = ({case: _verdict(each) for case, each in found[name].items()} for name in agents)
    assert len(beside) > 200 and through == beside


def _verdict(case: dict[str, Any]) -> tuple[bool, str, int | None]:
    """Autobahn's OK and NON-STRICT differ where an echo arrives before or behind the fault of the next frame."""
    return case["behavior"] == "FAILED", case["behaviorClose"], case["remoteCloseCode"]
