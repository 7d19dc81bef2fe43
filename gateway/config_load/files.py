"""The files that `stagedoor.yaml` names: certificates, keys, authorities, the access policy. Can they be used?

A certificate and its key are tried as TLS will use them; what a certificate says (names, dates) is no reason to refuse
a reload, so `gateway.certificates` looks at that when an operator asks.
"""

from __future__ import annotations

import os
import ssl

from gateway import config
from gateway.config_load.catalog import unusable_catalog_files
from gateway.config_load.database import unusable_database_files
from gateway.config_load.devices.bigip_faults import unusable_device_files
from gateway.config_load.devices.panos_faults import unusable_panos_files
from gateway.config_load.identity import unusable_identity_files
from gateway.config_load.sessions import unusable_sign_in_files
from gateway.documents import Locate
from policy.reading import Fault


def unusable_files(settings: config.Settings, locate: Locate) -> list[Fault]:
    """A fault for every file that cannot be used, at the place that names it."""
    faults = unusable_credentials(settings, locate)
    if not os.path.exists(settings.access_policy):
        faults.append(Fault(locate(("access_policy",)), f"cannot read `{settings.access_policy}`", ""))
    return faults


def unusable_credentials(settings: config.Settings, locate: Locate) -> list[Fault]:
    """Of these: certificates, keys, authorities, secrets."""
    faults = [
        *unusable_identity_files(settings, locate),
        *unusable_sign_in_files(settings, locate),
        *unusable_catalog_files(settings, locate),
        *unusable_database_files(settings, locate),
        *unusable_device_files(settings, locate),
        *unusable_panos_files(settings, locate),
    ]
    for position, listener in enumerate(settings.listeners):
        tls = listener.tls
        if tls is None:
            continue
        at = ("listeners", position, "tls")
        if message := _certificate_fault(tls.certificate, tls.key):
            faults.append(Fault(locate(at), message, ""))
        if tls.client_ca and (message := _authorities_fault(tls.client_ca)):
            faults.append(Fault(locate((*at, "client_ca")), message, ""))
    for name, environment in settings.environments.items():
        for ref, service in environment.services.items():
            if service.tls is not None:
                faults += _upstream_faults(service.tls, ("environments", name, "services", ref, "tls"), locate)
    return faults


def _upstream_faults(tls: config.UpstreamTls, at: tuple[str, ...], locate: Locate) -> list[Fault]:
    faults = []
    if tls.ca and (message := _authorities_fault(tls.ca)):
        faults.append(Fault(locate((*at, "ca")), message, ""))
    if tls.certificate and (message := _certificate_fault(tls.certificate, tls.key)):
        faults.append(Fault(locate(at), message, ""))
    return faults


def _certificate_fault(certificate: str, key: str) -> str:
    for file in (certificate, key):
        if not os.access(file, os.R_OK):
            return f"cannot read `{file}`"
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key, password=lambda: "")  # an encrypted key fails, never asks
    except (ssl.SSLError, OSError, ValueError) as fault:
        why = _why_no_pair(certificate, key, getattr(fault, "reason", None) or type(fault).__name__)
        return f"`{certificate}` and `{key}` are no certificate and its key: {why}"
    return ""


def _why_no_pair(certificate: str, key: str, reason: str) -> str:
    """What TLS means by its ``reason``, as far as the files' own words tell."""
    if reason == "KEY_VALUES_MISMATCH":
        return "the key belongs to another certificate"
    if "-BEGIN CERTIFICATE-" not in _words_of(certificate):
        return "the first holds no certificate in PEM"
    if "PRIVATE KEY-" not in _words_of(key):
        return "the second holds no private key in PEM"
    if "ENCRYPTED" in _words_of(key):
        return "the key has a password, and nobody is there to type it"
    return reason


def _words_of(file: str) -> str:
    try:
        with open(file, "rb") as opened:
            return opened.read(64 * 1024).decode("ascii", "replace")
    except OSError:
        return ""


def _authorities_fault(file: str) -> str:
    if not os.access(file, os.R_OK):
        return f"cannot read `{file}`"
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
    except (ssl.SSLError, OSError) as fault:
        return f"`{file}` holds no certificates: {getattr(fault, 'reason', None) or type(fault).__name__}"
    return ""
