"""Which addresses there are for a token, and how a central host and its document are read."""

from __future__ import annotations

from typing import Any

import click
import pytest

from gateway.config import Catalog, Environment, Issuer, Settings
from gateway.config.sign_in import CommandLine
from gateway.control.api.command_line import command_line_document
from gateway.errors import StagedoorError
from gateway.laptop.places import Place, central_at, chosen, described, may_have_token, target_at

CENTRAL = Place("door.example.com", 443)
SAID: dict[str, Any] = {
    "form": 1, "central_host": "door.example.com", "hosts": [".apps.example.com"],
    "issuers": [
        {"name": "sso", "issuer": "https://sso", "client_id": "laptop", "scopes": ["openid"], "parameters": {}},
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("written", "place"),
    [
        ("door.example.com", CENTRAL),
        ("https://Door.Example.com/", CENTRAL),
        ("localhost:8443", Place("localhost", 8443)),
    ],
)
def test_a_central_host_may_be_written_so(written: str, place: Place) -> None:
    assert central_at(written) == place


@pytest.mark.parametrize(
    "written", ["", "http://door.example.com", "a b", "-x", "door.example.com/portal", "x@door", "door:0", "door:99999"]
)
def test_and_not_so(written: str) -> None:
    with pytest.raises(click.UsageError):
        central_at(written)


@pytest.mark.parametrize(
    ("url", "same", "place"),
    [
        ("https://a.example/x?y=1", "https://a.example/x?y=1", Place("a.example", 443)),
        ("https://a.example:443", "https://a.example/", Place("a.example", 443)),
        ("HTTPS://A.example:8443/x#part", "https://a.example:8443/x", Place("a.example", 8443)),
        ("https://a.example?x", "https://a.example/?x", Place("a.example", 443)),
    ],
)
def test_an_address_has_one_spelling(url: str, same: str, place: Place) -> None:
    assert target_at(url) == (same, place)


@pytest.mark.parametrize(
    "url",
    ["http://a.example/", "https://jane@a.example/", "https://a.example\\@b.example/", "https://{a,b}.example/",
     "https://[::1]/", "https:///x", "a.example", "https://a.example/ x", "https://a.example/\n", "https://a.example./",
     "https://a%2eexample/", "https://á.example/", "ftp://a.example/", "https://a.example:/", "--url"],
)  # fmt: skip
def test_what_curl_might_read_another_way_is_refused(url: str) -> None:
    with pytest.raises(click.UsageError):
        target_at(url)


@pytest.mark.parametrize(
    ("host", "port", "may"),
    [
        ("door.example.com", 443, True), ("pay.apps.example.com", 443, True), ("a.b.apps.example.com", 443, True),
        ("shop.example.com", 443, True), ("x.wild.example.com", 443, True),
        ("pay.apps.example.com", 8443, False), ("door.example.com", 8443, False), ("apps.example.com", 443, False),
        ("evilapps.example.com", 443, False), ("apps.example.com.evil.org", 443, False),
        ("y.x.wild.example.com", 443, False), ("wild.example.com", 443, False), ("evil.org", 443, False),
    ],
)  # fmt: skip
def test_a_token_goes_where_an_environment_may_publish(host: str, port: int, may: bool) -> None:
    hosts = (".apps.example.com", "shop.example.com", "*.wild.example.com")
    assert may_have_token(Place(host, port), CENTRAL, hosts) is may


def test_the_document_that_control_writes_is_the_one_that_is_read() -> None:
    command_line = CommandLine("laptop", ("openid",), "https://api")
    settings = Settings(
        listeners=(), catalog=Catalog(), access_policy="", state_folder="", central_host="door.example.com",
        issuers=(
            Issuer("sso", "https://sso.example.com", ("https://api",), command_line=command_line),
            Issuer("auth0", "https://a.example.com", ("https://api",), preset="auth0", command_line=command_line),
            Issuer("other", "https://other.example.com", ("api",)),
        ),
        environments={
            "prod": Environment("prod", (".apps.example.com",), ()),
            "dev": Environment("dev", (".dev.example.com", ".apps.example.com"), ()),
        },
    )  # fmt: skip
    node = described(CENTRAL, command_line_document(settings))
    assert node.hosts == (".apps.example.com", ".dev.example.com")
    assert [each.name for each in node.offers] == ["sso", "auth0"]
    assert [each.parameters for each in node.offers] == [{"resource": "https://api"}, {"audience": "https://api"}]


@pytest.mark.parametrize(
    "change",
    [
        {"form": 2}, {"hosts": "x"}, {"hosts": ["a b"]}, {"hosts": ["."]}, {"hosts": [""]}, {"issuers": [1]},
        {"issuers": [{**SAID["issuers"][0], "scopes": ["a b"]}]},
        {"issuers": [{**SAID["issuers"][0], "client_id": ""}]},
        {"issuers": [{**SAID["issuers"][0], "parameters": {"prompt": "none"}}]},
        {"issuers": [{**SAID["issuers"][0], "issuer": None}]},
        {"issuers": [{**SAID["issuers"][0], "mfa_acr_values": "gold"}]},
        {"issuers": [{**SAID["issuers"][0], "mfa_acr_values": ["a b"]}]},
        {"central_host": "other.example.com"}, {"central_host": None},
    ],
)  # fmt: skip
def test_a_document_of_another_form_is_refused(change: dict[str, Any]) -> None:
    described(CENTRAL, SAID)
    with pytest.raises(StagedoorError):
        described(CENTRAL, {**SAID, **change})


def test_a_node_may_say_what_its_issuer_calls_a_second_factor() -> None:
    """One of an earlier version says nothing."""
    (silent,) = described(CENTRAL, SAID).offers
    assert silent.mfa_acr_values == ()
    (told,) = described(CENTRAL, {**SAID, "issuers": [{**SAID["issuers"][0], "mfa_acr_values": ["gold"]}]}).offers
    assert told.mfa_acr_values == ("gold",)


def test_of_several_issuers_one_is_named() -> None:
    one = described(CENTRAL, SAID).offers
    assert chosen(CENTRAL, one, "").name == "sso"
    two = (*one, one[0]._replace(name="partners"))
    assert chosen(CENTRAL, two, "partners").name == "partners"
    with pytest.raises(click.UsageError, match="--issuer"):
        chosen(CENTRAL, two, "")
    with pytest.raises(click.UsageError, match="`sso`"):
        chosen(CENTRAL, one, "nobody")
    with pytest.raises(StagedoorError, match="command_line"):
        chosen(CENTRAL, (), "")
