"""A pasted URL is read as a door would read a request for it, or refused in a sentence that says what to write."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http1.values import host_of
from gateway.questions.pasted_url import URL_MOST, Address, address_of, has_scheme


def address_or_sentence(url: str) -> Address | str:
    try:
        return address_of(url)
    except ValueError as refused:
        return str(refused)


@pytest.mark.parametrize(
    ("url", "host", "target"),
    [
        ("https://pay.x", "pay.x", b"/"),
        ("https://PAY.Example.X/A?b=C#d", "pay.example.x", b"/A?b=C"),
        ("http://pay.x:8443/a", "pay.x", b"/a"),
        ("https://pay.x:/a", "pay.x", b"/a"),
        ("https://pay.x:0443/", "pay.x", b"/"),
        ("https://pay.x:000000443/", "pay.x", b"/"),
        ("http://[::1]:9443/a", "[::1]", b"/a"),
        ("http://[2001:DB8::7]/", "[2001:db8::7]", b"/"),
        ("https://münchen.example/", "xn--mnchen-3ya.example", b"/"),
        ("https://BÜCHER.example/", "xn--bcher-kva.example", b"/"),
        ("https://ｐａｙ。x/", "pay.x", b"/"),
        ("https://pay.x/%00", "pay.x", b"/%00"),
        ("https://192.0.2.7/", "192.0.2.7", b"/"),
        ("https://pay.0x.example/", "pay.0x.example", b"/"),
    ],
)
def test_the_host_is_the_one_a_door_matches(url: str, host: str, target: bytes) -> None:
    assert address_of(url) == Address(host, target)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://pay%00.x/", r"`pay%00\.x` is no host that a door answers; .* without `%`"),
        ("https://pay.x%2f.evil.x/", "is no host"),
        ("https://pay\n.x/", "holds a space or a control character"),
        ("https://pay.x/a b", "holds a space or a control character"),
        ("\x00https://pay.x/", "holds a space or a control character"),
        ("https://pay.x/\u202e", "holds a space or a control character"),
        ("https://jane@pay.x/", "leave out all up to the `@`"),
        ("https://pay.x\\@evil.x/", "leave out all up to the `@`"),
        ("http://[::1%25eth0]/", "without a zone"),
        ("http://[::1%eth0]/", "without a zone|is no URL"),
        ("http://[::1/", "is no URL: Invalid IPv6 URL"),
        ("http://[v1.x]/", "is no URL|is no host"),
        ("https://::1/", "is no host"),
        ("https://pay.x./", r"write `pay\.x`, without the dot"),
        ("https://pay..x/", "is no host"),
        ("https://-pay.x/", "is no host"),
        (f"https://{'a' * 64}.x/", "is no host"),
        ("https://pay.x:0/", "`0` is no port"),
        ("https://pay.x:65536/", "`65536` is no port"),
        ("https://pay.x:0000900443/", "`0000900443` is no port"),
        ("https://pay.x:99999999999999999999/", "is no port"),
        ("https://pay.x:8o/", "`8o` is no port"),
        ("https://pay.x:٨/", "is no port"),
        ("https://pay.x:443:443/", "`pay.x:443` is no host"),
        ("https://pay.x:443:/", "`pay.x:443` is no host"),
        ("http://[::1]:443:443/", "is no host|is no URL"),
        ("https://0x7f.1/", "no address as browsers send it"),
        ("https://127.1/", "no address as browsers send it"),
        ("https://1.2.3.4.5/", "no address as browsers send it"),
        ("https://192.0.2.07/", "no address as browsers send it"),
        ("https://[0:0::1]/", r"write `\[::1\]`"),
        ("https://[::ffff:192.0.2.7]/", r"write `\[::ffff:c000:207\]`"),
        ("https://\uab70.example/", "write the host as `xn--…`"),
        ("https://straße.example/", "write the host as `xn--…`"),
        ("https://pay.x/straße", "percent-encode them as UTF-8"),
        ("pay.x/refunds", r"write `https://pay\.x/refunds`"),
        ("pay.x:8443/refunds", r"write `https://pay\.x:8443/refunds`"),
        ("//pay.x/refunds", "write `https://payments.apps.example.com/refunds`"),
        ("payments", "write `https://payments.apps.example.com/refunds`"),
        ("https:pay.x", "is no URL"),
        ("https:///a", "is no URL"),
        ("ftp://pay.x/", "is no URL"),
        ("javascript:alert(1)", "is no URL"),
        ("", "is no URL"),
        ("https://pay.x/" + "a" * 10_240, "10,254 characters, and 8,192 are the most"),
    ],
)  # fmt: skip
def test_what_no_door_would_read_is_refused_with_what_to_write(url: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        address_of(url)


def test_a_password_is_not_repeated() -> None:
    with pytest.raises(ValueError, match="password") as refused:
        address_of("https://jane:s3cr3t@pay.x/")
    assert "s3cr3t" not in str(refused.value)


@given(st.one_of(st.text(max_size=200), st.text(max_size=200).map(lambda text: f"https://{text}")))
def test_any_text_is_a_host_of_a_door_or_one_printable_sentence(url: str) -> None:
    found = address_or_sentence(url)
    if isinstance(found, str):
        assert found.isprintable()
        assert len(found) < 600
    else:
        assert host_of(found.host.encode()) == found.host
        assert found.target.startswith((b"/", b"?"))


@pytest.mark.parametrize("length", [URL_MOST, URL_MOST + 1, 1_000_000])
def test_what_is_long_is_not_repeated_whole(length: int) -> None:
    said = address_or_sentence("x" * length)
    assert isinstance(said, str)
    assert len(said) < 400


def test_a_scheme_is_one_at_the_beginning() -> None:
    assert has_scheme("https://pay.x/")
    assert not has_scheme("pay.x/?next=https://other.x/")
