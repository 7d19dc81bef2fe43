"""What a plan is about, as its sentences need it: whose an object is, and who answers at an address then and now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from gateway.engine.network.bigip.as3.names import SHARED
from gateway.engine.network.bigip.as3.records import NOBODY, Record, hosts_in, stamp
from gateway.engine.network.bigip.objects import listed
from gateway.engine.network.bigip.review.host_steps import host_of

Declared = Mapping[str, Any]

NAMES: Final = {
    "Service_HTTPS": "virtual server", "Service_HTTP": "plain HTTP virtual server", "Pool": "pool of doors",
    "Monitor": "monitor", "TLS_Client": "TLS profile towards the doors", "TLS_Server": "TLS profile towards clients",
    "HTTP_Profile": "HTTP profile", "Multiplex_Profile": "OneConnect profile", "Data_Group": "data group",
    "Certificate": "certificate", "iRule": "iRule", "Application": "application", "Tenant": "tenant",
}  # fmt: skip


class Scene:
    """Two states of the tenant ``tenant``; ``configured``: members of the settings. ``common`` is what its virtual
    servers will share."""

    def __init__(
        self, tenant: str, environment: str, before: Declared, after: Declared, configured: Iterable[str]
    ) -> None:
        self.tenant = tenant
        self.environment = environment
        self.configured = tuple(configured)
        shared = after.get(SHARED)
        self.common: Declared = shared if isinstance(shared, dict) else {}
        self._answered, self._answers = _answering(before), _answering(after)
        records = hosts_in(before), hosts_in(after)
        self.remaining = {record.entity for record in records[1].values()}
        by_entity: dict[str, set[str]] = {}
        for each in records:
            for place, record in each.items():
                by_entity.setdefault(record.entity, set()).add(host_of(place))
        self._by_entity = {entity: tuple(sorted(hosts)) for entity, hosts in by_entity.items()}
        self._all = tuple(sorted(set().union(*by_entity.values())))

    def hosts(self, path: str, *services: Declared) -> tuple[str, ...]:
        """Whose callers an object serves: everybody's if it is shared, else those of its component."""
        if self.is_shared(path):
            return self._all
        entities = {stamp(service, "entity") for service in services}
        return tuple(sorted({host for entity in entities for host in self._by_entity.get(entity, ())}))

    def heir(self, service: Declared) -> Record | None:
        """Which other component answers at an address of a virtual server afterwards."""
        return _other(service, self._answers)

    def forebear(self, service: Declared) -> Record | None:
        """Which other component answered there before."""
        return _other(service, self._answered)

    def is_shared(self, path: str) -> bool:
        return path.split("/")[2:3] in ([SHARED], [])

    def whose(self, path: str, hosts: tuple[str, ...]) -> str:
        if self.is_shared(path) and len(hosts) > 1:
            return f"all {len(hosts)} hosts of {self.environment}"
        return ", ".join(hosts[:3]) or self.environment


Listening = dict[tuple[str, str], Record]  # address and port -> whose


def _answering(tenant: Declared) -> Listening:
    """The components that have addresses of their own."""
    found: Listening = {}
    for members in tenant.values():
        for service in members.values() if isinstance(members, dict) else ():
            if isinstance(service, dict) and (entity := stamp(service, "entity")):
                owner = stamp(service, "owner")
                record = Record(entity, "" if owner == NOBODY else owner)
                found |= dict.fromkeys(_places(service), record)
    return found


def _other(service: Declared, answering: Listening) -> Record | None:
    entity = stamp(service, "entity")
    if not entity:
        return None
    records = (answering.get(place) for place in _places(service))
    return next((record for record in records if record is not None and record.entity != entity), None)


def _places(service: Declared) -> list[tuple[str, str]]:
    port = service.get("virtualPort", 80 if service.get("class") == "Service_HTTP" else 443)
    return [(str(address), str(port)) for address in listed(service.get("virtualAddresses"))]
