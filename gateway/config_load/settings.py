"""From the models of `stagedoor.yaml` to settings: defaults that depend on others, paths, presets, and the checks
that need more than one value.

Whatever is wrong here is collected with the place of the value it is about; the settings are only to be used when
there is no fault.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

from gateway import config
from gateway.config.devices import Devices
from gateway.config.sign_in import Client, ClientMethod, CommandLine, EnvironmentSessions, Sessions
from gateway.config_load.catalog import catalog_faults, catalog_settings
from gateway.config_load.devices.bigip import devices_settings, virtual_networks
from gateway.config_load.devices.bigip_faults import devices_faults
from gateway.config_load.devices.panos_faults import panos_faults
from gateway.config_load.identity import identity_faults
from gateway.config_load.issuers import ClientModel, CommandLineModel, IntrospectionModel, IssuerModel
from gateway.config_load.limits import limits_settings, timeouts_settings
from gateway.config_load.listeners import listener_faults
from gateway.config_load.models import (
    CheckModel,
    DocumentModel,
    EnvironmentModel,
    ListenerModel,
    ServiceModel,
    SessionsModel,
)
from gateway.config_load.sessions import sign_in_faults
from gateway.documents import Locate
from gateway.http1.trailers import may_be_trailer
from gateway.identity import presets
from policy.reading import Fault


def settings_of(model: DocumentModel, folder: Path, locate: Locate) -> tuple[config.Settings, list[Fault]]:
    """``folder`` is what relative paths are relative to."""

    def absolute(path: str | None) -> str:
        return os.path.normpath(folder / path) if path else ""

    issuers = tuple(_issuer(each, absolute) for each in model.issuers)
    devices = devices_settings(model.devices, absolute, model.central_host or "")
    settings = config.Settings(
        listeners=tuple(_listener(each, absolute) for each in model.listeners),
        issuers=issuers,
        environments={name: _environment(name, each, devices, absolute) for name, each in model.environments.items()},
        catalog=catalog_settings(model.catalog, absolute),
        access_policy=absolute(model.access_policy),
        state_folder=absolute(model.state.folder),
        database=model.state.database or "",
        central_host=model.central_host or "",
        workers=model.workers or max(1, (os.cpu_count() or 1) - 1),
        admin_address=model.admin.address if model.admin else config.ADMIN_ADDRESS,
        administrators=tuple(model.administrators),
        limits=limits_settings(model.limits),
        timeouts=timeouts_settings(model.timeouts, bigip=any(each.bigip for each in model.listeners)),
        audit=config.Audit(absolute(model.audit.folder), model.audit.sync),
        sessions=_sessions(model.sessions, absolute),
        devices=devices,
        log_format=model.log.format,
        sightings_s=config.SIGHTINGS_S if model.state.sightings is None else model.state.sightings,
    )
    return settings, _faults(settings, locate)


def _listener(model: ListenerModel, absolute: Callable[[str | None], str]) -> config.Listener:
    tls = None
    if model.tls is not None:
        files = (model.tls.certificate, model.tls.key, model.tls.client_ca)
        tls = config.ListenerTls(*map(absolute, files))
    return config.Listener(
        model.name,
        model.address,
        tls,
        tuple(model.trusted_peers),
        proxy_protocol=model.proxy_protocol,
        direct=model.direct,
        bigip=model.bigip,
        health_only=model.health_only,
        client_certificate_header=model.client_certificate_header or "",
    )


def _issuer(model: IssuerModel, absolute: Callable[[str | None], str]) -> config.Issuer:
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
            workload_when={
                claim: text if isinstance(text, str) else tuple(text)
                for claim, text in (model.workload_when or default.workload_when).items()
            },
            # Who writes down how to tell the programs of an issuer means these programs.
            clients=model.clients or ("ours" if model.workload_when else ""),
            token_types=tuple(model.token_types) if model.token_types else default.token_types,
            jwks_uri=model.jwks_uri or "",
            tenants=tuple(model.tenants),
            introspection=_introspection(model.introspection, absolute) if model.introspection else None,
            client=_client(model.client, absolute) if model.client else None,
            command_line=_command_line(model.command_line, model.client) if model.command_line else None,
        )
    )


def _introspection(model: IntrospectionModel, absolute: Callable[[str | None], str]) -> config.Introspection:
    return config.Introspection(
        client_id=model.client_id,
        client_secret_file=absolute(model.client_secret_file),
        url=model.url or "",
        prefixes=tuple(model.prefixes),
        cache_s=model.cache or config.Introspection("", "").cache_s,
        tokens=model.tokens,
        without_sub=model.without_sub,
    )


def _client(model: ClientModel, absolute: Callable[[str | None], str]) -> Client:
    usual: ClientMethod = "private_key_jwt" if model.key_file else "client_secret_basic"
    return Client(
        id=model.id,
        secret_file=absolute(model.secret_file),
        key_file=absolute(model.key_file),
        method=model.method or usual,
        scopes=tuple(model.scopes) if model.scopes else Client("").scopes,
        userinfo=model.userinfo,
        hosts=tuple(model.hosts),
        domains=tuple(model.domains),
        mfa_acr_values=tuple(model.mfa_acr_values),
    )


def _command_line(model: CommandLineModel, client: ClientModel | None) -> CommandLine:
    scopes = tuple(model.scopes) if model.scopes else CommandLine("").scopes
    words = model.mfa_acr_values
    if words is None:
        words = client.mfa_acr_values if client is not None else []
    return CommandLine(model.client_id, scopes, model.resource or "", tuple(words))


def _sessions(model: SessionsModel, absolute: Callable[[str | None], str]) -> Sessions:
    default = Sessions()
    return Sessions(
        idle_s=default.idle_s if model.idle is None else model.idle,
        absolute_s=default.absolute_s if model.absolute is None else model.absolute,
        offline_s=default.offline_s if model.offline is None else model.offline,
        refresh_s=default.refresh_s if model.refresh is None else model.refresh,
        keys_file=absolute(model.keys_file),
    )


def _environment(
    name: str, model: EnvironmentModel, devices: Devices, absolute: Callable[[str | None], str]
) -> config.Environment:
    services = {ref: _service(each, absolute) for ref, each in model.services.items()}
    sessions = EnvironmentSessions(model.sessions.idle, model.sessions.absolute)
    hosts, upstreams, shared = tuple(model.hosts), tuple(model.upstreams), tuple(model.shared_hosts)
    return config.Environment(name, hosts, upstreams, services, sessions, shared, virtual_networks(devices, name))


def _service(model: ServiceModel, absolute: Callable[[str | None], str]) -> config.ServiceSettings:
    tls = model.tls
    return config.ServiceSettings(
        connect_s=model.timeouts.connect,
        response_s=model.timeouts.response,
        idle_s=model.timeouts.idle,
        tunnel_idle_s=model.timeouts.tunnel_idle,
        connections=model.connections,
        tls=config.UpstreamTls(absolute(tls.ca), absolute(tls.certificate), absolute(tls.key), tls.server_name or "")
        if tls
        else None,
        body_limit_bytes=model.body_limit,
        check=_check(model.check) if model.check else None,
        upgrades=tuple(model.upgrades),
        trailers=tuple(name.lower() for name in model.trailers),
    )


def _check(model: CheckModel) -> config.Check:
    default = config.Check(model.path)
    return config.Check(model.path, model.interval or default.interval_s)


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
    for kind, rate in (("principals", settings.limits.principals), ("addresses", settings.limits.addresses),
                       ("hosts", settings.limits.hosts), ("refusals", settings.limits.refusals)):  # fmt: skip
        if rate.burst and not rate.requests_per_second:
            message = f"`limits.{kind}.burst` limits nothing without `requests_per_second`"
            faults.append(Fault(locate(("limits", kind, "burst")), message, "set both, or `concurrent` alone"))
    faults += listener_faults(settings, locate)
    faults += identity_faults(settings, locate)
    faults += sign_in_faults(settings, locate)
    faults += catalog_faults(settings, locate)
    faults += devices_faults(settings, locate)
    faults += panos_faults(settings, locate)
    for name, environment in settings.environments.items():
        for ref, service in environment.services.items():
            if service.tls is not None and bool(service.tls.certificate) != bool(service.tls.key):
                place = locate(("environments", name, "services", ref, "tls"))
                faults.append(Fault(place, "`tls` needs both `certificate` and `key`, or neither", ""))
            for position, trailer in enumerate(service.trailers):
                if not may_be_trailer(trailer, settings):
                    place = locate(("environments", name, "services", ref, "trailers", position))
                    message = f"`{trailer}` counts in a head alone and never passes behind a body (RFC 9110, 6.5.1)"
                    faults.append(Fault(place, message, "name fields of the service's own, such as `grpc-status`"))
    return faults
