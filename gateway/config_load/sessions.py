"""Settings of sign-in looked at together: a client that could not prove itself, a choice with two answers, an
environment whose sessions would outlive the rest.

Each is a sign-in that would fail for everybody, or a session that would last longer than somebody meant.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gateway import config
from gateway.config.sign_in import Client, CommandLine
from gateway.documents import Locate
from gateway.identity import presets
from gateway.identity.issuers import TENANT
from gateway.secret_files import secret_fault
from gateway.session_key_files import session_keys_fault
from policy.reading import Fault

SHORTEST_S: Final = 1.0
# Of an environment. Doors tell of uses when what they know is a quarter of this old, tunnels after 1.3 s more; control
# writes the last one of each eighth. Until then the pause seems to go on: below this, to the whole of it.
SHORTEST_IDLE_S: Final = 10.0
RSA_BITS: Final = 2048


def sign_in_faults(settings: config.Settings, locate: Locate) -> list[Fault]:
    faults = []
    hosts: dict[str, str] = {}
    domains: dict[str, str] = {}
    for position, issuer in enumerate(settings.issuers):
        if issuer.command_line is not None:
            at = ("issuers", position, "command_line")
            for key, message, hint in _command_line_faults(issuer, issuer.command_line, settings):
                faults.append(Fault(locate((*at, key) if key else at), f"issuer `{issuer.name}`: {message}", hint))
        client = issuer.client
        if client is None:
            continue
        at = ("issuers", position, "client")
        for key, message, hint in _client_faults(issuer, client, settings):
            faults.append(Fault(locate((*at, key) if key else at), f"issuer `{issuer.name}`: {message}", hint))
        for key, chosen, seen in (("hosts", client.hosts, hosts), ("domains", client.domains, domains)):
            for each in chosen:
                if (other := seen.setdefault(each, issuer.name)) != issuer.name:
                    message = f"`{each}` leads to issuer `{other}` and to `{issuer.name}`"
                    faults.append(Fault(locate((*at, key)), message, "name it at one of them"))
    return [*faults, *_session_faults(settings, locate)]


def unusable_sign_in_files(settings: config.Settings, locate: Locate) -> list[Fault]:
    """A fault for every file that should hold a client's secret or key, or the keys of sessions, and does not."""
    faults = []
    for position, issuer in enumerate(settings.issuers):
        client = issuer.client
        if client is None:
            continue
        at = ("issuers", position, "client")
        if client.secret_file and (message := secret_fault(client.secret_file)):
            hint = "write the secret into it, one line and nothing else"
            faults.append(Fault(locate((*at, "secret_file")), message, hint))
        if client.key_file and (message := _key_fault(client.key_file)):
            faults.append(Fault(locate((*at, "key_file")), message, "make one: `openssl genpkey -algorithm EC …`"))
    if settings.sessions.keys_file and (message := session_keys_fault(settings.sessions.keys_file)):
        hint = "write lines `name base64`, 32 random bytes each, and `chmod 600` it"
        faults.append(Fault(locate(("sessions", "keys_file")), message, hint))
    return faults


def _client_faults(issuer: config.Issuer, client: Client, settings: config.Settings) -> Iterator[tuple[str, str, str]]:
    """Key, message and hint of each."""
    if not settings.central_host:
        yield "", "`client` needs `central_host`", "say at which host people sign in"
    if presets.PRESETS[issuer.preset].programs:
        yield "", f"preset `{issuer.preset}` knows programs alone, and nobody signs in there", "leave `client` out"
    if client.id in issuer.audiences:
        message = "an ID token of `client.id` would pass for an access token, because it is one of `audiences`"
        yield "id", message, "give Stagedoor a client of its own, and take its id out of `audiences`"
    by_key = client.method == "private_key_jwt"
    wanted, spare = ("key_file", "secret_file") if by_key else ("secret_file", "key_file")
    if not getattr(client, wanted):
        yield "", f"`{client.method}` needs `{wanted}`", "name the file"
    if getattr(client, spare):
        yield spare, f"`{spare}` is not used by `{client.method}`", "leave it out, or change `method`"
    if "openid" not in client.scopes:
        yield "scopes", "without scope `openid` nobody is told who signed in", "add `openid`"
    if any(" " in scope for scope in client.scopes):
        yield "scopes", "a scope holds no space", "write a list: `[openid, profile]`"


