"""The values that `stagedoor.yaml` is made of: durations, sizes, addresses, hosts, networks, refs.

Each is a function from what was written to what is meant; what is wrong with it is said in a sentence, the way out
after a semicolon.
"""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)\Z")
_DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"(\d+)(B|KiB|MiB|GiB)\Z")
_SIZE_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(\.{_LABEL})*\Z")
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?\Z")
_REF = re.compile(r"[a-z][a-z0-9]*:[a-z0-9-]+/[a-z0-9][a-z0-9_.-]*\Z")
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+\Z")
_PREFIX = re.compile(rf"{_LABEL}(\.{_LABEL})+/\Z")


def _duration(value: Any) -> float:
    match = _DURATION.match(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"`{value}` is no duration; write `30s`, `5m` or `8h`")
    return float(match[1]) * _DURATION_UNITS[match[2]]


def _size(value: Any) -> int:
    match = _SIZE.match(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"`{value}` is no size; write `512B`, `32KiB` or `1MiB`")
    return int(match[1]) * _SIZE_UNITS[match[2]]


def _address(value: str) -> str:
    host, _, port = value.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        version = ip_address(bare).version
    except ValueError:
        raise ValueError(f"`{value}` is no address; write `127.0.0.1:8443` or `[::1]:8443`") from None
    if (version == 6) != (bare != host) or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"`{value}` is no address; write `127.0.0.1:8443` or `[::1]:8443`")
    return value


def _network(value: str) -> str:
    try:
        return str(ip_network(value))
    except ValueError:
        raise ValueError(f"`{value}` is no network; write `10.0.0.0/8`, host bits zero") from None


def host_name(value: str) -> str:
    host = value.lower()
    if len(host) > 253 or not _HOST.match(host):
        raise ValueError(f"`{value}` is no host name; write it without port, scheme and trailing dot")
    return host


def host_pattern(value: str) -> str:
    """`.apps.example.com` (everything below), an exact host, or `*.apps.example.com` (the wildcard itself)."""
    bare = value.removeprefix("*.") if value.startswith("*.") else value.removeprefix(".")
    return value[: len(value) - len(bare)] + host_name(bare)


def upstream_pattern(value: str) -> str:
    """A network, `.internal` (every name below) or an exact name."""
    if re.match(r"[0-9.]+(/|\Z)|.*:", value):
        return _network(value)
    return host_pattern(value)


def _name(value: str) -> str:
    if not _NAME.match(value):
        raise ValueError(f"`{value}` is no name; use lower-case letters, digits and dashes, at most 32")
    return value


def _ref(value: str) -> str:
    ref = value.lower()
    if not _REF.match(ref):
        raise ValueError(f"`{value}` is no full entity ref; write `component:default/payments`")
    return ref


def issuer_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ValueError(f"`{value}` is no issuer; write the `iss` of its tokens, `https://login.example.com`")
    return value


def jwks_address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.fragment or parts.username:
        raise ValueError(f"`{value}` is no address of keys")
    return value


def _token(value: str) -> str:
    if not _TOKEN.match(value):
        raise ValueError(f"`{value}` is no field name or protocol token")
    return value.lower()


def annotation_prefix(value: str) -> str:
    if not _PREFIX.match(value) or value.endswith("backstage.io/"):
        raise ValueError(f"`{value}` is no annotation prefix; write a domain that is yours and a slash")
    return value


def _text(value: str) -> str:
    if not value or not value.isprintable():
        raise ValueError("is empty or holds control characters")
    return value


Duration = Annotated[float, BeforeValidator(_duration)]
Size = Annotated[int, BeforeValidator(_size)]
Address = Annotated[str, AfterValidator(_address)]
Network = Annotated[str, AfterValidator(_network)]
Host = Annotated[str, AfterValidator(host_name)]
Name = Annotated[str, AfterValidator(_name)]
Ref = Annotated[str, AfterValidator(_ref)]
Text = Annotated[str, AfterValidator(_text)]
Token = Annotated[str, AfterValidator(_token)]
Count = Annotated[int, Field(ge=1, le=10_000_000)]
Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]


IssuerUrl = Annotated[str, AfterValidator(issuer_url)]
KeysAddress = Annotated[str, AfterValidator(jwks_address)]
HostPattern = Annotated[str, AfterValidator(host_pattern)]
UpstreamPattern = Annotated[str, AfterValidator(upstream_pattern)]
Prefix = Annotated[str, AfterValidator(annotation_prefix)]
