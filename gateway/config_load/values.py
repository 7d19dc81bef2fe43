"""The values that `stagedoor.yaml` is made of: durations, sizes, addresses, hosts, networks, refs; mappings and lists.

Each is a function from what was written to what is meant; what is wrong with it is said in a sentence, the way out
after a semicolon. Beside it stands what an editor is told (JSON Schema, patterns of ECMA-262): the pattern never
refuses what the function takes, and leaves the fine points to it.
"""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, WithJsonSchema

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)\Z")
_DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"([0-9]+)(B|KiB|MiB|GiB)\Z")
_SIZE_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(\.{_LABEL})*\Z")
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?\Z")
_REF = re.compile(r"[a-z][a-z0-9]*:[a-z0-9-]+/[a-z0-9][a-z0-9_.-]*\Z")
_UPSTREAM_PATH = re.compile(r"/[\x21\x22\x24-\x7e]{0,1023}\Z")
_SHORTEST_CHECK_S, _LONGEST_CHECK_S = 0.1, 3600.0
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+\Z")
_TRUST_DOMAIN = re.compile(r"spiffe://[a-z0-9._-]{1,255}\Z")
_BEARER_START = re.compile(r"[A-Za-z0-9._~+/-]{1,64}\Z")
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
    if _TRUST_DOMAIN.match(value):
        return value
    parts = urlsplit(value)
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ValueError(f"`{value}` is no issuer; write the `iss` of its tokens, `https://login.example.com`")
    return value


def jwks_address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.fragment or parts.username:
        raise ValueError(f"`{value}` is no address of keys")
    return value


def endpoint_address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.fragment or parts.username:
        raise ValueError(f"`{value}` is no address of an endpoint; write `https://login.example.com/introspect`")
    return value


def _bearer_start(value: str) -> str:
    if not _BEARER_START.match(value):
        raise ValueError(f"`{value}` begins no bearer token; write letters, digits and `._~+/-`, at most 64")
    return value


def _token(value: str) -> str:
    if not _TOKEN.match(value):
        raise ValueError(f"`{value}` is no field name or protocol token")
    return value.lower()


def _upgrade_token(value: str) -> str:
    token = _token(value)
    if token in ("h2", "h2c"):
        raise ValueError(f"`{value}` would be a second HTTP connection past every decision; leave it out")
    return token


def annotation_prefix(value: str) -> str:
    if not _PREFIX.match(value) or value.endswith("backstage.io/"):
        raise ValueError(f"`{value}` is no annotation prefix; write a domain that is yours and a slash")
    return value


def not_empty(values: Any) -> Any:
    if not values:
        raise ValueError("is empty; name at least one")
    return values


def _text(value: str) -> str:
    if not value or not value.isprintable():
        raise ValueError("is empty or holds control characters")
    return value


def _upstream_path(value: str) -> str:
    if not _UPSTREAM_PATH.match(value):
        raise ValueError(f"`{value[:60]}` is no path; write `/healthz`, without scheme, host, spaces and fragment")
    return value


def _check_interval(value: Any) -> float:
    seconds = _duration(value)
    if not _SHORTEST_CHECK_S <= seconds <= _LONGEST_CHECK_S:
        raise ValueError(f"`{value}` is no interval of checks; write `100ms` to `1h`")
    return seconds


def _management_address(value: str) -> str:
    parts = urlsplit(value)
    try:
        sound = parts.scheme == "https" and bool(parts.hostname) and (parts.port or 443) > 0
    except ValueError:
        sound = False
    if not sound or parts.path.strip("/") or parts.query or parts.fragment or parts.username is not None:
        raise ValueError(f"`{value}` is no management address; write `https://192.0.2.10`, without path and user")
    spelled = value.rstrip("/").lower()
    return spelled.removesuffix(":443") if parts.port == 443 else spelled  # one address has one spelling


def written(description: str, pattern: str, *examples: str) -> WithJsonSchema:
    said = {"type": "string", "description": description, "pattern": f"^{pattern}$", "examples": list(examples)}
    return WithJsonSchema(said)


_HOST_FORM = r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*"
_TOKEN_FORM = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
_URL_FORM = r"https?://[^\s#]+"

