"""What an owner says of a service that makes no rule, told back to them: read, bounded, and not in force by itself."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.engine.entries.causes import Note
from policy.facts import Service
from policy.requirements import duration_text


def remarks(service: Service) -> Iterator[Note]:
    """A note for each: temporary access, addresses for the network, which service it is in its environment."""
    for says in (_temporary(service), *_addresses(service), _instance(service)):
        if says:
            yield Note(says, source=service.source, severity="note", holds=False)


def _temporary(service: Service) -> str:
    said = [f"at most {duration_text(service.longest_s)}"] if service.longest_s else []
    said += [f"approved by {_listed(service.approvers)}"] if service.approvers else []
    return f"temporary access: {', '.join(said)}; nothing grants it" if said else ""


def _addresses(service: Service) -> Iterator[str]:
    for environment, address in sorted(service.virtual_addresses.items()):
        yield f"its own address on BIG-IP in {environment}: {address}"
    for environment, addresses in sorted(service.addresses.items()):
        yield f"where it really runs in {environment}: {', '.join(addresses)}"


def _instance(service: Service) -> str:
    instance = service.instance
    if instance is None:
        return ""
    counts = "rules about that are about this, too" if instance.agreed else "only what is denied there is denied here"
    return f"it is `{instance.of}` in {instance.environment}: {counts}"


def _listed(refs: tuple[str, ...]) -> str:
    return " or ".join(f"`{ref}`" for ref in refs)
