"""From the models of `stagedoor.yaml` to settings: defaults that depend on others, paths, presets, and the checks
that need more than one value.

Whatever is wrong here is collected with the place of the value it is about; the settings are only to be used when
there is no fault.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from gateway import config
from gateway.config_models import (
    DocumentModel,
    EnvironmentModel,
    IssuerModel,
    LimitsModel,
    ListenerModel,
    ServiceModel,
    TimeoutsModel,
)
from gateway.identity import presets
from policy.facts import Source
from policy.reading import Fault

Locate = Callable[[Sequence[str | int]], Source]

BIGIP_ANNOUNCE_S = 21.0  # three monitor intervals of 5 s, a timeout of 16 s: the pool has seen the member leave


def settings_of(model: DocumentModel, folder: Path, locate: Locate) -> tuple[config.Settings, list[Fault]]:
    """``folder`` is what relative paths are relative to."""

    def absolute(path: str | None) -> str:
        return os.path.normpath(folder / path) if path else ""

    issuers = tuple(_issuer(each) for each in model.issuers)
    settings = config.Settings(
        listeners=tuple(_listener(each, absolute) for each in model.listeners),
        issuers=issuers,
        environments={name: _environment(name, each, absolute) for name, each in model.environments.items()},
        catalog=config.Catalog(model.catalog.prefix, tuple(absolute(each) for each in model.catalog.files)),
        access_policy=absolute(model.access_policy),
        state_folder=absolute(model.state.folder),
        central_host=model.central_host or "",
        workers=model.workers or max(1, (os.cpu_count() or 1) - 1),
        admin_address=model.admin.address if model.admin else config.ADMIN_ADDRESS,
        administrators=tuple(model.administrators),
        limits=_limits(model.limits),
        timeouts=_timeouts(model.timeouts, bigip=any(each.bigip for each in model.listeners)),
        audit=config.Audit(absolute(model.audit.folder), model.audit.sync),
        log_format=model.log.format,
    )
    return settings, _faults(settings, locate)


def _listener(model: ListenerModel, absolute: Callable[[str | None], str]) -> config.Listener:
    tls = None
    if model.tls is not None:
        files = (model.tls.certificate, model.tls.key, model.tls.client_ca)
        tls = config.ListenerTls(*map(absolute, files))
    return config.Listener(model.name, model.address, tls, tuple(model.trusted_peers), bigip=model.bigip)


def _issuer(model: IssuerModel) -> config.Issuer:
    """What the file says; what it leaves out comes from the preset, then from the dataclass."""
    default = config.Issuer(model.name, model.issuer, tuple(model.audiences), model.preset)
    groups = model.groups
    return presets.with_preset(
        config.Issuer(
            name=model.name,
            issuer=model.issuer,
            audiences=tuple(model.audiences),
            preset=model.preset,
            algorithms=tuple(model.algorithms) if model.algorithms else default.algorithms,
            match=tuple(
                config.MatchField(claim, each.field, tuple(each.domains)) for claim, each in (model.match or {}).items()
            ),
            groups=config.Groups(groups.claim, tuple(config.MatchField(groups.claim, f) for f in groups.match))
            if groups
            else None,
            membership=model.membership,
            scopes=model.scopes,
            workload_when=dict(model.workload_when) if model.workload_when is not None else default.workload_when,
            # Who writes down how to tell the programs of an issuer means these programs.
            clients=model.clients or ("ours" if model.workload_when else ""),
            token_types=tuple(model.token_types) if model.token_types else default.token_types,
            jwks_uri=model.jwks_uri or "",
            tenants=tuple(model.tenants),
        )
    )


def _environment(name: str, model: EnvironmentModel, absolute: Callable[[str | None], str]) -> config.Environment:
    services = {ref: _service(each, absolute) for ref, each in model.services.items()}
    return config.Environment(name, tuple(model.hosts), tuple(model.upstreams), services)


def _service(model: ServiceModel, absolute: Callable[[str | None], str]) -> config.ServiceSettings:
    tls = model.tls
    return config.ServiceSettings(
        connect_s=model.timeouts.connect,
        response_s=model.timeouts.response,
        idle_s=model.timeouts.idle,
        connections=model.connections,
        tls=config.UpstreamTls(absolute(tls.ca), absolute(tls.certificate), absolute(tls.key), tls.server_name or "")
        if tls
        else None,
        body_limit_bytes=model.body_limit,
        upgrades=tuple(model.upgrades),
        trailers=tuple(model.trailers),
    )


def _limits(model: LimitsModel) -> config.Limits:
    default = config.Limits()
    return config.Limits(
        head_bytes=model.head or default.head_bytes,
        fields=model.fields or default.fields,
        target_bytes=model.target or default.target_bytes,
        body_bytes=model.body or default.body_bytes,
        connections=model.connections or default.connections,
        handshakes=model.handshakes or default.handshakes,
        upstream_connections=model.upstream_connections or default.upstream_connections,
        cached_tokens=model.cached_tokens or default.cached_tokens,
    )


def _timeouts(model: TimeoutsModel, *, bigip: bool) -> config.Timeouts:
    default = config.Timeouts()
    announce = model.drain.announce
    if announce is None:
        announce = BIGIP_ANNOUNCE_S if bigip else default.drain_announce_s
    return config.Timeouts(
        handshake_s=model.handshake or default.handshake_s,
        head_s=model.head or default.head_s,
        body_s=model.body or default.body_s,
        keepalive_s=model.keepalive or default.keepalive_s,
        connect_s=model.connect or default.connect_s,
        response_s=model.response or default.response_s,
        idle_s=model.idle or default.idle_s,
        pool_idle_s=model.pool_idle or default.pool_idle_s,
        drain_announce_s=announce,
        drain_finish_s=default.drain_finish_s if model.drain.finish is None else model.drain.finish,
    )


# ---- what values mean together ----


def _faults(settings: config.Settings, locate: Locate) -> list[Fault]:
    faults = []
    addresses: dict[str, str] = {settings.admin_address: "admin"}
    for position, listener in enumerate(settings.listeners):
        place = locate(("listeners", position, "address"))
        if (other := addresses.setdefault(listener.address, listener.name)) != listener.name:
            faults.append(Fault(place, f"address `{listener.address}` is used by `{other}` already", ""))
    if not ip_address(settings.admin_address.rpartition(":")[0].strip("[]")).is_loopback:
        message = f"`admin.address` is `{settings.admin_address}`: the admin listener has no sign-in"
        faults.append(Fault(locate(("admin", "address")), message, "use a loopback address"))
    faults += _issuer_faults(settings, locate)
    for name, environment in settings.environments.items():
        for ref, service in environment.services.items():
            if service.tls is not None and bool(service.tls.certificate) != bool(service.tls.key):
                place = locate(("environments", name, "services", ref, "tls"))
                faults.append(Fault(place, "`tls` needs both `certificate` and `key`, or neither", ""))
    return faults


def _issuer_faults(settings: config.Settings, locate: Locate) -> list[Fault]:
    faults = []
    seen: dict[str, str] = {}
    for position, issuer in enumerate(settings.issuers):
        place = locate(("issuers", position))
        if (other := seen.setdefault(issuer.issuer, issuer.name)) != issuer.name:
            faults.append(Fault(place, f"issuers `{other}` and `{issuer.name}` are one: `{issuer.issuer}`", ""))
        for address in filter(None, (issuer.issuer, issuer.jwks_uri)):
            if urlsplit(address).scheme == "http" and not _is_loopback(urlsplit(address).hostname or ""):
                faults.append(Fault(place, f"issuer `{issuer.name}` is reached without TLS", "use https"))
                break
        faults += [Fault(place, message, "") for message in presets.faults_of(issuer)]
    return faults


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
