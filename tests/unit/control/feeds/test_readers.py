"""Who counts as a reader: by the door's word about the address alone, and by what is asked for beside it."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.config.devices import Readers
from gateway.control.feeds.readers import Asker, Judgement, judged

HERE = ("198.51.100.0/24", "2001:db8::/64")
OLD, NEW = "a-password-of-this-year", "a-password-of-next-year"


def asker(client: str = "198.51.100.7", *fields: str, certificate: Sequence[str] = (), is_https: bool = True) -> Asker:
    return Asker(client, tuple(certificate), is_https, fields)


def basic(user: str, password: str, scheme: str = "Basic") -> str:
    return f"{scheme} {b64encode(f'{user}:{password}'.encode()).decode()}"


@pytest.fixture
def guarded(tmp_path: Path) -> Readers:
    """With a password that is being replaced."""
    files = []
    for name, secret in (("old", OLD), ("new", NEW)):
        (tmp_path / name).write_text(secret + "\n")
        files.append(str(tmp_path / name))
    return Readers(HERE, "dc1", tuple(files))


@pytest.mark.parametrize("client", ["198.51.100.7", "198.51.100.255", "2001:db8::9", "::ffff:198.51.100.7"])
def test_whoever_asks_from_a_network_is_welcome(client: str) -> None:
    assert judged(Readers(HERE), asker(client)) is Judgement.WELCOME


@pytest.mark.parametrize(
    "client",
    ["198.51.101.7", "203.0.113.9", "2001:db8:0:1::9", "", "unknown", "198.51.100.7, 203.0.113.9", "fe80::1%1"],
)
def test_nobody_else_is(client: str) -> None:
    assert judged(Readers(HERE), asker(client)) is Judgement.FOREIGN


def test_without_networks_nobody_is() -> None:
    assert judged(Readers(), asker()) is Judgement.FOREIGN


def test_a_password_is_asked_for_beside_the_address(guarded: Readers) -> None:
    assert judged(guarded, asker()) is Judgement.CHALLENGED
    assert judged(guarded, asker("203.0.113.9", basic("dc1", OLD))) is Judgement.FOREIGN


@pytest.mark.parametrize("secret", [OLD, NEW])
@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC "])
def test_each_of_two_passwords_counts(guarded: Readers, secret: str, scheme: str) -> None:
    assert judged(guarded, asker("198.51.100.7", basic("dc1", secret, scheme))) is Judgement.WELCOME


@pytest.mark.parametrize(
    "fields",
    [
        [basic("dc1", "another")], [basic("dc2", OLD)], [basic("dc1", OLD[:-1])], [basic("dc1", "")],
        [basic("", OLD)], ["Basic"], ["Basic !!!!"], ["Basic " + "A" * 9000], [f"Bearer {OLD}"],
        [basic("dc1", OLD), basic("dc1", OLD)], [""], ["Basic ZGMx"],
    ],
)  # fmt: skip
def test_a_wrong_password_is_a_challenge(guarded: Readers, fields: list[str]) -> None:
    assert judged(guarded, asker("198.51.100.7", *fields)) is Judgement.CHALLENGED


def test_no_password_is_asked_for_or_taken_in_the_clear(guarded: Readers) -> None:
    for fields in ((), (basic("dc1", OLD),)):
        assert judged(guarded, asker("198.51.100.7", *fields, is_https=False)) is Judgement.FOREIGN


def test_a_file_of_ours_that_cannot_be_read_is_never_a_wrong_password(guarded: Readers) -> None:
    """A firewall that is told "wrong password" stops enforcing its list."""
    Path(guarded.password_files[1]).unlink()
    assert judged(guarded, asker("198.51.100.7", basic("dc1", OLD))) is Judgement.WELCOME
    with pytest.raises(OSError, match="new"):
        judged(guarded, asker("198.51.100.7", basic("dc1", NEW)))


def test_a_certificate_counts_by_one_of_its_names() -> None:
    readers = Readers(HERE, certificates=("dns:bigip.test", "spiffe://test/bigip"))
    assert judged(readers, asker(certificate=("dns:other", "dns:bigip.test"))) is Judgement.WELCOME
    for names in ((), ("dns:other",), ("bigip.test",)):
        assert judged(readers, asker(certificate=names)) is Judgement.FOREIGN
    assert judged(readers, asker("203.0.113.9", certificate=("dns:bigip.test",))) is Judgement.FOREIGN
