"""What a provider may say to a native client: read narrowly, and never repeated where it holds a secret."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from gateway.errors import StagedoorError, Unauthorized
from gateway.laptop.asking import Answer, Away, Web, is_askable
from gateway.laptop.places import Offered
from gateway.laptop.provider import Ended, Provider, Refused, begin, discovered

OFFERED = Offered("sso", "https://sso.example.com", "laptop", ("openid", "email"), {"resource": "https://api"})
METADATA: dict[str, Any] = {
    "issuer": "https://sso.example.com", "authorization_endpoint": "https://sso.example.com/auth?tenant=x",
    "token_endpoint": "https://sso.example.com/token", "revocation_endpoint": "https://sso.example.com/revoke",
    "device_authorization_endpoint": "https://sso.example.com/device", "code_challenge_methods_supported": ["S256"],
}  # fmt: skip
GIVEN = {"access_token": "abc.def", "token_type": "Bearer", "expires_in": 60, "refresh_token": "r1"}


class Scripted(Web):
    """Answers what it is told, and remembers what it was asked."""

    def __init__(self, metadata: dict[str, Any], *answers: Answer) -> None:
        super().__init__()
        self.metadata = metadata
        self.answers = list(answers)
        self.forms: list[dict[str, str]] = []

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> Answer:
        return Answer(200, self.metadata)

    def post(self, url: str, form: Mapping[str, str]) -> Answer:
        self.forms.append(dict(form))
        return self.answers.pop(0)


def provider(*answers: Answer, **metadata: Any) -> tuple[Provider, Scripted]:
    web = Scripted({**METADATA, **metadata}, *answers)
    return discovered(web, OFFERED), web


def test_the_browser_is_sent_with_a_challenge_and_without_its_secret() -> None:
    asked, _ = provider()
    attempt = begin("http://127.0.0.1:5000/callback")
    address = asked.authorization_address(attempt)
    said = parse_qs(urlsplit(address).query)
    assert said["tenant"] == ["x"]
    assert said["code_challenge_method"] == ["S256"]
    assert said["state"] == [attempt.state]
    assert said["resource"] == ["https://api"]
    assert said["scope"] == ["openid email"]
    assert attempt.verifier not in address
    assert attempt.verifier not in repr(attempt)
    assert begin("").state != attempt.state


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://other.example.com"}, {"issuer": "https://sso.example.com/"}, {"token_endpoint": ""},
        {"token_endpoint": "http://sso.example.com/token"}, {"authorization_endpoint": "https://x@sso.example.com/"},
        {"authorization_endpoint": 1}, {"authorization_endpoint": "https://sso.example.com/#x"},
        {"code_challenge_methods_supported": ["plain"]}, {"revocation_endpoint": "file:///etc/passwd"},
    ],
)  # fmt: skip
def test_discovery_that_is_not_the_issuers_ends_it(metadata: dict[str, Any]) -> None:
    with pytest.raises(StagedoorError):
        provider(**metadata)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"code": "c"}, "another question"), ({"code": "c", "state": "other"}, "another question"),
        ({"code": "c", "iss": "https://evil.example"}, "is not from"), ({}, "holds no code"),
        ({"error": "access_denied", "code": "c"}, "access_denied"),
    ],
)  # fmt: skip
def test_an_answer_that_is_no_plain_yes_gives_no_code(said: dict[str, str], why: str) -> None:
    asked, _ = provider()
    attempt = begin("")
    with pytest.raises(StagedoorError, match=why):
        asked.code_in(attempt, {"state": attempt.state, **said} if why != "another question" else said)
    assert asked.code_in(attempt, {"state": attempt.state, "code": "c"}) == "c"


def test_an_issuer_that_names_itself_always_does() -> None:
    asked, _ = provider(authorization_response_iss_parameter_supported=True)
    attempt = begin("")
    with pytest.raises(StagedoorError, match="is not from"):
        asked.code_in(attempt, {"state": attempt.state, "code": "c"})
    assert asked.code_in(attempt, {"state": attempt.state, "code": "c", "iss": OFFERED.issuer}) == "c"


@pytest.mark.parametrize(
    "said",
    [
        {}, {**GIVEN, "access_token": 'a"b'}, {**GIVEN, "access_token": "a\nb"},
        {**GIVEN, "access_token": "x" * 20_000}, {**GIVEN, "token_type": "DPoP"}, {**GIVEN, "refresh_token": 5},
        {**GIVEN, "access_token": None},
    ],
)  # fmt: skip
def test_a_token_that_no_header_can_hold_is_none(said: dict[str, Any]) -> None:
    asked, _ = provider(Answer(200, said))
    with pytest.raises(StagedoorError):
        asked.redeem(begin(""), "c")


@pytest.mark.parametrize(
    ("said", "lifetime_s"), [(60, 60), ("60", 60), (None, 300), (-5, 300), (1e12, 300), (True, 300)]
)
def test_a_lifetime_is_a_number_of_seconds(said: Any, lifetime_s: int) -> None:
    asked, _ = provider(Answer(200, {**GIVEN, "expires_in": said}))
    assert asked.redeem(begin(""), "c").lifetime_s == lifetime_s


def test_renewing_keeps_what_is_not_replaced_and_tells_an_end_from_an_absence() -> None:
    ended = Answer(400, {"error": "invalid_grant"})
    without = {name: value for name, value in GIVEN.items() if name != "refresh_token"}
    asked, web = provider(Answer(200, GIVEN), Answer(200, {**without, "refresh_token": None}), ended, Answer(502, {}))
    assert asked.renew("r0").refresh == "r1"
    assert asked.renew("r0").refresh == "r0"
    with pytest.raises(Ended):
        asked.renew("r0")
    with pytest.raises(Away):
        asked.renew("r0")
    assert web.forms[0]["client_id"] == "laptop"
    assert web.forms[0]["resource"] == "https://api"


def test_words_of_the_provider_that_repeat_a_secret_are_left_out() -> None:
    words = {"error": "invalid_request", "error_description": "bad token r0-the-secret-one"}
    asked, _ = provider(Answer(400, words), Answer(400, {**words, "error_description": "\x1b[2Jtry again"}))
    with pytest.raises(Refused) as refused:
        asked.renew("r0-the-secret-one")
    assert "r0-the-secret-one" not in str(refused.value)
    with pytest.raises(Refused, match=r"\\x1b\[2Jtry again"):
        asked.renew("r0-the-secret-one")


def test_a_device_code_that_leads_elsewhere_is_refused() -> None:
    said = {"device_code": "d", "user_code": "AB\x1b-CD", "verification_uri": "https://sso.example.com/d"}
    bad = {**said, "verification_uri": "javascript:alert(1)"}
    asked, _ = provider(
        Answer(200, said), Answer(200, bad), Answer(400, {"error": "unauthorized_client"}),
        Answer(200, {**said, "verification_uri_complete": "http://evil.example/"}),
    )  # fmt: skip
    assert asked.device_code().user_code == "AB\\x1b-CD"
    with pytest.raises(StagedoorError):
        asked.device_code()
    with pytest.raises(Refused):
        asked.device_code()
    assert asked.device_code().whole_address == ""
    with pytest.raises(StagedoorError, match="no sign-in by device code"):
        provider(device_authorization_endpoint="")[0].device_code()


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("https://a.example/x", True), ("http://127.0.0.1:80/", True), ("http://localhost/", True),
        ("http://a.example/", False), ("file:///etc/passwd", False), ("https://u:p@a.example/", False),
        ("https:///x", False), ("https://a.example:x/", False), ("https://a b/", False), ("https://ä.example/", False),
    ],
)  # fmt: skip
def test_only_https_is_asked_and_this_machine(url: str, asked: bool) -> None:
    assert is_askable(url) is asked


def test_a_refusal_by_the_person_is_one() -> None:
    asked, _ = provider()
    attempt = begin("")
    with pytest.raises(Unauthorized):
        asked.code_in(attempt, {"state": attempt.state, "error": "access_denied"})
