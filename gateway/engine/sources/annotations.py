"""What the annotations of one Component say: where it is exposed, who else may come, which operations it adds.

Owners narrow and the operator bounds, so nothing here can widen: a word that is not known is left out with a warning
naming the entity, and an exposure that cannot be read, or lies outside the operator's suffixes and networks, is an
error for that environment alone. `{env}` in a value stands for the environment's name, a key ending in `.ENV`
overrides one environment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from gateway import config
from gateway.engine.sources import values
from gateway.engine.sources.complaints import SHOWN, Complaints
from gateway.engine.sources.entities import Entity
from gateway.engine.sources.refs import namespace_of, ref_list
from policy.claims import claimable, name_listed, network_listed
from policy.facts import Exposure, Instance, Operation
from policy.reading import Fault

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
MAX_UPSTREAMS = 64
MAX_ITEMS = 1000  # of a list
TOLD_ELSEWHERE = ("host", "path", "upstream", "access", "environment", "instance-of")  # where they are empty
UNLISTED = "ask the operator to list it for this environment"  # what to do where the operator's lists forbid something


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
    instance: Instance | None = None  # not agreed: that the other Component's owner is the same is for the assembler
    approvers: tuple[str, ...] = ()
    longest_s: int = 0
    virtual_addresses: Mapping[str, str] = field(default_factory=dict)
    addresses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
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
        self._complaints = Complaints(entity)
        self._warn, self._break, self._meant = self._complaints.warn, self._complaints.breaks, self._complaints.meant

    def said(self) -> Said:
        self._check_keys()
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
            instance=self._instance(),
            approvers=self._refs("approvers", "group", ("group", "user")),
            longest_s=self._longest_s(),
            virtual_addresses={name: found[0] for name, found in self._networks("virtual-address", published)},
            addresses=dict(self._networks("addresses", published)),
            broken=frozenset(self._complaints.broken),
            faults=self._complaints.faults,
        )

    # ---- words and lists ----

    def _check_keys(self) -> None:
        for key in self._values:
            name, dot, environment = key.partition(".")
            if name not in KEYS:
                self._warn(key, f"unknown annotation `{key[:SHOWN]}`", self._meant(name, KEYS))
            elif dot and name not in PER_ENVIRONMENT:
                self._warn(key, f"annotation `{name}` is the same in every environment", f"remove `.{environment}`")
            elif dot and environment not in self._environments:
                hint = self._meant(environment, self._environments)
                self._warn(key, f"unknown environment `{environment}` in `{key}`", hint)
            elif not dot and name not in TOLD_ELSEWHERE and not self._items(key):
                self._warn(key, f"`{key}` is empty", "leave it out, or say what it holds")

    def _longest_s(self) -> int:
        text = self._values.get("max-duration", "").strip()
        seconds = values.duration_s(text)
        if text and not seconds:
            self._warn("max-duration", f"`{text[:SHOWN]}` is no duration", "write `PT4H`")
        return seconds

    def _instance(self) -> Instance | None:
        """Which Component this one is in its environment."""
        of, own = self._refs("instance-of", "component"), self._values.get("environment", "").strip()
        if len(of) > 1:
            self._warn("instance-of", "`instance-of` names several components", "name one")
        elif of and own not in self._environments:
            todo = "write `environment: staging`"
            self._warn("instance-of", "`instance-of` has no effect without `environment`", todo)
        elif of == (self._entity.ref,):
            self._warn("instance-of", f"`{of[0]}` is an instance of itself", "name the other component")
        elif of:
            return Instance(of[0], own, agreed=False)
        return None

    def _items(self, key: str, text: str | None = None) -> list[str]:
        """The entries of a list: so many as anybody needs."""
        said = self._values.get(key, "") if text is None else text
        items = [item for part in said.split(",") if (item := part.strip())]
        if len(items) > MAX_ITEMS:
            self._warn(key, f"`{key}` has {len(items):,} entries: those after {MAX_ITEMS:,} are left out")
        return items[:MAX_ITEMS]

    def _words(self, key: str, known: tuple[str, ...]) -> Iterator[str]:
        for word in self._items(key):
            if word in known:
                yield word
            else:
                self._warn(key, f"unknown word `{word[:SHOWN]}` in `{key}`", self._meant(word, known))

    def _cors(self) -> tuple[str, ...]:
        """Origins in one spelling, sorted; one word instead of them; nothing where somebody wrote both."""
        items = self._items("cors")
        if items in ([], ["refuse"]):
            return ()
        if items == ["upstream"]:
            return ("upstream",)
        found = set()
        for item in items:
            if origin := values.origin_of(item):
                found.add(origin)
            else:
                message = f"`{item[:SHOWN]}` in `cors` is no origin: scripts of it are refused"
                self._warn("cors", message, "write `https://shop.example.com`, or `upstream` or `refuse` alone")
        return tuple(sorted(found))

    def _access(self) -> Literal["owners", "consumers", "everyone", ""]:
        if "access" not in self._values:
            return ""
        match self._values["access"].strip():
            case "owners" | "consumers" | "everyone" as access:
                return access
            case word:
                self._warn("access", f"unknown access `{word[:SHOWN]}`: read as `owners`", self._meant(word, ACCESS))
        return "owners"

    def _refs(self, key: str, kind: str, kinds: tuple[str, ...] = ()) -> tuple[str, ...]:
        refs, wrong = ref_list(self._items(key), kind, namespace_of(self._entity.ref))
        fitting = [ref for ref in refs if ref.partition(":")[0] in (kinds or (kind,))]
        for text in [*wrong, *(ref for ref in refs if ref not in fitting)]:
            self._warn(key, f"`{text[:SHOWN]}` in `{key}` is no ref of a {kind}", f"write `{kind}:default/name`")
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
        if self._unplaced():
            return dict.fromkeys(self._environments if found else (), "")
        own = self._values.get("environment", "").strip()
        if own and "" in found:  # of one environment alone: there it calls, and nowhere else
            found = {**dict.fromkeys(self._environments, ""), own: found[""], **found}
            del found[""]
        return found

    def _unplaced(self) -> str:
        """What should say where the Component belongs, or which one it is, and says nothing. It was meant to narrow:
        until it is mended the Component calls as nobody and is published nowhere anew."""
        return next((key for key in ("environment", "instance-of") if key in self._values and not self._items(key)), "")

    # ---- exposures ----

    def _published_in(self) -> list[str]:
        listed = list(dict.fromkeys(self._words("environments", tuple(self._environments))))
        if key := self._unplaced():
            self._complaints.breaks_all(listed, key, f"`{key}` is empty: not published", "leave it out, or say which")
            return []
        own = self._values.get("environment", "").strip()
        if own and own not in self._environments:
            self._warn("environment", f"unknown environment `{own[:SHOWN]}`", self._meant(own, self._environments))
        elif own and not listed and {"host", "upstream"} & self._values.keys():  # else it only calls others
            todo = f"write `environments: {own}`"
            self._warn("environment", "`environment` publishes nothing without `environments`", todo)
        if own and listed and listed != [own]:
            message = f"`environment` is `{own}`, but `environments` lists `{', '.join(listed)}`: not published"
            self._complaints.breaks_all(listed, "environments", message, f"write `{own}`")
            return []
        return listed

    def _value(self, key: str, environment: str) -> tuple[str, str]:
        """The key that holds, and its value for the environment."""
        own = f"{key}.{environment}"
        chosen = own if own in self._values else key
        return chosen, self._values.get(chosen, "").strip().replace("{env}", environment)

    def _exposure(self, environment: str) -> Exposure | None:
        before = self._complaints.errors
        host_key, host = self._value("host", environment)
        if not (host := host.lower()):
            self._break(environment, "environments", "annotation `host` is missing", "say the public host name")
        elif not values.is_host(host):
            self._break(environment, host_key, f"`{host[:SHOWN]}` is no host name", "without scheme, port and path")
        elif host == self._central_host:
            self._break(environment, host_key, f"host `{host}` is Stagedoor's own")
        prefix = self._prefix(environment)
        upstreams = self._upstreams(environment)
        if self._complaints.errors > before:
            return None
        bounds, place = self._environments[environment], self._entity.place(host_key)
        exposure = Exposure(environment, host, prefix, upstreams, place, name_listed(host, bounds.shared_hosts))
        for message in claimable(exposure, bounds.hosts, bounds.upstreams):
            self._break(environment, host_key, message, UNLISTED)
        return exposure if self._complaints.errors == before else None

    def _prefix(self, environment: str) -> str:
        key, path = self._value("path", environment)
        if not (prefix := values.prefix_of(path if key in self._values else "/")):
            todo = "write `/v1/payments`" if len(path) <= values.LONGEST_PREFIX else "write a shorter one"
            self._break(environment, key, f"`{path[:SHOWN]}` is no path prefix", todo)
        return prefix

    def _upstreams(self, environment: str) -> tuple[str, ...]:
        key, text = self._value("upstream", environment)
        found: dict[str, None] = {}
        if len(parts := self._items(key, text)) > MAX_UPSTREAMS:
            self._break(environment, key, f"more than {MAX_UPSTREAMS} upstreams", "name what balances them")
            return ()
        for part in parts:
            if upstream := values.upstream_of(part):
                found[upstream] = None
            else:
                suggestion = "write `https://payments.example.internal:8443`, without path and user"
                self._break(environment, key, f"`{part[:SHOWN]}` is no upstream", suggestion)
        if not text:
            self._break(environment, "environments", "annotation `upstream` is missing", "say where the service runs")
        return tuple(found)

    def _networks(self, key: str, published: list[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
        """By environment the addresses within the networks that the operator lists for it; others are left out."""
        single = key == "virtual-address"
        for environment in published:
            (chosen, text), found = self._value(key, environment), set[str]()
            bounds = self._environments[environment]
            within = bounds.upstreams if bounds.virtual_networks is None or not single else bounds.virtual_networks
            for part in self._items(chosen, text):
                network = values.network_of(part, single=single)
                if network is None:
                    hint = "write `10.20.30.40`" if single else "write `10.20.30.40, 10.20.40.0/24`"
                    self._warn(chosen, f"`{part[:SHOWN]}` in `{chosen}` is no address", hint, environment)
                elif not network_listed(network, within):
                    message = f"`{part}` in `{chosen}` is outside the networks of this environment"
                    self._warn(chosen, message, UNLISTED, environment)
                else:
                    found.add(str(network.network_address) if network.num_addresses == 1 else str(network))
            if single and len(found) > 1:
                self._warn(chosen, f"`{chosen}` holds several addresses, so none is used", "write one", environment)
            elif found:
                yield environment, tuple(sorted(found))

    # ---- operations ----

    def _declared(self) -> Iterator[Operation]:
        for key, public in (("paths", False), ("public", True)):
            for item in self._items(key):
                if operation := values.operation_of(item):
                    yield Operation(*operation, public=public, source=self._entity.place(key))
                else:
                    self._warn(key, f"`{item[:SHOWN]}` in `{key}` is no operation", "write `GET /assets/**`")