def _command_line_faults(
    issuer: config.Issuer, said: CommandLine, settings: config.Settings
) -> Iterator[tuple[str, str, str]]:
    """The same of `command_line`."""
    if not settings.central_host:
        yield "", "`command_line` needs `central_host`", "say at which host `stagedoor login` asks"
    if presets.PRESETS[issuer.preset].programs:
        yield "", f"preset `{issuer.preset}` knows programs alone, and nobody signs in there", "leave it out"
    if TENANT in issuer.issuer:
        message = f"a command line cannot tell which tenant `{issuer.issuer}` stands for"
        yield "", message, "list the tenant as an issuer of its own, and put `command_line` there"
    if said.client_id in issuer.audiences:
        message = "an ID token of `client_id` would pass for an access token, because it is one of `audiences`"
        yield "client_id", message, "give the command line a client of its own, and take its id out of `audiences`"
    if issuer.client is not None and issuer.client.id == said.client_id:
        message = "`client_id` is that of `client`, which has a secret, and a command line can keep none"
        yield "client_id", message, "have the issuer make a public client (native, PKCE) for the command line"
    if any(" " in scope for scope in said.scopes):
        yield "scopes", "a scope holds no space", "write a list: `[openid, profile]`"
    if said.resource and said.resource not in issuer.audiences:
        message = f"tokens for `{said.resource}` would be refused, because it is none of `audiences`"
        yield "resource", message, "write one of `audiences`"


def _session_faults(settings: config.Settings, locate: Locate) -> list[Fault]:
    sessions = settings.sessions
    faults = []
    for key in ("idle", "absolute", "refresh"):
        if getattr(sessions, f"{key}_s") < SHORTEST_S:
            message = f"`sessions.{key}` is too short for anybody to be signed in"
            faults.append(Fault(locate(("sessions", key)), message, "write `1s` or longer"))
    if settings.database and not sessions.keys_file:
        message = "nodes that share `state.database` need the same `sessions.keys_file`: with keys of its own each, "
        message += "whoever signed in at one would be nobody at the next"
        hint = "write a line `k1 BASE64` (`openssl rand -base64 32`) into a file, the same on every node, and name it"
        faults.append(Fault(locate(("state", "database")), message, hint))
    if sessions.idle_s > sessions.absolute_s:
        message = "`sessions.idle` is longer than `sessions.absolute`, which ends every session"
        faults.append(Fault(locate(("sessions", "idle")), message, "shorten it, or lengthen the other"))
    for name, environment in settings.environments.items():
        for key in ("idle", "absolute"):
            own, general = getattr(environment.sessions, f"{key}_s"), getattr(sessions, f"{key}_s")
            place = locate(("environments", name, "sessions", key))
            shortest_s = SHORTEST_IDLE_S if key == "idle" else SHORTEST_S
            if own is not None and own < shortest_s:
                message = f"`{key}` of `{name}` is too short for anybody to be signed in"
                if own >= SHORTEST_S:
                    message = f"`{key}` of `{name}` is shorter than a pause can be told: "
                    message += "doors say every few seconds who is active"
                faults.append(Fault(place, message, f"write `{shortest_s:.0f}s` or longer"))
            elif own is not None and own > general:
                message = f"`{key}` of `{name}` is longer than `sessions.{key}`, and would count for nothing"
                faults.append(Fault(place, message, "shorten it, or lengthen the other"))
    return faults


def _key_fault(file: str) -> str:
    """Why the file holds no private key to sign with, or ``""``."""
    try:
        with open(file, "rb") as opened:
            key = load_pem_private_key(opened.read(64 * 1024), None)
        shared = os.stat(file).st_mode & 0o077
    except OSError as error:
        return f"cannot read `{file}`: {str(error.strerror).lower()}"
    except (ValueError, TypeError):  # TypeError: it has a password
        return f"`{file}` holds no private key in PEM without a password"
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size < RSA_BITS:
        return f"the key in `{file}` has {key.key_size} bits, fewer than {RSA_BITS}"
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name != "secp256r1":
        return f"the key in `{file}` is not on the curve P-256"
    if not isinstance(key, (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey, ed25519.Ed25519PrivateKey)):
        return f"the key in `{file}` is of no kind that signs for clients: RSA, P-256 or Ed25519"
    return f"`{file}` can be read by others than its owner" if shared else ""
