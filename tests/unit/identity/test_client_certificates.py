"""Which certificates count, and whom they name: every name an attacker could put into one, every way to pass one on."""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from ipaddress import ip_address

import pytest
from cryptography import x509

from gateway.identity.client_certificates import CHAIN_LIMIT, FIELD_BYTES, NAMES_LIMIT, Authorities, ClientCertificate
from tests.support.client_authority import DAY_S, SERVER_AUTH, Certified, ClientAuthority, dns, passed_on, uri
from tests.support.tokens import NOW

SPIFFE_ID = "spiffe://marlow.example/ns/money/sa/payments"


@cache
def authority() -> ClientAuthority:
    return ClientAuthority(now=NOW)


@cache
def authorities() -> Authorities:
    return Authorities(authority().own.pem)


def names(*said: x509.GeneralName) -> tuple[str, ...]:
    """The names both ways agree on."""
    leaf = authority().leaf(*said)
    read, verified = authorities().read(leaf.der), authorities().verify(leaf.field, NOW)
    assert isinstance(verified, ClientCertificate)
    assert read is not None
    assert (read.names, read.thumbprint) == (verified.names, verified.thumbprint)
    return verified.names


def refused(field: bytes, now: int = NOW, by: Authorities | None = None) -> str:
    why = (by or authorities()).verify(field, now)
    assert isinstance(why, str)
    return why


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ((uri(SPIFFE_ID),), (SPIFFE_ID,)),
        ((uri(SPIFFE_ID), dns("payments.money.svc")), (SPIFFE_ID, "dns:payments.money.svc")),
        ((dns("Payments.Example"), dns("payments.example")), ("dns:payments.example",)),
        ((uri("https://payments.example/"),), ("https://payments.example/",)),
        ((dns("*.example"),), ()),
        ((uri("payments"),), ()),
        ((uri("github:marlow/payments"),), ()),
        ((x509.RFC822Name("jane@marlow.example"),), ()),
        ((x509.IPAddress(ip_address("10.0.0.1")),), ()),
        ((uri(SPIFFE_ID), uri("spiffe://marlow.example/other")), ()),
        ((uri(SPIFFE_ID), uri("https://other.example")), ()),
        ((uri("spiffe://marlow.example/a/../b"),), ()),
        ((uri("SPIFFE://marlow.example/a"),), ()),
        ((uri("spiffe://marlow.example"),), ()),
        ((uri("spiffe://marlow.example/a\x00b"),), ()),
        ((uri("spiffe://marlow.example/" + "a" * 300),), ()),
        ((uri("https://x.example/a\x00b"),), ()),
        (tuple(dns(f"n{number}.example") for number in range(NAMES_LIMIT + 1)), ()),
    ],
)  # fmt: skip
def test_a_certificate_names_a_program_by_uri_and_dns_name_alone(
    said: tuple[x509.GeneralName, ...], expected: tuple[str, ...]
) -> None:
    """What more than one program could have, what reads two ways, what belongs to platforms: nobody."""
    assert names(*said) == expected


def test_a_common_name_names_nobody() -> None:
    leaf = authority().leaf(dns("a.example"), common_name=SPIFFE_ID)
    read = authorities().read(leaf.der)
    assert read is not None
    assert read.names == ("dns:a.example",)
    nameless = authorities().read(authority().leaf(common_name=SPIFFE_ID).der)
    assert nameless is not None
    assert nameless.names == ()


def test_the_thumbprint_is_that_of_rfc_8705() -> None:
    leaf = authority().leaf(uri(SPIFFE_ID))
    read = authorities().read(leaf.der)
    assert read is not None
    assert read.thumbprint == base64.urlsafe_b64encode(sha256(leaf.der).digest()).rstrip(b"=").decode()


def test_a_certificate_counts_from_its_first_to_its_last_second() -> None:
    leaf = authority().leaf(uri(SPIFFE_ID), begins_s=-10, ends_s=100)
    verified = authorities().verify(leaf.field, NOW)
    assert isinstance(verified, ClientCertificate)
    assert (verified.begins, verified.ends) == (NOW - 10, NOW + 100)
    assert refused(leaf.field, NOW + 101)
    assert refused(leaf.field, NOW - 11)


def test_a_chain_ends_with_its_first_certificate_to_end() -> None:
    between = ClientAuthority("between", now=NOW - 29 * DAY_S, parent=authority())
    leaf = between.leaf(uri(SPIFFE_ID), begins_s=29 * DAY_S - 5, ends_s=60 * DAY_S)
    verified = authorities().verify(passed_on(leaf.pem + between.own.pem), NOW)
    assert isinstance(verified, ClientCertificate)
    assert verified.ends == NOW + DAY_S
    with_bundle = Authorities(authority().own.pem + between.own.pem)
    assert isinstance(with_bundle.verify(leaf.field, NOW), ClientCertificate), "between in the operator's file"
    assert refused(leaf.field), "between nowhere"


def test_who_signed_must_be_an_authority_of_this_listener() -> None:
    stranger = ClientAuthority(now=NOW)
    assert refused(stranger.leaf(uri(SPIFFE_ID)).field)
    assert refused(passed_on(stranger.leaf(uri(SPIFFE_ID)).pem + stranger.own.pem)), "an authority it brings itself"


def test_a_leaf_signs_nobody() -> None:
    leaf = authority().leaf(uri(SPIFFE_ID))
    forger = ClientAuthority(now=NOW)
    forger.key, forger.subject = leaf.key, leaf.certificate.subject
    forged = forger.leaf(uri("spiffe://marlow.example/admin"))
    assert refused(passed_on(forged.pem + leaf.pem))


