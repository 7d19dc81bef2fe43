"""`--url`: the command line asks a running node over its central host, and shows what it shows of files."""

from __future__ import annotations

import http.server
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from tests.support.central import HOST, CentralNode, central_node

ENTRIES = "https://ledger.test/entries"


@pytest.fixture(scope="module")
def central(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CentralNode]:
    with central_node(tmp_path_factory.mktemp("central")) as node:
        yield node


@pytest.fixture
def tokens(central: CentralNode, tmp_path: Path) -> Path:
    for name in ("root", "olga", "joe", "robot-id"):
        (tmp_path / name).write_text(central.token(name) + "\n")
    return tmp_path


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def remotely(central: CentralNode, token: Path, *words: object) -> Result:
    return run(*words, "--url", f"http://{HOST}:{central.node.port}", "--token-file", token)


def on_files(central: CentralNode, *words: object) -> Result:
    return run(*words, "--config", central.node.folder / "stagedoor.yaml")


@pytest.mark.parametrize("form", [(), ("--json",)], ids=["text", "json"])
@pytest.mark.parametrize(
    "words",
    [
        ("explain", "GET", ENTRIES, "--user", "olga"),
        ("explain", "GET", ENTRIES, "--client", "robot-id", "--scope", "ledger:read"),
        ("explain", "GET", ENTRIES, "--client", "robot-id"),
        ("explain", "POST", "https://nothing.test/", "--anonymous"),
        ("explain", "GET", "https://echo.test/", "--user", "olga", "--mfa", "--from", "192.0.2.1", "--certificate"),
        ("who-can", "GET", ENTRIES),
        ("who-can", "GET", "https://echo.test/", "--all"),
        ("who-can", "GET", "https://echo.test/"),
        ("who-can", "PUT", "https://ledger.test/entries"),
        ("who-can", "GET", "https://nothing.test/"),
        ("what-can", "olga", "--all"),
        ("what-can", "component:default/robot"),
        ("what-can", "group:default/books", "--environment", "prod", "--service", "ledger"),
    ],
    ids=" ".join,
)
def test_an_administrator_sees_what_the_files_say(
    central: CentralNode, tokens: Path, words: tuple[str, ...], form: tuple[str, ...]
) -> None:
    told, found = remotely(central, tokens / "root", *words, *form), on_files(central, *words, *form)
    assert (told.stdout, told.exit_code) == (found.stdout, found.exit_code)
    assert told.stdout


@pytest.mark.parametrize("form", [(), ("--json",)], ids=["text", "json"])
def test_a_rule_is_told_as_the_files_tell_it(central: CentralNode, tokens: Path, form: tuple[str, ...]) -> None:
    rule = json.loads(on_files(central, "explain", "GET", ENTRIES, "--user", "olga", "--json").stdout)["rule"]
    told, found = remotely(central, tokens / "root", "why", rule, *form), on_files(central, "why", rule, *form)
    assert (told.stdout, told.exit_code) == (found.stdout, found.exit_code)
    gone = remotely(central, tokens / "root", "why", "r-none", *form)
    unknown = on_files(central, "why", "r-none", *form)
    assert (gone.stdout, gone.stderr, gone.exit_code) == (unknown.stdout, unknown.stderr, unknown.exit_code)