Duration = Annotated[
    float, BeforeValidator(_duration), written("A duration.", r"[0-9]+(\.[0-9]+)?(ms|s|m|h|d)", "30s", "5m", "8h")
]
CheckInterval = Annotated[
    float, BeforeValidator(_check_interval), written("A duration.", r"[0-9]+(\.[0-9]+)?(ms|s|m|h)", "10s")
]
UpstreamPath = Annotated[
    str, AfterValidator(_upstream_path), written("A path, with a query if need be.", r"/[^\s#]*", "/healthz")
]
Size = Annotated[int, BeforeValidator(_size), written("A size.", r"[0-9]+(B|KiB|MiB|GiB)", "32KiB", "1MiB")]
Address = Annotated[
    str,
    AfterValidator(_address),
    written("Address and port.", r"(\[[^\]\s]+\]|[0-9.]+):[0-9]{1,5}", "127.0.0.1:8443", "[::1]:8443"),
]
ManagementAddress = Annotated[
    str, AfterValidator(_management_address),
    written("A management address.", r"[Hh][Tt][Tt][Pp][Ss]://[^\s/?#@]+/*", "https://192.0.2.10"),
]  # fmt: skip
Network = Annotated[
    str, AfterValidator(_network), written("A network.", r"[0-9A-Fa-f:.]+(/[0-9.]+)?", "10.0.0.0/8", "10.20.0.2/32")
]
Host = Annotated[str, AfterValidator(host_name), written("A host name.", _HOST_FORM, "stagedoor.example.com")]
Name = Annotated[
    str, AfterValidator(_name), written("A short name.", r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?", "main", "prod")
]
Ref = Annotated[
    str,
    AfterValidator(_ref),
    written("A full entity ref.", r"[A-Za-z][A-Za-z0-9]*:[A-Za-z0-9-]+/[A-Za-z0-9][A-Za-z0-9_.-]*",
             "component:default/payments"),
]  # fmt: skip
Text = Annotated[str, AfterValidator(_text), WithJsonSchema({"type": "string", "minLength": 1})]
Token = Annotated[
    str,
    AfterValidator(_token),
    written("A field name or protocol token.", _TOKEN_FORM, "x-checksum"),
]
UpgradeToken = Annotated[str, AfterValidator(_upgrade_token), written("A protocol token.", _TOKEN_FORM, "amqp")]
Count = Annotated[int, Field(ge=1, le=10_000_000)]
Limit = Annotated[int, Field(ge=0, le=10_000_000)]
Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
IssuerUrl = Annotated[
    str,
    AfterValidator(issuer_url),
    written("The exact `iss` of the tokens.", r"(https?|spiffe)://[^\s#]+", "https://login.example.com"),
]
KeysAddress = Annotated[
    str,
    AfterValidator(jwks_address),
    written("The address of a key set.", _URL_FORM, "https://login.example.com/jwks"),
]
EndpointAddress = Annotated[
    str,
    AfterValidator(endpoint_address),
    written("The address of an endpoint.", _URL_FORM, "https://login.example.com/introspect"),
]
BearerStart = Annotated[
    str, AfterValidator(_bearer_start), written("How tokens begin.", r"[A-Za-z0-9._~+/-]{1,64}", "gho_", "ory_at_")
]
HostPattern = Annotated[
    str,
    AfterValidator(host_pattern),
    written("Everything below a name, or one host.", rf"(\*\.|\.)?{_HOST_FORM}", ".apps.example.com"),
]
UpstreamPattern = Annotated[
    str,
    AfterValidator(upstream_pattern),
    written("A network, everything below a name, or one name.", r"[0-9A-Za-z:.*/-]+", "10.0.0.0/8", ".internal"),
]
Prefix = Annotated[
    str, AfterValidator(annotation_prefix), written("A domain and a slash.", rf"{_HOST_FORM}/", "stagedoor.dev/")
]

Item = TypeVar("Item")
Some = Annotated[list[Item], AfterValidator(not_empty), Field(json_schema_extra={"minItems": 1})]


def named_once(values: list[Any]) -> list[Any]:
    names = [value.name for value in values]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"name `{twice[0]}` is used twice; give each its own")
    return values


# Of every mapping: these keys and no others; the text under a key is what an editor is told about it.
MAPPING = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
