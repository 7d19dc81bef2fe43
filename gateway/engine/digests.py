"""The digest of a whole catalog, kept from one version to the next: of a hundred thousand entities only those that
changed are looked at again. It depends on what is said and on nothing else, and like any digest it cannot be steered:
each share of the catalog is hashed as a whole, and the shares are.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from zlib import crc32

from gateway.engine.sources.entities import Entity
from policy.tracking import Comparison

SHARES = 1024


class CatalogDigest:
    def __init__(self, comparison: Comparison[str, Entity] | None = None) -> None:
        self._comparison = comparison or Comparison()
        self._entities: Mapping[str, Entity] = {}
        self._said: list[dict[str, str]] = [{} for _ in range(SHARES)]  # by share: ref -> digest
        self._shares = [b""] * SHARES

    def of(self, entities: Mapping[str, Entity]) -> bytes:
        """``entities`` never changes after."""
        touched = set()
        for ref in self._comparison.differing(self._entities, entities):
            share = crc32(ref.encode()) % SHARES
            entity = entities.get(ref)
            if entity is not None:
                self._said[share][ref] = entity.digest
            else:
                self._said[share].pop(ref, None)
            touched.add(share)
        for share in touched:
            lines = "".join(f"{ref} {digest}\n" for ref, digest in sorted(self._said[share].items()))
            self._shares[share] = blake2b(lines.encode(), digest_size=20).digest() if lines else b""
        self._entities = entities
        whole = blake2b(digest_size=20)
        for share, digest in enumerate(self._shares):
            whole.update(share.to_bytes(2, "big") + digest if digest else b"")
        return whole.digest()
