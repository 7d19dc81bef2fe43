"""The command line on somebody's own machine, against a certified provider and a whole node: from login to logout."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import oidc_provider
from tests.support.laptop import Laptop, Running
from tests.support.node import ROOT
from tests.support.oidc_provider import public
from tests.support.running_lab import running_lab
from tests.support.signing_in import SigningIn, signing_in
from tests.support.surfing import Form, Page, Surfer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(180),
    pytest.mark.skipif(bool(oidc_provider.why_not()), reason=oidc_provider.why_not() or "-"),
]
SHOP = "shop.localhost"
VAULT = "vault.localhost"
API = "https://api.marlow.test"
COMPONENT = """\
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: {name}
  annotations:
    stagedoor.dev/environments: {environment}
    stagedoor.dev/host: {name}.localhost
    stagedoor.dev/upstream: {upstream}
    stagedoor.dev/access: owners
spec: {{type: website, lifecycle: production, owner: team}}
"""
CLIENT = (
    f"command_line: {{client_id: laptop, scopes: [openid, profile], resource: '{API}', mfa_acr_values: [two]}}"
    "\n    client: {id: door"
)
ACCESS = """\
version: 1
environments:
  prod: {owners: [all], everyone: [all]}
  vault: {owners: [all], people: {require: [mfa]}}
