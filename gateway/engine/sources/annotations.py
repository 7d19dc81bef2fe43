"""What the annotations of one Component say: where it is exposed, who else may come, which operations it adds.

Owners narrow and the operator bounds, so nothing here can widen: a word that is not known is left out with a warning
naming the entity, and an exposure that cannot be read, or lies outside the operator's suffixes and networks, is an
error for that environment alone. `{env}` in a value stands for the environment's name, a key ending in `.ENV`
overrides one environment.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Literal
from urllib.parse import unquote, urlsplit

from gateway import config
from gateway.engine.sources.entities import Entity
from gateway.engine.sources.refs import namespace_of, ref_list
from policy.claims import claimable
from policy.facts import Exposure, Operation
from policy.paths import template_fault
from policy.reading import Fault, did_you_mean

ACCESS = ("owners", "consumers", "everyone")
OPTIONS = (
    "encoded-slashes", "double-slashes", "path-parameters", "trailing-slash-same", "strip-prefix", "assertion",
    "retry-idempotent",
)  # fmt: skip
PER_ENVIRONMENT = ("host", "path", "upstream", "client-id", "virtual-address", "addresses")
KEYS = (
    *PER_ENVIRONMENT, "environments", "environment", "instance-of", "access", "allow-groups", "allow-consumers",
    "approvers", "max-duration", "paths", "public", "cors", "options",
)  # fmt: skip
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
MAX_UPSTREAMS = 64

_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"(\*\.)?{_LABEL}(\.{_LABEL})*\Z")
_DURATION = re.compile(r"P(?!\Z)(\d+D)?(T(?!\Z)(\d+H)?(\d+M)?(\d+S)?)?\Z")
_CONTROL = re.compile(r"[\x00-\x20\x7f\\?#;]")


@dataclass(slots=True)
class Said:
    """``broken``: environments whose exposure has an error, the exposure is not in ``exposures`` then."""

    access: Literal["owners", "consumers", "everyone", ""] = ""
    allow_groups: tuple[str, ...] = ()
    allow_consumers: tuple[str, ...] = ()
    client_ids: Mapping[str, str] = field(default_factory=dict)
    exposures: tuple[Exposure, ...] = ()
    declared: tuple[Operation, ...] = ()  # by `paths` and `public`
    options: frozenset[str] = frozenset()
    cors: tuple[str, ...] = ()
    broken: frozenset[str] = frozenset()
    faults: tuple[Fault, ...] = ()


def read_annotations(entity: Entity, environments: Mapping[str, config.Environment], central_host: str) -> Said:
    return _Reader(entity, environments, central_host).said()


class _Reader:
    def __init__(self, entity: Entity, environments: Mapping[str, config.Environment], central_host: str) -> None:
        self._entity = entity
        self._values = entity.annotations
        self._environments = environments
        self._central_host = central_host
        self._faults: list[Fault] = []
        self._broken: set[str] = set()

    def said(self) -> Said:
        self._check_keys()
        self._check_unused_here()
        published = self._published_in()
        exposures = [exposure for name in published if (exposure := self._exposure(name)) is not None]
        return Said(
            access=self._access(),
            allow_groups=self._refs("allow-groups", "group"),
            allow_consumers=self._refs("allow-consumers", "component"),
            client_ids=self._client_ids(),
            exposures=tuple(exposures),
            declared=tuple(self._declared()),
            options=frozenset(self._words("options", OPTIONS)),
            cors=self._cors(),
            broken=frozenset(self._broken),
            faults=tuple(self._faults),
        )

    def _warn(self, key: str, message: str, suggestion: str = "") -> None:
        self._faults.append(Fault(self._entity.place(key), message, suggestion, "warning"))

    def _break(self, environment: str, key: str, message: str, suggestion: str = "") -> None:
        self._broken.add(environment)
        self._faults.append(Fault(self._entity.place(key), f"{environment}: {message}", suggestion))

    # ---- words and lists ----

    def _check_keys(self) -> None:
        for key in self._values:
            name, dot, environment = key.partition(".")
            if name not in KEYS:
                self._warn(key, f"unknown annotation `{key}`", did_you_mean(name, KEYS))
            elif dot and name not in PER_ENVIRONMENT:
                self._warn(key, f"annotation `{name}` is the same in every environment", f"remove `.{environment}`")
            elif dot and environment not in self._environments:
                known = did_you_mean(environment, self._environments)
                self._warn(key, f"unknown environment `{environment}` in `{key}`", known)

    def _check_unused_here(self) -> None:
        """Values for later readers are checked when they are written, not when somebody needs them."""
        duration = self._values.get("max-duration", "")
        if duration and not _DURATION.match(duration):
            self._warn("max-duration", f"`{duration}` is no duration", "write `PT4H`")
        self._refs("approvers", "group", ("group", "user"))
        instance = self._values.get("instance-of", "")
        if instance:
            self._refs("instance-of", "component")

    def _items(self, key: str) -> list[str]:
        return [item for part in self._values.get(key, "").split(",") if (item := part.strip())]

    def _words(self, key: str, known: tuple[str, ...]) -> Iterator[str]:
        for word in self._items(key):
            if word in known:
                yield word
            else:
                self._warn(key, f"unknown word `{word}` in `{key}`", did_you_mean(word, known))

    def _cors(self) -> tuple[str, ...]:
        """Origins in one spelling, sorted; one word instead of them; nothing where somebody wrote both."""
        items = self._items("cors")
        if items in ([], ["refuse"]):
            return ()
        if items == ["upstream"]:
            return ("upstream",)
        found = set()
        for item in items:
            if origin := _origin(item):
                found.add(origin)
            else:
                message = f"`{item[:80]}` in `cors` is no origin: scripts of it are refused"
                self._warn("cors", message, "write `https://shop.example.com`, or `upstream` or `refuse` alone")
        return tuple(sorted(found))

    def _access(self) -> Literal["owners", "consumers", "everyone", ""]:
        text = self._values.get("access")
        match text.strip() if text is not None else None:
            case None:
                return ""
            case "owners" | "consumers" | "everyone" as access:
                return access
        self._warn("access", f"unknown access `{text}`: read as `owners`", did_you_mean(str(text), ACCESS))
        return "owners"

    def _refs(self, key: str, kind: str, kinds: tuple[str, ...] = ()) -> tuple[str, ...]:
        refs, wrong = ref_list(self._values.get(key, ""), kind, namespace_of(self._entity.ref))
        fitting = [ref for ref in refs if ref.partition(":")[0] in (kinds or (kind,))]
        for text in [*wrong, *(ref for ref in refs if ref not in fitting)]:
            self._warn(key, f"`{text}` in `{key}` is no ref of a {kind}", f"write `{kind}:default/name`")
        return tuple(sorted(fitting))

    def _client_ids(self) -> dict[str, str]:
        found = {}
        for environment in ("", *self._environments):
            key = f"client-id.{environment}" if environment else "client-id"
            text = self._values.get(key, "").strip()
            if not text.isprintable():
                self._warn(key, f"`{key}` holds control characters: it names no client")
                text = ""
            if text or (environment and key in self._values):  # said to be none there
                found[environment] = text
        return found

    # ---- exposures ----

    def _published_in(self) -> list[str]:
        listed = list(dict.fromkeys(self._words("environments", tuple(self._environments))))
        own = self._values.get("environment", "").strip()
        if own and listed and listed != [own]:
            message = f"`environment` is `{own}`, but `environments` lists `{', '.join(listed)}`: not published"
            self._faults.append(Fault(self._entity.place("environments"), message, f"write `{own}`"))
            self._broken.update(listed)
            return []
        return listed

    def _value(self, key: str, environment: str) -> tuple[str, str]:
        """The key that holds, and its value for the environment."""
        own = f"{key}.{environment}"
        chosen = own if own in self._values else key
        return chosen, self._values.get(chosen, "").strip().replace("{env}", environment)

    def _exposure(self, environment: str) -> Exposure | None:
        before = len(self._faults)
        host_key, host = self._value("host", environment)
        host = host.lower()
        if not host:
            self._break(environment, "environments", "annotation `host` is missing", "say the public host name")
        elif not _HOST.match(host) or len(host) > 253:
            self._break(environment, host_key, f"`{host[:80]}` is no host name", "without scheme, port and path")
        elif host == self._central_host:
            self._break(environment, host_key, f"host `{host}` is Stagedoor's own")
        prefix = self._prefix(environment)
        upstreams = self._upstreams(environment)
        if len(self._faults) > before:
            return None
        exposure = Exposure(environment, host, prefix, upstreams, self._entity.place(host_key))
        bounds = self._environments[environment]
        for message in claimable(exposure, bounds.hosts, bounds.upstreams):
            self._break(environment, host_key, message, "ask the operator to list it for this environment")
        return exposure if len(self._faults) == before else None

    def _prefix(self, environment: str) -> str:
        key, path = self._value("path", environment)
        path = path or "/"
        try:
            segments = [unquote(each, errors="strict") for each in path.strip("/").split("/")]
        except UnicodeDecodeError:
            segments = [".."]
        wrong = not path.startswith("/") or "//" in path or _CONTROL.search(path) or "*" in path or "{" in path
        if wrong or any("/" in s or s in (".", "..") or _CONTROL.search(s) for s in segments):
            self._break(environment, key, f"`{path[:80]}` is no path prefix", "write `/v1/payments`")
            return "/"
        return "/" + "/".join(segments) if segments != [""] else "/"

    def _upstreams(self, environment: str) -> tuple[str, ...]:
        key, text = self._value("upstream", environment)
        found: dict[str, None] = {}
        for part in filter(None, (part.strip() for part in text.split(","))):
            if upstream := _upstream(part):
                found[upstream] = None
            else:
                suggestion = "write `https://payments.example.internal:8443`, without path and user"
                self._break(environment, key, f"`{part[:80]}` is no upstream", suggestion)
        if not text:
            self._break(environment, "environments", "annotation `upstream` is missing", "say where the service runs")
        if len(found) > MAX_UPSTREAMS:
            self._break(environment, key, f"more than {MAX_UPSTREAMS} upstreams")
        return tuple(found)

    # ---- operations ----

    def _declared(self) -> Iterator[Operation]:
        for key, public in (("paths", False), ("public", True)):
            for item in self._items(key):
                method, _, template = item.partition(" ")
                template = template.strip()
                if method.upper() not in METHODS or not _is_template(template):
                    self._warn(key, f"`{item[:80]}` in `{key}` is no operation", "write `GET /assets/**`")
                    continue
                yield Operation(method.upper(), template, public=public, source=self._entity.place(key))


def _is_template(template: str) -> bool:
    segments = template.split("/")
    if template_fault(template) or _CONTROL.search(template) or "//" in template or "%" in template:
        return False
    stars = ["*" in segment for segment in segments]
    return not any(stars[:-1]) and (not stars[-1] or segments[-1] == "**") and not {".", ".."} & set(segments)


def _origin(text: str) -> str:
    """`scheme://host[:port]` as a browser writes it (RFC 6454, 6.2): without the port that goes without saying."""
    upstream = _upstream(text.lower())
    scheme, _, authority = upstream.partition("://")
    usual = {"http": ":80", "https": ":443"}.get(scheme, "-")
    return f"{scheme}://{authority.removesuffix(usual)}" if upstream and not text.endswith("/") else ""


def _upstream(text: str) -> str:
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