def test_who_says_nobody_asks_about_themselves(
    central: CentralNode, tokens: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = remotely(central, tokens / "olga", "explain", "GET", ENTRIES)
    assert (mine.exit_code, mine.stdout.split()[:2]) == (0, ["allowed", "owner"])
    assert "user:default/olga" in remotely(central, tokens / "olga", "what-can").stdout
    monkeypatch.setenv("STAGEDOOR_TOKEN", central.token("joe"))
    refused = run("explain", "GET", ENTRIES, "--url", f"http://{HOST}:{central.node.port}")
    assert (refused.exit_code, refused.stdout.split()[1]) == (1, "no_rule")


def test_what_is_not_answered_is_no_refused_call(central: CentralNode, tokens: Path) -> None:
    """1 says that the call is refused; a question that is not answered exits with 4, and stdout stays empty."""
    for words in (("explain", "GET", ENTRIES, "--user", "olga"), ("who-can", "GET", ENTRIES), ("why", "r-none")):
        result = remotely(central, tokens / "joe", *words)
        assert (result.exit_code, result.stdout) == (4, "")
        assert "You may not ask about this." in result.stderr
    unknown = remotely(central, tokens / "root", "what-can", "olgga")
    assert unknown.exit_code == 2
    assert "did you mean" in unknown.stderr


def test_a_token_is_named_and_never_said(central: CentralNode, tokens: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STAGEDOOR_TOKEN", raising=False)
    url = f"http://{HOST}:{central.node.port}"
    (tokens / "empty").write_text("\n")
    (tokens / "words").write_text("two words")
    for words, code, said in [
        (("--url", url), 3, "there is no token"),
        (("--url", url, "--token-file", tokens / "empty"), 3, "is empty"),
        (("--url", url, "--token-file", tokens / "words"), 3, "holds no token"),
        (("--url", url, "--token-file", tokens / "none"), 3, "cannot read"),
        (("--url", url, "--token", "x"), 2, "No such option"),
        (("--token-file", tokens / "root", "--anonymous"), 2, "belong to --url"),
        (("--url", url, "--token-file", tokens / "root", "--config", "x"), 2, "either --url or --config"),
        (("--url", "http://door.example.com", "--token-file", tokens / "root"), 2, "use https"),
        (("--url", "localhost:8443", "--token-file", tokens / "root"), 2, "is no central host"),
        (("--url", "https://localhost:99999", "--token-file", tokens / "root"), 2, "is no central host"),
        (("--url", "https://[::1", "--token-file", tokens / "root"), 2, "is no central host"),
        (("--url", "https://localhost@evil.test", "--token-file", tokens / "root"), 2, "is no central host"),
        (("--url", url + "/x", "--token-file", tokens / "root"), 2, "is no central host"),
        (("--url", "https://localhost:1", "--token-file", tokens / "root"), 4, "cannot ask"),
        (("--url", url, "--token-file", tokens / "root", "--ca", tokens / "words"), 0, ""),  # plain HTTP needs none
    ]:
        result = run("explain", "GET", "https://echo.test/", *words)
        assert result.exit_code == code, (words, result.output)
        assert said in result.stderr
        assert central.token("root")[:20] not in result.output


class Elsewhere(http.server.BaseHTTPRequestHandler):
    """Answers with whatever the path of its server says."""

    asked: list[str] = []  # noqa: RUF012 - one server, made for one test
    first: list[bytes] = []  # noqa: RUF012 - what is answered before ``body``
    status, body, location = 200, b"{}", ""

    def do_GET(self) -> None:
        self.asked.append(self.path)
        body = self.first.pop(0) if self.first else self.body
        self.send_response(self.status)
        if self.location:
            self.send_header("Location", self.location)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def elsewhere() -> Iterator[http.server.ThreadingHTTPServer]:
    Elsewhere.asked, Elsewhere.first = [], []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(5)


def explained(**changes: object) -> bytes:
    said: dict[str, object] = {
        "decision": "permit", "reason": "owner", "status": 0, "sentence": "", "todo": "", "caller": "", "exposure": "",
        "operation": "", "rule": "", "because": "", "source": {"file": "", "line": 0, "entity": ""}, "need": [],
    }  # fmt: skip
    return json.dumps(said | changes).encode()


@pytest.mark.parametrize("form", [(), ("--json",)], ids=["text", "json"])
def test_nothing_that_a_node_says_commands_the_terminal(
    elsewhere: http.server.ThreadingHTTPServer, tokens: Path, form: tuple[str, ...]
) -> None:
    hostile = "\x1b[31m\x9b2J\x7f\u202e"
    texts = dict.fromkeys(("reason", "sentence", "todo", "caller", "exposure", "rule", "because"), hostile)
    Elsewhere.status, Elsewhere.location = 200, ""
    Elsewhere.body = explained(**texts, need=[hostile], source={"file": hostile, "line": 1, "entity": hostile})
    url = f"http://127.0.0.1:{elsewhere.server_address[1]}"
    result = run("explain", "GET", ENTRIES, *form, "--url", url, "--token-file", tokens / "root")
    assert result.exit_code == 0
    assert "[31m" in result.stdout
    assert all(each.isprintable() for each in result.stdout.splitlines())


def test_pages_of_two_policies_are_not_put_together(elsewhere: http.server.ThreadingHTTPServer, tokens: Path) -> None:
    """People would be shown below a rule that is not theirs."""

    def page(rule: str, following: str) -> bytes:
        entry = {
            "kind": "person", "everybody": False, "count": 2, "reason": "owner", "rule": rule, "sentence": "",
            "because": "", "source": {"file": "", "line": 0, "entity": ""}, "subject": "", "scopes": [], "needs": [],
            "members": [{"ref": f"user:default/{rule}", "teams": []}],
        }  # fmt: skip
        said = {"reason": "", "exposure": "", "operations": [], "public": None, "allowed": [entry], "denied": []}
        return json.dumps({**said, "next": following}).encode()

    url = f"http://127.0.0.1:{elsewhere.server_address[1]}"
    Elsewhere.status, Elsewhere.location = 200, ""
    for second, code, said in (("r-a", 0, "user:default/r-a"), ("r-b", 4, "ask again")):
        Elsewhere.first, Elsewhere.body = [page("r-a", "m")], page(second, "")
        result = run("who-can", "GET", ENTRIES, "--url", url, "--token-file", tokens / "root")
        assert result.exit_code == code, result.output
        assert said in result.output


def test_a_status_line_that_is_none_is_shown_as_plain_text(tokens: Path) -> None:
    def answer(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"\x1b]0;title\x07\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=answer, args=(listening,), daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        result = run("explain", "GET", ENTRIES, "--url", url, "--token-file", tokens / "root")
        thread.join(5)
    assert result.exit_code == 4
    assert "cannot ask" in result.stderr
    assert all(each.isprintable() for each in result.stderr.splitlines())


@pytest.mark.parametrize(
    ("status", "body", "location", "said"),
    [
        (302, b"", "/elsewhere", "no JSON"),
        (200, b"<html>", "", "no JSON"),
        (200, b"[]", "", "no JSON"),
        (200, b'{"decision": "permit"}', "", "like another version"),
        (500, b'{"title": "Broken \\u001b[31m", "code": "failed"}', "", "Broken \\x1b[31m"),
        (400, b'{"title": "Broken", "errors": [1, "x", null]}', "", "Broken"),
        (200, explained(source="x"), "", "like another version"),
        (200, explained(need=5), "", "like another version"),
        (200, explained(status="\x1b[2J"), "", "like another version"),
        (200, explained(sentence=None), "", "like another version"),
    ],
)
def test_a_server_that_is_none_of_ours_gets_no_further(
    elsewhere: http.server.ThreadingHTTPServer, tokens: Path, status: int, body: bytes, location: str, said: str
) -> None:
    """No redirect is followed with the token, and nothing that it says reaches the terminal as it is."""
    Elsewhere.status, Elsewhere.body, Elsewhere.location = status, body, location
    url = f"http://127.0.0.1:{elsewhere.server_address[1]}"
    result = run("explain", "GET", ENTRIES, "--url", url, "--token-file", tokens / "root")
    assert (result.exit_code, result.stdout) == (4, "")
    assert said in result.stderr
    assert len(Elsewhere.asked) == 1