"""
SECRET = re.compile(r"[A-Za-z0-9_-]{40,}")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SigningIn]:
    folder = tmp_path_factory.mktemp("node")

    def more(text: str) -> str:
        upstream = re.search(r"upstream: (http\S+)", (folder / "catalog" / "all.yaml").read_text())
        assert upstream is not None
        for name, environment in (("shop", "prod"), ("vault", "vault")):
            said = COMPONENT.format(name=name, environment=environment, upstream=upstream[1])
            (folder / "catalog" / f"{name}.yaml").write_text(said)
        (folder / "access.yaml").write_text(ACCESS)
        more = "vault: {hosts: [vault.localhost], upstreams: [127.0.0.0/8]}, prod: {hosts: [.test, shop.localhost]"
        text = text.replace("prod: {hosts: [.test]", more)
        return text.replace("client: {id: door", CLIENT).replace("audiences: [api]", f"audiences: [api, '{API}']")

    clients = [public("laptop", "http://127.0.0.1/callback")]
    with signing_in(
        folder, more=more, clients=clients, names=[SHOP, VAULT], ttl={"AccessToken": 300}, strength=True
    ) as started:
        yield started


@pytest.fixture
def laptop(tmp_path: Path) -> Laptop:
    return Laptop(tmp_path / "home")


def ca(place: SigningIn) -> Path:
    return place.node.folder / "ca.pem"


def browse(place: SigningIn, surfer: Surfer, address: str, who: str) -> Page:
    """Open the address and sign in as ``who``; the last page."""
    page = surfer.open(address)
    while "/interaction/" in page.url:
        page = surfer.submit(page.form(), login=who)
    return page


def signed_in(place: SigningIn, laptop: Laptop, who: str = "jane", *more: str) -> Running:
    """Ran to its end."""
    with laptop.start("login", f"localhost:{place.node.port}", "--ca", ca(place), *more) as login:
        address = login.wait_for(r"\n  (http\S+/auth\?\S+)")
        login.wait_for("Waiting for the browser")
        page = browse(place, place.browser(), address, who)
        assert login.end() == 0, login.shown
        assert page.status == 200
        assert "You are signed in" in page.text
    return login


def shop(place: SigningIn) -> str:
    return f"https://{SHOP}:{place.node.port}"


def test_somebody_signs_in_calls_a_service_and_signs_out(place: SigningIn, laptop: Laptop) -> None:
    login = signed_in(place, laptop)
    assert "as user:default/jane" in login.out
    assert laptop.opened.read_text() == login.wait_for(r"\n  (http\S+/auth\?\S+)")
    called = laptop.run("curl", "-sS", f"{shop(place)}/cart?x=1")
    assert called.returncode == 0, called.stderr
    assert called.stderr == ""
    out = laptop.run("logout")
    assert (out.returncode, out.stdout) == (0, f"Signed out at localhost:{place.node.port}.\n"), out.stderr
    assert laptop.run("logout", "door.example.com").stdout == "You were not signed in at door.example.com.\n"
    again = laptop.run("curl", "-sS", f"{shop(place)}/cart")
    assert again.returncode == 1
    assert "stagedoor login" in again.stderr


def test_a_browser_is_not_needed_where_there_is_a_device_code(place: SigningIn, laptop: Laptop) -> None:
    with laptop.start("login", f"localhost:{place.node.port}", "--ca", ca(place), "--device", "--json") as login:
        whole = login.wait_for(r"\n  (http\S+user_code=\S+)\n")
        assert re.search(r"\n  [A-Z0-9-]{6,}\n", login.shown)
        surfer = place.browser()
        page = surfer.open(whole)
        while "<h1>Done</h1>" not in page.text:
            assert page.status == 200, page.text
            fields = {"login": "joe"} if "/interaction/" in page.url else {}
            page = surfer.submit(page.form(), **fields)
        assert login.end() == 0, login.shown
    assert json.loads(login.out)["ref"] == "user:default/joe"
    assert not laptop.opened.exists()


def test_the_doors_refusal_is_told_with_what_to_do(place: SigningIn, laptop: Laptop, tmp_path: Path) -> None:
    """Joe is in no team that owns the shop."""
    signed_in(place, laptop, "joe")
    file = tmp_path / "answer"
    for more in ((), ("-i",), ("-o", str(file)), ("-w", "%{http_code}")):
        refused = laptop.run("curl", "-sS", *more, f"{shop(place)}/cart")
        assert refused.returncode == 1
        assert "error: No rule gives the caller access." in refused.stderr
        assert "error: Ask the owners" in refused.stderr
        assert "error: Request id: " in refused.stderr
        assert ('"code":"no_rule"' in refused.stdout) is (more[:1] != ("-o",))


def test_parallel_calls_renew_once_and_lose_nothing(place: SigningIn, laptop: Laptop) -> None:
    """A refresh token is taken once, and a second use ends the sign-in: ten calls at once must use it once."""
    signed_in(place, laptop)
    for _ in range(2):
        age(laptop)
        place.provider.asked()
        started = [laptop.start("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", shop(place)) for _ in range(10)]
        assert [each.end() for each in started] == [0] * 10, [each.shown for each in started]
        assert {each.out for each in started} == {"200"}
        assert place.provider.asked().count("/token") == 1


def age(laptop: Laptop) -> None:
    """The access token is about to expire."""
    (file,) = laptop.sign_ins.glob("*.json")
    kept = json.loads(file.read_text())
    file.write_text(json.dumps({**kept, "renew_at": 0}))


def test_a_sign_in_that_ended_at_the_provider_is_forgotten_with_a_way_on(place: SigningIn, laptop: Laptop) -> None:
    signed_in(place, laptop)
    (file,) = laptop.sign_ins.glob("*.json")
    kept = json.loads(file.read_text())
    file.write_text(json.dumps({**kept, "renew_at": 0, "access_until": 0, "refresh": "worth-nothing"}))
    refused = laptop.run("token", shop(place))
    assert refused.returncode == 1
    assert "invalid_grant" in refused.stderr
    assert f"stagedoor login localhost:{place.node.port}" in refused.stderr
    assert not list(laptop.sign_ins.glob("*.json"))


def test_a_sign_in_whose_twelve_hours_are_over_is_named(place: SigningIn, laptop: Laptop) -> None:
    signed_in(place, laptop)
    (file,) = laptop.sign_ins.glob("*.json")
    kept = json.loads(file.read_text())
    file.write_text(json.dumps({**kept, "signed_in": kept["signed_in"] - 12 * 3600}))
    over = laptop.run("curl", shop(place))
    way = f"your sign-in at `localhost:{place.node.port}` is over: run `stagedoor login localhost:{place.node.port}`"
    assert (over.returncode, over.stderr) == (1, f"error: {way}\n")


def test_a_provider_that_is_away_costs_nobody_a_good_token(place: SigningIn, laptop: Laptop) -> None:
    signed_in(place, laptop)
    age(laptop)
    place.provider.go_away()
    try:
        assert laptop.run("token", shop(place)).returncode == 0
        (file,) = laptop.sign_ins.glob("*.json")
        file.write_text(json.dumps({**json.loads(file.read_text()), "access_until": 0}))
        away = laptop.run("token", shop(place))
    finally:
        place.provider.go_away(0)
    assert away.returncode == 4
    assert "cannot be renewed now" in away.stderr
    assert laptop.run("token", shop(place)).returncode == 0


def test_a_token_goes_to_no_other_host(place: SigningIn, laptop: Laptop) -> None:
    signed_in(place, laptop)
    for url in ("https://evil.example/", f"https://localhost:{place.node.port + 1}/", f"https://evil{SHOP}.com/",
                "https://evil.example:443/.localhost"):  # fmt: skip
        for command in ("token", "curl"):
            refused = laptop.run(command, url)
            assert refused.returncode == 1, (url, refused.stdout)
            assert "no token is sent to" in refused.stderr
            assert refused.stdout == ""
    for url in (f"http://{SHOP}/", f"https://{SHOP}@evil.example/", f"https://evil.example\\@{SHOP}/", "shop"):
        assert laptop.run("token", url).returncode == 2, url


def test_secrets_are_in_no_arguments_and_no_words(place: SigningIn, laptop: Laptop, tmp_path: Path) -> None:
    """What every user of the machine may see of a running curl, and what it tells with -v."""
    login = signed_in(place, laptop)
    token = laptop.run("token", shop(place)).stdout.strip()
    real = tmp_path / "bin" / "curl"
    real.parent.mkdir()
    real.write_text(SPY)
    real.chmod(0o755)
    laptop.environment["PATH"] = f"{real.parent}:{laptop.environment['PATH']}"
    called = laptop.run("curl", "-sSv", "-d", "@-", f"{shop(place)}/cart", typed="the body")
    assert called.returncode == 0, called.stderr
    assert "[the token]" in called.stderr
    (file,) = laptop.sign_ins.glob("*.json")
    refresh = json.loads(file.read_text())["refresh"]
    seen = (laptop.home / "seen").read_text()
    assert "--config" in seen
    for where in (seen, called.stderr, called.stdout.replace('"authorization"', ""), login.shown, login.out):
        assert refresh not in where
    for where in (seen, called.stderr, login.shown, login.out):
        assert token not in where


SPY = """\
#!/bin/sh
tr "\\0" "\\n" < /proc/$$/cmdline >> "$HOME/seen"
env >> "$HOME/seen"
exec /usr/bin/curl "$@"
"""


def test_files_are_this_users_alone(place: SigningIn, laptop: Laptop) -> None:
    signed_in(place, laptop)
    (file,) = laptop.sign_ins.glob("*.json")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(laptop.sign_ins.stat().st_mode) == 0o700
    file.chmod(0o644)
    refused = laptop.run("token", shop(place))
    assert refused.returncode == 4
    assert "not this user's alone" in refused.stderr


RING = """
import json, pathlib
from keyring.backend import KeyringBackend

