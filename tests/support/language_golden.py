"""Golden files of the whole language: an access policy and catalog entries as people write them, and what comes of it.

A case is text in parts, each headed by a line ``=== NAME``: `access-policy.yaml`, then any number of catalog files. The
operator's side is always the same: environments dev, staging and prod, each with hosts below ``.example.com``, the
wildcard ``*.tenants.example.com``, networks 10.0.0.0/8 and names below ``.internal``.

A part `requests` asks what comes of it: lines of who, what they show, method and address, such as
``jane mfa GET https://payments.example.com/`` or ``client:orders scope:a POST https://…``; ``nobody`` is not signed in.

Below ``----------`` stand the exposures with their place, operations and rules as sentences, what the owner says
beside that, every fault with file and line, and the answer to each request.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gateway import config
from gateway.engine.offline import Compilation, compile_offline
from gateway.questions.explain import Caller, decide
from gateway.questions.pasted_url import address_of
from policy.explain import sentence_of
from policy.facts import Circumstances, Operation, Service
from policy.requirements import duration_text
from policy.rule import Published
from tests.support.catalogs import PREFIX

FOLDER = Path(__file__).parents[1] / "golden" / "language"
LINE = "----------\n"
HOSTS = (".example.com", "*.tenants.example.com")
NETWORKS = ("10.0.0.0/8", ".internal")
ENVIRONMENTS = ("dev", "staging", "prod")
_HEAD = re.compile(r"^=== (\S+)\n", re.MULTILINE)


def compiled(text: str) -> str:
    """What the part above the line becomes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = compile_offline(settings_of(text, folder))
        lines = [line for each in found.published for line in _published(each)]
        lines += [line for service in found.catalog.services.values() for line in _beside(service)]
        if found.access.policy is None:
            lines = ["refused"]
        asked = _parts(text).get("requests", "").splitlines()
        answers = [f"{line} → {_answer(found, line.split())}" for line in asked if line and not line.startswith("#")]
        return "".join(f"{line}\n" for line in (*lines, *_faults(found, folder), *answers))


def _parts(text: str) -> dict[str, str]:
    parts = _HEAD.split(text)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def _answer(found: Compilation, words: list[str]) -> str:
    who, *shown, method, url = words
    kind: Any = "anonymous" if who == "nobody" else "client" if who.startswith("client:") else "user"
    scopes = frozenset(word.partition(":")[2] for word in shown if word.startswith("scope:"))
    caller = Caller(kind, who.removeprefix("client:"), scopes, "mfa" in shown, "", Circumstances())
    answer = decide(found.table, found.why, caller, method, address_of(url))
    said = f"allowed, {answer.reason}: {answer.operation}" if answer.allowed else f"{answer.reason} {answer.status}"
    return said + (f", lacks {' '.join(answer.need)}" if answer.need else "")


def settings_of(text: str, folder: Path) -> config.Settings:
    """The parts as files, and settings that name them."""
    parts = _parts(text)
    for name, part in parts.items():
        (folder / name).write_text(part)
    environments = {name: config.Environment(name, HOSTS, NETWORKS) for name in ENVIRONMENTS}
    files = tuple(str(folder / name) for name in parts if name.endswith(".yaml") and name != "access-policy.yaml")
    return config.Settings(
        listeners=(),
        issuers=(),
        environments=environments,
        catalog=config.Catalog(prefix=PREFIX, files=files),
        access_policy=str(folder / "access-policy.yaml"),
        state_folder=str(folder),
    )


def _published(published: Published) -> list[str]:
    exposure = published.exposure
    place = f"{exposure.host}{exposure.prefix} → {', '.join(exposure.upstreams)}"
    return [
        f"{published.key} at {place}",
        *_operations(published),
        *(f"  {rule.reason}: {sentence_of(rule)}" for rule in published.rules),
    ]


def _operations(published: Published) -> list[str]:
    """Those of one path that need the same on one line."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for each in published.operations:
        found.setdefault((each.template, _needs(each), each.api), []).append(each.method)
    return [f"  {' '.join(methods)} {template}{needs}" for (template, needs, _), methods in found.items()]


def _needs(operation: Operation) -> str:
    if operation.unresolved:
        return " is refused"
    return " needs " + " or ".join(" ".join(sorted(each)) for each in operation.scopes) if operation.scopes else ""


def _beside(service: Service) -> Iterator[str]:
    """What the owner says that makes no rule."""
    said = {
        "options": " ".join(sorted(service.options)),
        "cors": " ".join(service.cors),
        "calls as": _by_environment(service.client_ids),
        "virtual address": _by_environment(service.virtual_addresses),
        "runs at": _by_environment({name: " ".join(each) for name, each in service.addresses.items()}),
        "temporary access": f"at most {duration_text(service.longest_s)}" if service.longest_s else "",
        "approved by": " ".join(service.approvers),
        "instance of": f"{service.instance.of} in {service.instance.environment}" if service.instance else "",
    }
    for name, value in said.items():
        if value:
            yield f"{service.ref}: {name} {value}"


def _by_environment(values: Mapping[str, str]) -> str:
    return ", ".join(f"{value or 'nobody'} ({name or 'everywhere'})" for name, value in sorted(values.items()))


def _faults(found: Compilation, folder: Path) -> Iterator[str]:
    for fault in sorted(found.faults, key=lambda each: (each.source.file, each.source.line, each.message)):
        yield f"{fault.severity} {fault}".replace(f"{folder}/", "")


def rewrite() -> None:
    """Writes what comes out now into every golden file. The difference is then read like code."""
    for path in sorted(FOLDER.glob("*.case")) if len(sys.argv) < 2 else map(Path, sys.argv[1:]):
        given = path.read_text().partition(LINE)[0]
        path.write_text(given + LINE + compiled(given))


if __name__ == "__main__":
    rewrite()