def test_an_authority_is_no_client() -> None:
    below = authority().leaf(uri(SPIFFE_ID), ca=True, uses=())
    assert authorities().read(below.der) is None
    assert refused(below.field)


def test_a_servers_certificate_is_no_clients() -> None:
    assert refused(authority().leaf(uri(SPIFFE_ID), uses=(SERVER_AUTH,)).field)


def good() -> Certified:
    return authority().leaf(uri(SPIFFE_ID))


FORMS: dict[str, Callable[[Certified], bytes]] = {
    "percent-encoded": lambda each: each.field,
    "percent-encoded-lower-case": lambda each: each.field.replace(b"%2B", b"%2b").replace(b"%0A", b"%0a"),
    "plus-as-it-is": lambda each: each.field.replace(b"%2B", b"+").replace(b"%2F", b"/"),
    "carriage-returns": lambda each: passed_on(each.pem.replace(b"\n", b"\r\n")),
    "spaces-for-newlines": lambda each: each.pem.replace(b"\n", b" ").strip(),
    "spaces-kept-at-the-ends": lambda each: b" " + each.pem.replace(b"\n", b"  "),
    "tabs-for-newlines": lambda each: each.pem.replace(b"\n", b"\t").strip(),
    "no-newlines": lambda each: each.pem.replace(b"\n", b""),
    "base64": lambda each: base64.b64encode(each.der),
    "rfc-9440": lambda each: b":" + base64.b64encode(each.der) + b":",
}


@pytest.mark.parametrize("form", FORMS)
def test_a_certificate_is_read_in_each_form_that_load_balancers_write(form: str) -> None:
    shown = good()
    found = authorities().verify(FORMS[form](shown), NOW)
    assert isinstance(found, ClientCertificate), found
    assert found == authorities().verify(shown.field, NOW)


def test_a_chain_is_read_flattened_too() -> None:
    between = ClientAuthority("between", now=NOW, parent=authority())
    leaf = between.leaf(uri(SPIFFE_ID))
    flattened = (leaf.pem + between.own.pem).replace(b"\n", b" ")
    found = authorities().verify(flattened, NOW)
    assert isinstance(found, ClientCertificate), found
    assert found.names == (SPIFFE_ID,)
    assert refused(leaf.pem.replace(b"\n", b" ")), "without what lies between there is no way to the authority"


BROKEN: dict[str, Callable[[Certified], bytes]] = {
    "empty": lambda each: b"",
    "text": lambda each: b"x",
    "percent": lambda each: b"%",
    "octets": lambda each: b"%FF%FE",
    "base64-alone-of-text": lambda each: base64.b64encode(each.pem),
    "base64-without-its-end": lambda each: base64.b64encode(each.der).rstrip(b"=")[:-1],
    "base64-twice": lambda each: base64.b64encode(each.der) + b" " + base64.b64encode(each.der),
    "base64-in-one-colon": lambda each: b":" + base64.b64encode(each.der),
    "base64-url": lambda each: base64.urlsafe_b64encode(each.der) + b"-_",
    "flattened-with-text": lambda each: b"subject=x " + each.pem.replace(b"\n", b" "),
    "flattened-with-text-behind": lambda each: each.pem.replace(b"\n", b" ") + b"x",
    "flattened-twice-by-comma": lambda each: b", ".join([each.pem.replace(b"\n", b" ")] * 2),
    "encoded-twice": lambda each: passed_on(each.field),
    "hex": lambda each: each.der.hex().encode(),
    "another-proxys-form": lambda each: b"Subject%3D%22x%22;" + each.field,
    "two-fields": lambda each: each.field + b", " + each.field,
    "nul-behind": lambda each: each.field + b"%00",
    "half": lambda each: each.field[: len(each.field) // 2],
    "key": lambda each: passed_on(each.pem.replace(b"CERTIFICATE", b"PRIVATE KEY")),
    "other-octets": lambda each: passed_on(each.pem.replace(b"\nM", b"\nN", 1)),
    "no-certificate": lambda each: passed_on(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
    "too-many": lambda each: passed_on(each.pem * (CHAIN_LIMIT + 1)),
    "too-long": lambda each: each.field + b"%0A" * FIELD_BYTES,
}


@pytest.mark.parametrize("broken", BROKEN)
def test_what_is_none_of_the_forms_is_nothing(broken: str) -> None:
    """A second line of the field is joined by a comma, and then there is no certificate."""
    assert isinstance(authorities().verify(good().field, NOW), ClientCertificate)
    assert refused(BROKEN[broken](good()))


def test_no_prefix_of_a_certificate_and_no_flipped_byte_is_believed() -> None:
    der = good().der
    for position in range(0, len(der), 7):
        changed = der[:position] + bytes([der[position] ^ 0x40]) + der[position + 1 :]
        pem = b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(changed) + b"-----END CERTIFICATE-----\n"
        assert isinstance(authorities().verify(passed_on(pem), NOW), str), position
        authorities().read(changed)  # TLS verified it before: here it need only not raise
        authorities().read(der[:position])


def test_a_file_without_an_authority_is_an_error() -> None:
    for pem in (b"", b"no certificate", good().pem):
        with pytest.raises(ValueError):
            Authorities(pem)


def test_other_authorities_have_another_digest() -> None:
    other = Authorities(ClientAuthority(now=NOW).own.pem)
    assert other.digest != authorities().digest
    read = authorities().read(good().der)
    assert read is not None
    assert read.authorities == authorities().digest
