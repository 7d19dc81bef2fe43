"""Single values as annotations hold them: hosts, upstreams, origins, addresses, durations, path templates.

Each comes out in one spelling, or as nothing when it is none; what to say about that is the caller's.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from urllib.parse import unquote, urlsplit

from policy.paths import METHODS, template_fault

CONTROL = re.compile(r"[\x00-\x20\x7f\\?#;]")
LONGEST_PREFIX = 1024  # characters as written

_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"(\*\.)?{_LABEL}(\.{_LABEL})*\Z")
_LONGEST_HOST = 253
_MOST_SEGMENTS = 64  # of a definition's path
_ODD = re.compile(r"[\x00-\x20\x7f\\?#;*]|//")
_HIDDEN = re.compile(r"[\x00-\x1f\x7f\\/}]")
_DURATION = re.compile(r"P(?!\Z)(?:(\d{1,4})D)?(?:T(?!\Z)(?:(\d{1,6})H)?(?:(\d{1,6})M)?(?:(\d{1,6})S)?)?\Z")
_SECONDS = (86400, 3600, 60, 1)


def is_host(text: str) -> bool:
    """A name, maybe with `*.` in front of it, lower case."""
    return bool(_HOST.match(text)) and len(text) <= _LONGEST_HOST


def prefix_of(path: str) -> str:
    """A path prefix, decoded once as requests are, without a slash at its end; "" when it is none."""
    if len(path) > LONGEST_PREFIX:
        return ""
    try:
        segments = [unquote(each, errors="strict") for each in path.strip("/").split("/")]
    except UnicodeDecodeError:
        return ""
    wrong = not path.startswith("/") or "//" in path or CONTROL.search(path) or "*" in path or "{" in path
    if wrong or any("/" in each or each in (".", "..") or CONTROL.search(each) for each in segments):
        return ""
    return "/" + "/".join(segments) if segments != [""] else "/"


def duration_s(text: str) -> int:
    """`PT4H`, `P1DT30M` (ISO 8601, without years and months) in seconds; 0 when it is none."""
    parts = _DURATION.match(text)
    return sum(int(part or 0) * size for part, size in zip(parts.groups(), _SECONDS, strict=True)) if parts else 0


def network_of(text: str, *, single: bool) -> IPv4Network | IPv6Network | None:
    """An address as the network that holds it alone, or a network unless ``single``. An IPv4 address in its IPv6 form
    is none: it would be listed under another name. Neither is one with a zone (RFC 4007, 11): behind a `%` a device
    reads another of its route domains, and no network of an operator's says one."""
    try:
        network = ip_network(ip_address(text) if single else text)
    except ValueError:
        return None
    is_other = "%" in text or getattr(network.network_address, "ipv4_mapped", None) is not None
    return None if is_other else network


def operation_of(text: str) -> tuple[str, str] | None:
    """`GET /assets/**` as method and template."""
    method, _, template = text.partition(" ")
    template = template.strip()
    return (method.upper(), template) if method.upper() in METHODS and _is_template(template) else None


def _is_template(template: str) -> bool:
    segments = template.split("/")
    if template_fault(template) or CONTROL.search(template) or "//" in template or "%" in template:
        return False
    stars = ["*" in segment for segment in segments]
    return not any(stars[:-1]) and (not stars[-1] or segments[-1] == "**") and not {".", ".."} & set(segments)


def origin_of(text: str) -> str:
    """`scheme://host[:port]` as a browser writes it (RFC 6454, 6.2): without the port that goes without saying."""
    upstream = upstream_of(text.lower())
    scheme, _, authority = upstream.partition("://")
    usual = {"http": ":80", "https": ":443"}.get(scheme, "-")
    return f"{scheme}://{authority.removesuffix(usual)}" if upstream and not text.endswith("/") else ""


def upstream_of(text: str) -> str:
    """`scheme://host[:port]` in one spelling; "" when it is none."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return ""
    bare = parts.path in ("", "/") and not (parts.query or parts.fragment or "@" in parts.netloc)
    if parts.scheme not in ("http", "https") or not bare or not text.isprintable() or port == 0:
        return ""
    try:
        literal = ip_address(host)
        shown = f"[{literal}]" if literal.version == 6 else str(literal)
    except ValueError:
        if not _HOST.match(host) or host.startswith("*") or re.match(r"[0-9.]+\Z|0x", host):
            return ""
        shown = host
    return f"{parts.scheme}://{shown}" + (f":{port}" if port else "")


def decoded_template(template: str) -> str:
    """A template of a definition, its literals decoded once as requests are; "" when what it stands for is no path:
    dots, hidden slashes or braces, a `*` (no wildcard in OpenAPI)."""
    segments = template.removeprefix("/").split("/")
    if len(segments) > _MOST_SEGMENTS or _ODD.search(template):
        return ""
    for position, segment in enumerate(segments):
        if "%" in segment:
            try:
                literal = unquote(segment, errors="strict")
            except UnicodeDecodeError:
                return ""
            if _HIDDEN.search(literal) or literal.count("{") != segment.count("{"):
                return ""
            segments[position] = literal
    return "" if {".", ".."} & set(segments) or not template.isprintable() else "/" + "/".join(segments)
