"""Settings that say who somebody is, looked at together: issuers, who of them is asked about a token, and the files
that all this is read from.

Each check is about an answer that would come out wrong in silence: an issuer nobody can come with, a token shown to
a provider that did not give it out.
"""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from gateway import config
from gateway.documents import Locate
from gateway.identity import presets
from gateway.identity.client_certificates import Authorities
from gateway.secret_files import secret_fault
from policy.reading import Fault

SHORTEST_CACHE_S: Final = 5.0


def identity_faults(settings: config.Settings, locate: Locate) -> list[Fault]:
    return [
        *_issuer_faults(settings, locate),
        *_introspection_faults(settings, locate),
    ]


def unusable_identity_files(settings: config.Settings, locate: Locate) -> list[Fault]:
    """A fault for every file that should hold a secret, or the authorities of clients, and does not."""
    faults = []
    for position, issuer in enumerate(settings.issuers):
        asked = issuer.introspection
        if asked is not None and (message := secret_fault(asked.client_secret_file)):
            place = locate(("issuers", position, "introspection", "client_secret_file"))
            faults.append(Fault(place, message, "write the secret into it, one line and nothing else"))
    for position, listener in enumerate(settings.listeners):
        if listener.tls is None or not (listener.direct or listener.client_certificate_header):
            continue
        try:
            Authorities(Path(listener.tls.client_ca).read_bytes())
        except OSError:
            continue  # whoever looks at the certificates says so
        except ValueError:
            message = f"`{listener.tls.client_ca}` holds no authority that stands for itself"
            place = locate(("listeners", position, "tls", "client_ca"))
            faults.append(Fault(place, message, "put the root into it, beside those between it and the clients"))
    return faults


def _issuer_faults(settings: config.Settings, locate: Locate) -> list[Fault]:
    faults = []
    seen: dict[str, str] = {}
    for position, issuer in enumerate(settings.issuers):
        place = locate(("issuers", position))
        if (other := seen.setdefault(issuer.issuer, issuer.name)) != issuer.name:
            faults.append(Fault(place, f"issuers `{other}` and `{issuer.name}` are one: `{issuer.issuer}`", ""))
        asked = issuer.introspection.url if issuer.introspection is not None else ""
        for address in filter(None, (issuer.issuer, issuer.jwks_uri, asked)):
            if urlsplit(address).scheme == "http" and not is_loopback(urlsplit(address).hostname or ""):
                faults.append(Fault(place, f"issuer `{issuer.name}` is reached without TLS", "use https"))
                break
        faults += [Fault(place, message, "") for message in presets.faults_of(issuer)]
    return faults


def _introspection_faults(settings: config.Settings, locate: Locate) -> list[Fault]:
    """Of each opaque token exactly one issuer is asked, and each issuer about some: the first whose prefix it has."""
    faults = []
    claimed: dict[str, str] = {}  # prefix -> the issuer it leads to
    for position, issuer in enumerate(settings.issuers):
        asked = issuer.introspection
        if asked is None:
            continue
        place = locate(("issuers", position, "introspection"))
        if asked.cache_s < SHORTEST_CACHE_S:
            message = f"issuer `{issuer.name}`: an answer that counts for less than 5s is asked for with every request"
            faults.append(Fault(place, message, "write `cache: 5s` or longer"))
        if asked.tokens == "signed" and asked.prefixes:
            faults.append(Fault(place, f"issuer `{issuer.name}`: `prefixes` are of opaque tokens", "leave them out"))
        if asked.tokens == "signed":
            continue
        for prefix in asked.prefixes or ("",):
            before = next((each for each in claimed if prefix.startswith(each)), None)
            if before is not None and claimed[before] != issuer.name:
                what = f"tokens that begin `{prefix}`" if prefix else "tokens of any beginning"
                message = f"issuer `{issuer.name}` is never asked about {what}: `{claimed[before]}` comes first"
                hint = f"put `{claimed[before]}` behind it" if prefix else "say `prefixes` for all of them but the last"
                faults.append(Fault(place, message, hint))
            claimed.setdefault(prefix, issuer.name)
    return faults


def is_loopback(host: str) -> bool:
    """Whether a host of an address is this machine (`localhost` as in RFC 6761)."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