PLACE = pathlib.Path.home() / "ring.json"

class Ring(KeyringBackend):
    priority = 1
    def _all(self):
        return json.loads(PLACE.read_text()) if PLACE.exists() else {}
    def get_password(self, service, username):
        return self._all().get(f"{service} {username}")
    def set_password(self, service, username, password):
        PLACE.write_text(json.dumps({**self._all(), f"{service} {username}": password}))
    def delete_password(self, service, username):
        PLACE.write_text(json.dumps({k: v for k, v in self._all().items() if k != f"{service} {username}"}))
"""


def test_tokens_are_in_the_systems_keyring_where_there_is_one(place: SigningIn, tmp_path: Path) -> None:
    pytest.importorskip("keyring")
    (tmp_path / "ring.py").write_text(RING)
    laptop = Laptop(tmp_path / "home")
    laptop.environment |= {
        "PYTHON_KEYRING_BACKEND": "ring.Ring", "PYTHONPATH": f"{laptop.environment['PYTHONPATH']}:{tmp_path}",
    }  # fmt: skip
    assert "the system's keyring" in signed_in(place, laptop).out
    (file,) = laptop.sign_ins.glob("*.json")
    ring = json.loads((laptop.home / "ring.json").read_text())
    held = json.loads(ring[f"stagedoor localhost:{place.node.port}"])
    assert held["refresh"] not in file.read_text()
    assert held["access"] not in file.read_text()
    assert laptop.run("token", shop(place)).stdout.strip() == held["access"]
    assert laptop.run("logout", f"localhost:{place.node.port}").returncode == 0
    assert json.loads((laptop.home / "ring.json").read_text()) == {}


def test_only_the_answer_that_is_waited_for_ends_a_sign_in(place: SigningIn, laptop: Laptop) -> None:
    """Anybody on this machine may ask the listener; a second answer, or one without our state, changes nothing."""
    with laptop.start("login", f"localhost:{place.node.port}", "--ca", ca(place)) as login:
        address = login.wait_for(r"\n  (http\S+/auth\?\S+)")
        back = login.wait_for(r"come back to (http\S+)")
        surfer = place.browser()
        for query in ("", "?code=x", "?code=x&state=wrong", "?error=access_denied&state=wrong"):
            assert surfer.get(back + query).status == 400
        assert surfer.get(back, {"Host": "evil.example"}).status == 404
        assert surfer.get(back.replace("/callback", "/other")).status == 404
        assert "You are signed in" in browse(place, surfer, address, "jane").text
        assert login.end() == 0, login.shown


def test_a_mixed_up_answer_and_a_refusal_end_a_sign_in(place: SigningIn, laptop: Laptop) -> None:
    for said, why in (
        ("&code=x&iss=https://evil.example", "is not from"),
        ("&code=x", "is not from"),  # the provider says that it names itself (RFC 9207)
        (f"&error=access_denied&iss={place.provider.issuer}", "access_denied"),
    ):
        with laptop.start("login", f"localhost:{place.node.port}", "--ca", ca(place)) as login:
            state = login.wait_for(r"[?&]state=([^&\s]+)")
            back = login.wait_for(r"come back to (http\S+)")
            page = place.browser().get(f"{back}?state={state}{said}")
            assert page.status == 400
            assert "You are not signed in" in page.text
            assert login.end() in (1, 4)
            assert why in login.shown
            assert state not in login.shown.rpartition("error:")[2]
    assert not laptop.sign_ins.exists() or not list(laptop.sign_ins.glob("*.json"))


def test_a_central_host_whose_certificate_is_not_trusted_gets_nothing(place: SigningIn, laptop: Laptop) -> None:
    refused = laptop.run("login", f"localhost:{place.node.port}")
    assert refused.returncode == 4
    assert "not trusted" in refused.stderr
    assert "--ca" in refused.stderr


def test_what_command_lines_have_to_know_is_for_everybody(place: SigningIn) -> None:
    page = place.browser().get(f"{place.central}/.stagedoor/command-line.json")
    assert page.status == 200
    said: dict[str, Any] = page.json()
    assert said == {
        "form": 1, "central_host": "localhost", "hosts": [".test", "shop.localhost", "vault.localhost"],
        "issuers": [
            {
                "name": "sso", "issuer": place.provider.issuer, "client_id": "laptop", "scopes": ["openid", "profile"],
                "parameters": {"resource": API}, "mfa_acr_values": ["two"],
            }
        ],
    }  # fmt: skip
    assert not SECRET.search(page.text)


# === a stronger sign-in ===


def vault(place: SigningIn) -> str:
    return f"https://{VAULT}:{place.node.port}/gold"


def by_code(place: SigningIn, whole: str, who: str = "jane") -> None:
    """Enter the device's code, and sign in where the provider asks."""
    surfer = place.browser()
    page = surfer.open(whole)
    while "<h1>Done</h1>" not in page.text:
        assert page.status == 200, page.text
        page = surfer.submit(page.form(), **({"login": who} if "/interaction/" in page.url else {}))


