"""Settings of sign-in: read from YAML, and every one that would let nobody in, or keep somebody too long, refused."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from gateway import config, config_load
from gateway.config.sign_in import Client, EnvironmentSessions, Sessions

HEAD = """\
listeners: [{name: main, address: "127.0.0.1:8443"}]
catalog: {files: [catalog]}
access_policy: access.yaml
state: {folder: state}
"""
PROD = "environments: {prod: {hosts: [.example.com], upstreams: [10.0.0.0/8]}}\n"
CENTRAL = "central_host: door.example.com\n"
BY_SECRET = "id: door, secret_file: secret"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "access.yaml").write_text("version: 1\n")
    (tmp_path / "secret").write_text("s3cret\n")
    private(tmp_path / "key.pem", ec.generate_private_key(ec.SECP256R1()))
    return tmp_path


def private(file: Path, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, password: bytes = b"") -> None:
    file.touch(0o600)
    sealed = BestAvailableEncryption(password) if password else NoEncryption()
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, sealed))


def load(folder: Path, text: str) -> config.Settings:
    (folder / "stagedoor.yaml").write_text(HEAD + text)
    return config_load.load(folder / "stagedoor.yaml", {})


def faults_of(folder: Path, text: str) -> list[str]:
    with pytest.raises(config_load.ConfigFaults) as raised:
        load(folder, text)
    return [line.partition(": ")[2] for line in str(raised.value).splitlines()]


def idp(client: str, name: str = "sso", more: str = "match: {sub: metadata.name}") -> str:
    return f"  - {{name: {name}, issuer: 'https://{name}.test', audiences: [api], {more}, client: {{{client}}}}}\n"


def issuers(*each: str) -> str:
    return PROD + CENTRAL + "issuers:\n" + "".join(each)


def test_what_is_left_out_is_the_usual(folder: Path) -> None:
    settings = load(folder, issuers(idp(BY_SECRET)))
    assert settings.issuers[0].client == Client("door", str(folder / "secret"))
    assert settings.sessions == Sessions()
    assert settings.environments["prod"].sessions == EnvironmentSessions()
    assert config.decode(config.encode(settings)) == settings


def test_everything_can_be_said(folder: Path) -> None:
    keys = folder / "keys"
    keys.touch(0o600)
    keys.write_text(f"a {b64encode(bytes(32)).decode()}\n")
    client = (
        "id: door, key_file: key.pem, scopes: [openid, offline_access], userinfo: true, hosts: [.Partner.example.com], "
        "domains: [Partner.example], mfa_acr_values: [phr]"
    )
    text = issuers(idp(client)).replace("10.0.0.0/8]", "10.0.0.0/8], sessions: {idle: 5m, absolute: 1h}")
    settings = load(folder, text + "sessions: {idle: 1h, absolute: 8h, offline: 0s, refresh: 5m, keys_file: keys}\n")
    assert settings.issuers[0].client == Client(
        "door", "", str(folder / "key.pem"), "private_key_jwt", ("openid", "offline_access"), True,
        (".partner.example.com",), ("partner.example",), ("phr",),
    )  # fmt: skip
    assert settings.sessions == Sessions(3600, 8 * 3600, 0, 300, str(keys))
    assert settings.environments["prod"].sessions == EnvironmentSessions(300, 3600)
    assert config.decode(config.encode(settings)) == settings


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (issuers(idp(BY_SECRET)).replace(CENTRAL, ""), "`client` needs `central_host`"),
        (issuers(idp("id: api, secret_file: secret")), "would pass for an access token"),
        (issuers(idp("id: door")), "`client_secret_basic` needs `secret_file`"),
        (issuers(idp("id: door, method: private_key_jwt, secret_file: secret")), "needs `key_file`"),
        (issuers(idp(f"{BY_SECRET}, key_file: key.pem")), "is not used by"),
        (issuers(idp(f"{BY_SECRET}, scopes: [profile]")), "add `openid`"),
        (issuers(idp(f"{BY_SECRET}, scopes: ['openid profile']")), "a scope holds no space"),
        (issuers(idp(BY_SECRET, more="preset: kubernetes")), "knows programs alone"),
        (
            issuers(idp(f"{BY_SECRET}, domains: [x.test]"), idp(f"{BY_SECRET}, domains: [X.test]", "other")),
            "leads to issuer `sso` and to `other`",
        ),
        (PROD + "sessions: {idle: 9h, absolute: 8h}\n", "`sessions.idle` is longer"),
        (PROD + "sessions: {idle: 0s}\n", "too short for anybody"),
        (PROD.replace("/8]", "/8], sessions: {idle: 3h}"), "longer than `sessions.idle`"),
        (PROD.replace("/8]", "/8], sessions: {absolute: 0s}"), "too short for anybody"),
        (PROD.replace("/8]", "/8], sessions: {idle: 0s}"), "`idle` of `prod` is too short for anybody"),
        (PROD.replace("/8]", "/8], sessions: {idle: 9s}"), "shorter than a pause can be told"),
        (issuers(idp("id: door, secret_file: none")), "cannot read"),
        (issuers(idp("id: door, key_file: secret")), "no private key in PEM"),
        (PROD + "sessions: {keys_file: secret}\n", "holds no keys of sessions"),
    ],
)
def test_what_would_let_nobody_in_or_keep_somebody_is_refused(folder: Path, text: str, fault: str) -> None:
    assert any(fault in each for each in faults_of(folder, text)), faults_of(folder, text)


def test_a_key_that_signs_for_no_client_is_refused(folder: Path) -> None:
    text = issuers(idp("id: door, key_file: key.pem"))
    key = folder / "key.pem"
    private(key, ec.generate_private_key(ec.SECP384R1()))
    assert any("not on the curve P-256" in each for each in faults_of(folder, text))
    private(key, ec.generate_private_key(ec.SECP256R1()), b"word")
    assert any("without a password" in each for each in faults_of(folder, text))
    private(key, rsa.generate_private_key(public_exponent=65537, key_size=1024))
    assert any("1024 bits" in each for each in faults_of(folder, text))
    private(key, ec.generate_private_key(ec.SECP256R1()))
    key.chmod(0o644)
    assert any("others than its owner" in each for each in faults_of(folder, text))
