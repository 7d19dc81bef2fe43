"""Would a node start with these files, and what would it serve? Everything is read as a node reads it, nothing starts.

Four parts, and a fault in one hides as little as possible of the others: the configuration, the credentials it names
(certificates, keys, secrets), the access policy, the catalog compiled to the end. The first three are the operator's
own: an error there rejects the version. What is wrong in the catalog is quarantined by a running node entity by entity,
so it is told and rejects nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple

from gateway import config, config_load
from gateway.authoring.testing import asked_of, results_of, sentence_of
from gateway.certificates import SOON_S, Certificate, read_certificate, uncovered
from gateway.config_load.files import unusable_credentials
from gateway.documents import Locate
from gateway.engine.access_files import AccessRead, read_access
from gateway.engine.offline import Compilation, compile_offline
from gateway.questions.explain import OWN_SERVICE
from policy.facts import Source
from policy.issuers import unknown_issuers
from policy.promises.promised import has_promises
from policy.reading import Fault

CONFIGURATION: Final = "configuration"
CREDENTIALS: Final = "credentials"
ACCESS: Final = "access policy"
CATALOG: Final = "catalog"
PROMISES: Final = "tests"
_QUARANTINED: Final = (CATALOG, PROMISES)  # what is wrong there a node holds, piece by piece, and serves the rest
NAMED: Final = 3  # hosts that a summary names before it counts


class Part(NamedTuple):
    """One part and how it is. ``summary`` is for a person."""

    name: str
    verdict: Literal["ok", "warning", "fault", "skipped"]
    summary: str
    faults: tuple[Fault, ...] = ()


class Checked(NamedTuple):
    """``usable``: a node would take these files and be believed by its clients."""

    file: str
    parts: tuple[Part, ...]
    counts: Mapping[str, int]
    certificates: tuple[Certificate, ...]

    @property
    def usable(self) -> bool:
        return all(part.verdict not in ("fault", "skipped") for part in self.parts if part.name not in _QUARANTINED)

    @property
    def faults(self) -> list[Fault]:
        return [fault for part in self.parts for fault in part.faults]


def check_files(file: Path, now: float, environ: Mapping[str, str] | None = None) -> Checked:
    """``now`` in epoch seconds; ``environ`` as for `config_load.load`."""
    try:
        examined = config_load.examine(file, environ)
    except config_load.ConfigFaults as broken:
        examined = config_load.Examined(None, broken.faults, lambda path: Source(str(file)), "")
    settings = examined.settings
    if settings is None:
        access = read_access(examined.access_policy) if examined.access_policy else None
        parts: tuple[Part, ...] = (
            _part(CONFIGURATION, "", examined.faults),
            Part(CREDENTIALS, "skipped", "not looked at: the configuration has faults"),
            _access_part(access),
            Part(CATALOG, "skipped", "not looked at: the configuration has faults"),
        )
        return Checked(str(file), parts, {}, ())
    compiled = compile_offline(settings)
    certificates, faults = _certificates(settings, examined.locate, now)
    hosts = sorted({each.host for each in compiled.table.exposures.values() if each.service != OWN_SERVICE})
    faults += _uncovered(settings, hosts, certificates, examined.locate)
    counts = _counts(settings, compiled)
    summary = _listed(counts, "listeners", "issuers", "environments")
    parts = (
        _part(CONFIGURATION, summary, examined.faults),
        _part(CREDENTIALS, _dates(certificates, now) if certificates or not faults else "", faults),
        _access_part(compiled.access, [each.name for each in settings.issuers]),
        _catalog_part(compiled, counts),
        *_promises_part(compiled, now),
    )
    return Checked(str(file), parts, counts, tuple(certificates))


def _part(name: str, summary: str, faults: Iterable[Fault]) -> Part:
    found = tuple(sorted(dict.fromkeys(faults), key=lambda fault: (fault.source.file, fault.source.line)))
    errors = sum(fault.severity == "error" for fault in found)
    warnings = len(found) - errors
    said = [summary] if summary else []
    said += [_counted(errors, "error")] if errors else []
    said += [_counted(warnings, "warning")] if warnings else []
    return Part(name, "fault" if errors else "warning" if warnings else "ok", "; ".join(said), found)


def _access_part(access: AccessRead | None, issuers: Sequence[str] = ()) -> Part:
    if access is None:
        return Part(ACCESS, "skipped", "not looked at: the configuration does not name it")
    policy = access.policy
    counts = {"environments": len(policy.environments), "rules": len(policy.rules)} if policy is not None else {}
    unknown = unknown_issuers(policy, issuers) if policy is not None and issuers else []
    return _part(ACCESS, _listed(counts, *counts), (*access.faults, *unknown))


def _catalog_part(compiled: Compilation, counts: Mapping[str, int]) -> Part:
    if compiled.access.policy is None:
        summary = f"{_counted(counts['entities'], 'entity')}; not compiled: the access policy has faults"
        return _part(CATALOG, summary, compiled.catalog_faults)
    summary = (
        f"{_counted(counts['entities'], 'entity')}: {_listed(counts, 'people', 'teams')}, "
        f"{_counted(counts['services'], 'service')} in {_counted(counts['exposures'], 'exposure')} "
        f"with {_counted(counts['rules'], 'rule')}"
    )
    return _part(CATALOG, summary, compiled.catalog_faults)


def _promises_part(compiled: Compilation, now: float) -> Iterator[Part]:
    """What the access policy's tests and invariants come to, where it has any."""
    policy = compiled.access.policy
    if policy is None or not has_promises(policy):
        return
    results = results_of(asked_of(compiled, policy), int(now))
    faults = [
        Fault(each.source, f"`{each.name}` {sentence_of(each)}", each.todo or "run `stagedoor test`",
              "error" if each.status == "failed" else "warning")
        for each in results
        if each.status != "passed"
    ]  # fmt: skip
    summary = f"{_counted(len(policy.expectations), 'test')}, {_counted(len(policy.invariants), 'invariant')}"
    yield _part(PROMISES, summary if faults else f"{summary}, all hold", faults)