def test_a_refusal_that_a_stronger_sign_in_would_mend_says_which(place: SigningIn, laptop: Laptop) -> None:
    signed_in(place, laptop)
    refused = laptop.run("curl", "-sS", vault(place))
    assert refused.returncode == 1
    assert '"code":"requirement_unmet"' in refused.stdout
    assert "error: It asks for mfa.\n" in refused.stderr
    way = f"stagedoor login localhost:{place.node.port} --again --acr-values mfa"
    assert f"error: To sign in so: {way}\n" in refused.stderr
    assert "Sign in so now" not in refused.stderr  # nobody sits there
    assert laptop.run("curl", "-sS", f"{shop(place)}/cart").returncode == 0


def test_in_a_terminal_the_sign_in_is_made_at_once_and_the_call_again(place: SigningIn, laptop: Laptop) -> None:
    signed_in(place, laptop)
    with laptop.sit("curl", "-sS", vault(place)) as call:
        call.wait_for("Sign in so now")
        call.type_in("y\n")
        address = call.wait_for(r"\n  (http\S+/auth\?\S+)")
        assert "&acr_values=two" in address  # the provider's word for what the door calls mfa
        call.wait_for("Waiting for the browser")
        assert "You are signed in" in browse(place, place.browser(), address, "jane").text
        assert call.end() == 0, call.shown
    assert call.shown.count('"code":"requirement_unmet"') == 1
    assert "Signed in at localhost:" in call.shown
    assert " as user:default/jane." in call.shown
    assert call.shown.endswith("\nok")  # what the service says
    assert laptop.run("curl", "-sS", vault(place)).returncode == 0


