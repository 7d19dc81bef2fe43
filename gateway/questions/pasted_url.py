"""A URL as people paste it, read as a request for it would come to a door: the host to match, and the target.

The door's own reading of a Host field decides which hosts there are, so nothing is said about one that no door would
answer. Whatever a browser would quietly leave out or take otherwise (a name and password, spaces, a zone, a dot at the
end, an address in another spelling than the usual) is refused in a sentence: an answer about something else than what
stands there would mislead.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final, NamedTuple
from unicodedata import normalize
from urllib.parse import SplitResult, urlsplit

from gateway.http1.values import host_of

URL_MOST: Final = 8192  # characters
SHOWN: Final = 120
EXAMPLE: Final = "https://payments.apps.example.com/refunds"
_PORT: Final = re.compile(r":([^:\]]*)\Z")
_DIGITS: Final = re.compile(r"0*([1-9][0-9]{0,4})")
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_TOLD_OTHERWISE: Final = "ßẞς\u200c\u200d"  # letters that the standards of international names disagree about
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")  # a host whose last part is one is an address to browsers


class Address(NamedTuple):
    """A URL as a request would carry it."""

    host: str
    target: bytes


def has_scheme(url: str) -> bool:
    return _SCHEME.match(url) is not None


def address_of(url: str) -> Address:
    """Raises `ValueError` with a sentence when the text is no URL a request could be made of."""
    if len(url) > URL_MOST:
        raise ValueError(
            f"the URL has {len(url):,} characters, and {URL_MOST:,} are the most; leave out what follows `?`"
        )
    if not all(each.isprintable() and each != " " for each in url):
        raise ValueError(f"`{shown(url)}` holds a space or a control character; percent-encode it")
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise ValueError(f"`{shown(url)}` is no URL: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.netloc:
        example = f"https://{url}" if not has_scheme(url) and _looks_like_host(url) else EXAMPLE
        raise ValueError(f"`{shown(url)}` is no URL; write `{shown(example)}`")
    host = _host_in(parts)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not target.isascii():
        raise ValueError(f"`{shown(url)}` has letters a request cannot carry; percent-encode them as UTF-8")
    return Address(host, target.encode())


def shown(text: str) -> str:
    """Its beginning, without what would move a cursor."""
    begins = "".join(each if each.isprintable() else "\ufffd" for each in text[:SHOWN])
    return begins if len(text) <= SHOWN else f"{begins}…"


# === inside ===


def _host_in(parts: SplitResult) -> str:
    """As a door matches it."""
    if "@" in parts.netloc:  # and not shown: it may be a password
        raise ValueError("the URL has a name or a password before its host; leave out all up to the `@`")
    said = parts.netloc
    if port := _PORT.search(said):
        said = said[: port.start()]
        digits = _DIGITS.fullmatch(port[1])
        if port[1] and (digits is None or int(digits[1]) > 65535):
            raise ValueError(f"`{shown(port[1])}` is no port; write a number from 1 to 65535, or none")
    host = host_of(_ascii(said).encode())
    if not host or _PORT.search(said):  # after one port a second
        raise ValueError(f"`{shown(said)}` is no host that a door answers{_hint_on(said)}")
    if (usual := _usual(host)) != host:
        raise ValueError(f"`{shown(said)}` is no address as browsers send it; write `{usual or '192.0.2.7'}`")
    return host


def _ascii(host: str) -> str:
    """International names as browsers send them."""
    if host.isascii():
        return host
    try:
        if any(each in _TOLD_OTHERWISE for each in host):
            raise UnicodeError
        sent = host.encode("idna").decode("ascii")
        if not _is_told_alike(sent):
            raise UnicodeError
        return sent
    except UnicodeError:
        raise ValueError(f"`{shown(host)}` can be read in more than one way; write the host as `xn--…`") from None


def _is_told_alike(host: str) -> bool:
    """Whether nothing in it would be written otherwise by rules that know the letters of today."""
    labels = [each[4:].encode().decode("punycode") for each in host.split(".") if each.startswith("xn--")]
    return all(each == normalize("NFKC", each.casefold()) for each in labels)


def _usual(host: str) -> str:
    """The spelling of an address that browsers send, "" where they take it for one and it is none; else the host."""
    try:
        if host[0] == "[":
            return f"[{IPv6Address(host[1:-1])}]"
        return str(IPv4Address(host)) if _NUMBER.fullmatch(host.rpartition(".")[2]) else host
    except AddressValueError:
        return ""


def _hint_on(host: str) -> str:
    if host.startswith("["):
        return "; write an IPv6 address without a zone (`%…`)" if "%" in host else "; write an IPv6 address as `[::1]`"
    if "%" in host:
        return "; write its letters as they are, without `%`"
    if host.endswith("."):
        return f"; write `{shown(host.rstrip('.'))}`, without the dot at its end"
    return "; write a name of letters, digits and dashes between dots"


def _looks_like_host(url: str) -> bool:
    host = re.split(r"[/?#]", url, maxsplit=1)[0]
    return "." in host and bool(host_of(_PORT.sub("", host).encode()))