def _counts(settings: config.Settings, compiled: Compilation) -> dict[str, int]:
    own = [each for each in compiled.table.exposures.values() if each.service != OWN_SERVICE]
    return {
        "listeners": len(settings.listeners),
        "issuers": len(settings.issuers),
        "environments": len(settings.environments),
        "entities": sum(compiled.kinds.values()),
        "people": compiled.kinds.get("user", 0),
        "teams": compiled.kinds.get("group", 0),
        "services": len({each.service for each in own}),
        "exposures": len(own),
        "rules": sum(len(compiled.why.get(f"why/{each.key}", ())) for each in own),
    }


# === certificates ===


def _certificates(settings: config.Settings, locate: Locate, now: float) -> tuple[list[Certificate], list[Fault]]:
    """Those that can be read, each once, and what is wrong with any."""
    faults = unusable_credentials(settings, locate)
    found: dict[str, Certificate] = {}
    for certificate, key, place in _pairs(settings, locate):
        if certificate in found:
            continue
        try:
            found[certificate] = read_certificate(certificate)
        except (OSError, ValueError):
            continue  # said above, at the place that names it
        faults += _age_faults(found[certificate], place, now)
        faults += _key_faults(key, place)
    return list(found.values()), faults


def _pairs(settings: config.Settings, locate: Locate) -> Iterator[tuple[str, str, Source]]:
    for position, listener in enumerate(settings.listeners):
        if listener.tls is not None:
            yield listener.tls.certificate, listener.tls.key, locate(("listeners", position, "tls"))
    for name, environment in settings.environments.items():
        for ref, service in environment.services.items():
            if service.tls is not None and service.tls.certificate:
                place = locate(("environments", name, "services", ref, "tls"))
                yield service.tls.certificate, service.tls.key, place


def _age_faults(certificate: Certificate, place: Source, now: float) -> list[Fault]:
    said = f"`{certificate.file}` {certificate.dates(now)}"
    if certificate.is_over(now):
        return [Fault(place, said, "put a certificate there that holds today")]
    if certificate.ends - now < SOON_S:
        return [Fault(place, said, "renew it, then reload with SIGHUP", "warning")]
    return []


def _key_faults(key: str, place: Source) -> list[Fault]:
    try:
        mode = os.stat(key).st_mode & 0o077
    except OSError:
        return []
    if not mode:
        return []
    return [Fault(place, f"`{key}` can be read by others than its owner", f"run `chmod 600 {key}`", "warning")]


def _uncovered(
    settings: config.Settings, hosts: Sequence[str], certificates: Iterable[Certificate], locate: Locate
) -> list[Fault]:
    """Hosts that a client would turn away from. Behind a BIG-IP, what clients see is the BIG-IP's certificate."""
    shown = {each.tls.certificate for each in settings.listeners if each.tls is not None and not each.bigip}
    served = [each for each in certificates if each.file in shown]
    if not served:
        return []
    faults = []
    todo = "name it in the certificate"
    if settings.central_host and uncovered([settings.central_host], served):
        message = f"no listener's certificate names the central host `{settings.central_host}`"
        faults.append(Fault(locate(("central_host",)), message, todo, "warning"))
    if left := uncovered(hosts, served):
        names = ", ".join(f"`{host}`" for host in left[:NAMED]) + (", …" if len(left) > NAMED else "")
        message = f"no listener's certificate names {_counted(len(left), 'published host')}: {names}"
        faults.append(Fault(locate(("listeners",)), message, "name them in the certificate", "warning"))
    return faults


def _dates(certificates: Sequence[Certificate], now: float) -> str:
    if not certificates:
        return "no certificate is named"
    first = min(certificates, key=lambda each: each.ends)
    lead = "" if len(certificates) == 1 else ", the first"
    return f"{_counted(len(certificates), 'certificate')}{lead} {first.dates(now)}"


# === words ===

_PLURALS: Final = {"entity": "entities"}


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun if number == 1 else _PLURALS.get(noun, noun + 's')}"


def _listed(counts: Mapping[str, int], *names: str) -> str:
    singular = {"people": "person"}
    return ", ".join(
        f"{counts[name]:,} {singular.get(name, name.removesuffix('s')) if counts[name] == 1 else name}"
        for name in names
    )  # fmt: skip