def test_who_does_not_want_to_keeps_what_they_have(place: SigningIn, laptop: Laptop) -> None:
    signed_in(place, laptop)
    with laptop.sit("curl", "-sS", vault(place)) as call:
        call.wait_for("Sign in so now")
        call.type_in("n\n")
        assert call.end() == 1
    assert laptop.run("curl", "-sS", f"{shop(place)}/cart").returncode == 0


def test_a_stronger_sign_in_by_device_code(place: SigningIn, laptop: Laptop) -> None:
    """Who signed in with a code is shown a code again, and needs to name nothing but the host."""
    with laptop.start("login", f"localhost:{place.node.port}", "--ca", ca(place), "--device") as login:
        by_code(place, login.wait_for(r"\n  (http\S+user_code=\S+)\n"))
        assert login.end() == 0, login.shown
    assert laptop.run("curl", "-sS", vault(place)).returncode == 1
    words = ("login", f"localhost:{place.node.port}", "--again", "--acr-values", "mfa")
    with laptop.start(*words) as login:
        by_code(place, login.wait_for(r"\n  (http\S+user_code=\S+)\n"))
        assert login.end() == 0, login.shown
    assert "as user:default/jane" in login.out
    assert laptop.run("curl", "-sS", vault(place)).returncode == 0


def test_a_token_for_another_client_takes_the_challenge(place: SigningIn, laptop: Laptop) -> None:
    signed_in(place, laptop)
    weak = laptop.run("token", vault(place)).stdout.strip()
    challenge = challenged(place, weak)
    assert 'error="insufficient_user_authentication", acr_values="mfa"' in challenge
    with laptop.start("token", vault(place), "--challenge", challenge) as asking:
        address = asking.wait_for(r"\n  (http\S+/auth\?\S+)")
        asking.wait_for("Waiting for the browser")
        browse(place, place.browser(), address, "jane")
        assert asking.end() == 0, asking.shown
    assert asking.out.strip() not in ("", weak)
    assert challenged(place, asking.out.strip()) == ""
    for said in ("Bearer", 'Bearer realm="x", error="invalid_token"', "x"):
        refused = laptop.run("token", vault(place), "--challenge", said)
        assert (refused.returncode, refused.stdout) == (2, "")


def test_a_challenge_costs_nobody_a_stronger_sign_in(place: SigningIn, laptop: Laptop) -> None:
    """A second factor is asked for again, and a provider that leaves it out replaces nothing. Nor does it hear any
    other word of a challenge."""
    signed_in(place, laptop)
    with laptop.start("login", f"localhost:{place.node.port}", "--again", "--acr-values", "mfa") as login:
        address = login.wait_for(r"\n  (http\S+/auth\?\S+)")
        login.wait_for("Waiting for the browser")
        browse(place, place.browser(), address, "jane")
        assert login.end() == 0, login.shown
    strong = laptop.run("token", vault(place)).stdout.strip()
    said = 'Bearer error="insufficient_user_authentication", acr_values="idp:evil", max_age="0"'
    with laptop.start("token", vault(place), "--challenge", said) as asking:
        address = asking.wait_for(r"\n  (http\S+/auth\?\S+)")
        assert "evil" not in address
        assert "&acr_values=two" in address
        asking.wait_for("Waiting for the browser")
        browse(place, place.browser(), address.replace("&acr_values=two", ""), "jane")
        assert asking.end() == 1, asking.shown
    assert (asking.out, "so that stays" in asking.shown) == ("", True)
    assert laptop.run("token", vault(place)).stdout.strip() == strong
    assert challenged(place, strong) == ""


