"""The first `stagedoor.yaml` and access policy of a new node, from a few answers.

What was not asked is chosen so that nobody gets in by it: a person matches only by an annotation that somebody writes
on purpose, services may claim hosts below the public host alone and run under the named networks alone, and without a
certificate the listener is on loopback. A file is validated before it gets its name, and never takes another's place
unless that was wished.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from gateway import config, config_load
from gateway.errors import ConfigError
from gateway.identity.presets import PRESETS

ACCESS_NAME: Final = "access-policy.yaml"
SUBJECT_FIELD: Final = "annotations.stagedoor.dev/subject"
_PLAIN: Final = re.compile(r"[A-Za-z./][A-Za-z0-9_./:@-]*\Z|[0-9]+(\.[0-9]+){3}[0-9:/]*\Z")
_WORDS: Final = frozenset(("true", "false", "null", "yes", "no", "on", "off"))

_TEMPLATE: Final = """\
# Stagedoor's configuration, written by `stagedoor init`. `stagedoor config schema` describes every key there is.
# Paths are relative to this file. `stagedoor check` validates it; a running node reloads it on SIGHUP.

listeners:
  - name: main
    address: {address}
{tls}

# Host of Stagedoor's own pages.
central_host: {host}

# Whose tokens are accepted, and how they find a User of the catalog.
issuers:
  - name: login
    preset: {preset}
    issuer: {issuer}
    audiences: [{audience}]  # a token must be meant for one of these
{match}
    # client: {{id: …, secret_file: client.secret}}  # for people in browsers: docs/sign-in.md

{catalog}

# What the owners of services may claim: public hosts, and where their services run.
environments:
  prod:
    hosts: [{hosts}]
    upstreams: [{upstreams}]

# What the platform team allows, reviewed like code.
access_policy: {access}

# Last good policy, issuers' keys, audit trail, sockets: one node, one folder.
state:
  folder: {state}
"""
_FILES: Final = """\
# Backstage entities: files, folders or globs. Changes count as soon as they are written.
catalog:
  files: [{files}]"""
_BACKSTAGE: Final = """\
# The Backstage catalog, looked at every 5s. The token is one of its `backend.auth.externalAccess`, restricted to
# plugin `catalog` and permission `catalog.entity.read`.
catalog:
  backstage:
    - {{url: {url}, token_file: {token}}}"""
ACCESS: Final = """\
# What the platform team allows, environment by environment; nothing that is not allowed here or opened by an owner
# within these bounds is possible. Written by `stagedoor init`.
version: 1
environments:
  prod:
    owners: [all]           # the owning team, on its own services
    consumers: [declared]   # services that declare its API, once the owner names them in `allow-consumers`
    everyone: [read]        # only where the owner says `access: everyone`
rules: []
"""


class Answers(NamedTuple):
    """Paths are as they are to stand in the file; ``match`` is empty where the preset knows better. ``catalog`` is a
    folder, or with ``token`` the address of a Backstage."""

    host: str
    issuer: str
    catalog: str
    token: str = ""
    audience: str = "stagedoor"
    upstreams: tuple[str, ...] = (".internal",)
    preset: str = ""
    match: tuple[str, str] | None = None  # claim, field
    address: str = ""
    certificate: str = ""
    key: str = ""
    state: str = "state"
    access: str = ACCESS_NAME


class Written(NamedTuple):
    """``access_is_new``: it was not there before."""

    settings: config.Settings
    file: Path
    access: Path
    access_is_new: bool


def configuration_of(answers: Answers) -> str:
    """The text of `stagedoor.yaml`."""
    preset = answers.preset or preset_of(answers.issuer)
    return _TEMPLATE.format(
        address=_yaml(answers.address or ("0.0.0.0:8443" if answers.certificate else "127.0.0.1:8080")),
        tls=_tls_lines(answers),
        host=_yaml(answers.host),
        preset=preset,
        issuer=_yaml(answers.issuer),
        audience=_yaml(answers.audience),
        match=_match_line(answers.match, preset),
        catalog=_catalog_lines(answers),
        hosts=_yaml(f".{answers.host}"),
        upstreams=", ".join(map(_yaml, answers.upstreams)),
        access=_yaml(answers.access),
        state=_yaml(answers.state),
    )


def preset_of(issuer: str) -> str:
    """The provider that an issuer's address is known by."""
    parts = urlsplit(issuer)
    host = parts.hostname or ""
    if host.endswith((".okta.com", ".oktapreview.com")):
        return "okta"
    if host == "login.microsoftonline.com":
        return "entra"
    if host == "accounts.google.com":
        return "google"
    if host.endswith(".auth0.com"):
        return "auth0"
    return "keycloak" if "/realms/" in parts.path else "generic"


def write(file: Path, answers: Answers, *, replace: bool) -> Written:
    """Write both files; an access policy that is there stays as it is. Raises `ConfigError` when the answers make no
    good configuration, `FileExistsError` when one is there (unless ``replace``), `OSError`; nothing new is left
    then."""
    access = file.parent / answers.access
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    access_is_new = _create(access, ACCESS, 0o644)
    try:
        draft.unlink(missing_ok=True)
        if not _create(draft, configuration_of(answers), 0o600):
            raise FileExistsError(draft)
        settings = config_load.load(draft, {})
        if replace:
            draft.replace(file)
        else:
            os.link(draft, file)  # unlike a rename, it fails where a file is
    except BaseException as error:
        if access_is_new:
            access.unlink(missing_ok=True)
        if isinstance(error, ConfigError):
            raise ConfigError(str(error).replace(str(draft.absolute()), file.name)) from None
        raise
    finally:
        draft.unlink(missing_ok=True)
    return Written(settings, file, access, access_is_new)


def _create(file: Path, text: str, mode: int) -> bool:
    """False when it is there already."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        opened.write(text)
        opened.flush()
        os.fsync(opened.fileno())
    return True


def _tls_lines(answers: Answers) -> str:
    if answers.certificate:
        return f"    tls: {{certificate: {_yaml(answers.certificate)}, key: {_yaml(answers.key)}}}"
    return (
        "    # Plain HTTP. For other machines: an address they reach, and a certificate with its key:\n"
        "    # tls: {certificate: tls/door.pem, key: tls/door.key}"
    )


def _catalog_lines(answers: Answers) -> str:
    if answers.token:
        return _BACKSTAGE.format(url=_yaml(answers.catalog), token=_yaml(answers.token))
    return _FILES.format(files=_yaml(answers.catalog))


def _match_line(match: tuple[str, str] | None, preset: str) -> str:
    if match is not None:
        return f"    match: {{{_yaml(match[0])}: {_yaml(match[1])}}}  # claim of the token: field of the User"
    if PRESETS[preset].match:
        known = PRESETS[preset].match[0]
        return f"    # The preset matches: {known.claim} is {known.field}."
    claim = "uid" if preset == "okta" else "sub"
    return f"    match: {{{claim}: {SUBJECT_FIELD}}}  # this annotation of a User holds the token's `{claim}`"


def _yaml(text: str) -> str:
    """The text as a scalar that can be read as nothing else."""
    if _PLAIN.match(text) and text.lower() not in _WORDS and text.strip(".") and not text.endswith(":"):
        return text
    return json.dumps(text, ensure_ascii=False)