def challenged(place: SigningIn, token: str) -> str:
    """What the door says to a bearer who is not strong enough; "" for one who is."""
    surfer = Surfer({VAULT: place.node.port}, place.trust)
    page = surfer.get(vault(place), {"Authorization": f"Bearer {token}"})
    assert page.status in (200, 401)
    return page.headers.get("www-authenticate", "")


def test_a_sign_in_that_is_not_what_was_asked_for_is_told(place: SigningIn, laptop: Laptop) -> None:
    """The provider has no such level: it signs in as it does, and the token does not show it."""
    signed_in(place, laptop)
    words = ("login", f"localhost:{place.node.port}", "--again", "--max-age", "0", "--acr-values", "x")
    with laptop.start(*words) as login:
        address = login.wait_for(r"\n  (http\S+/auth\?\S+)")
        assert "&max_age=0" in address
        assert "&prompt=login" in address
        login.wait_for("Waiting for the browser")
        browse(place, place.browser(), address.replace("&acr_values=x", ""), "jane")
        assert login.end() == 5, login.shown
    assert "does not show what was asked for (x)" in login.shown
    alone = laptop.run("login", f"localhost:{place.node.port}", "--max-age", "60")
    assert (alone.returncode, "--again" in alone.stderr) == (2, True)


@pytest.mark.slow
def test_the_lab_signs_laptops_in(laptop: Laptop, tmp_path: Path) -> None:
    """As docs/command-line.md tells somebody to try it."""
    with running_lab(tmp_path / "lab") as lab:
        authorities = lab.root / "certs" / "ca.pem"
        with laptop.start("login", f"localhost:{lab.port}", "--ca", authorities) as login:
            surfer = Surfer({})
            form = surfer.open(login.wait_for(r"\n  (http\S+/authorize\?\S+)")).form()
            page = surfer.submit(Form(form.action, form.method), user="jane", mfa="on")
            assert "You are signed in" in page.text
            assert login.end() == 0, login.shown
        assert "as user:default/jane" in login.out
        called = laptop.run("curl", "-sS", f"https://payments.localhost:{lab.port}/payments")
        assert called.returncode == 0, called.stderr
        assert json.loads(called.stdout)["service"] == "payments"
        age(laptop)
        assert laptop.run("token", f"https://payments.localhost:{lab.port}/").returncode == 0
        (file,) = laptop.sign_ins.glob("*.json")
        assert json.loads(file.read_text())["renew_at"] > 0


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_it_runs_without_any_extra(tmp_path: Path) -> None:
    """The wheel in a new environment: the laptop's commands work, the node's say what they need."""
    made = subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], capture_output=True, check=False)
    if made.returncode:
        pytest.skip(f"no environment can be made here: {made.stderr.decode()[-200:]}")
    shutil.copytree(ROOT, tmp_path / "source", ignore=shutil.ignore_patterns(".*", "*.so", "build", "tests", "bench"))
    python = tmp_path / "venv" / "bin" / "python"
    install: list[str | Path] = [
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "-c",
        ROOT / "constraints.txt",
        tmp_path / "source",
    ]
    got = subprocess.run(install, capture_output=True, check=False, env={**os.environ, "COMPILED": "no"})
    if got.returncode:
        pytest.skip(f"pip cannot install here: {got.stderr.decode()[-300:]}")

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command: list[str | Path] = [tmp_path / "venv" / "bin" / "stagedoor", *words]
        clean = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=clean)

    assert "Sign in at" in run("login", "--help").stdout
    assert "stagedoor login" in run("curl", "https://a.example/").stderr
    assert run("login", "127.0.0.1:1").returncode == 4
    assert run("logout").stdout == "You were signed in nowhere.\n"
    assert "login" in run("--help").stdout
    for words in (("serve", "--config", "x"), ("check",), ("doctor",), ("status",), ("lab", "run")):
        refused = run(*words)
        assert refused.returncode == 2, refused.stderr
        assert "stagedoor[server" in refused.stderr
    listed = json.loads(subprocess.run(
        [python, "-m", "pip", "list", "--format=json"], capture_output=True, check=True, text=True
    ).stdout)  # fmt: skip
    assert {"aiohttp", "cryptography", "pydantic"}.isdisjoint(each["name"].lower() for each in listed)
