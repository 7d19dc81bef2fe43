"""A small company and its identity provider, and what `stagedoor people report` says about the two.

The files below are written into a folder as an operator has them; ``people.json`` is what the provider exported. The
golden files are stdout, byte for byte.
"""

from __future__ import annotations

from pathlib import Path

from tests.support.commands import run

FOLDER = Path(__file__).parents[1] / "golden" / "people"
REPORTS: dict[str, tuple[str, ...]] = {"report.txt": (), "details.txt": ("--details",), "report.json": ("--json",)}

SETTINGS = """\
listeners: [{name: main, address: "127.0.0.1:8443"}]
issuers:
  - name: sso
    issuer: https://sso.example.com
    audiences: [api]
    match:
      sub: annotations.example.com/subject
      email: {field: spec.profile.email, domains: [example.com]}
    groups: {claim: groups, match: annotations.example.com/group}
environments: {prod: {hosts: [.apps.example.com], upstreams: [10.0.0.0/8]}}
catalog: {files: [catalog.yaml]}
access_policy: access.yaml
state: {folder: state}
"""
ACCESS = """\
version: 1
environments:
  prod: {owners: [all], everyone: [read]}
roles: {auditors: {groups: [group:default/audit], scopes: [ledger:read]}}
rules:
  - deny: group:default/contractors
    because: Contractors never reach production.
"""
PEOPLE = {  # name: (teams, subject, address)
    "ann": ("payments", "s-ann", "ann@example.com"),
    "bob": ("payments, contractors", "S-Bob", "bob@example.com"),
    "cid": ("", "", "cid@example.com"),
    "dora": ("payments", "s-twin", ""),
    "dirk": ("", "s-twin", ""),
    "eve": ("", "", ""),
    "fay": ("", "s-fay", ""),
    "gus": ("", "", "gus@other.example"),
    "hal": ("audit", "s-hal", ""),
    "ivy": ("", '"s-ivy "', ""),
}
GROUPS = {
    "payments": "sso-pay",
    "contractors": "sso-ext",
    "audit": "SSO-Audit",
    "idle": "",
    "ops": "sso-two",
    "web": "sso-two",
}
EXPORT = """\
{"totalResults": 13, "Resources": [
 {"id": "s-ann", "userName": "ann", "emails": [{"value": "ann@example.com", "primary": true}]},
 {"id": "s-bob", "userName": "bob@example.com", "emails": [{"value": "rob@home.example"}]},
 {"id": "s-cid", "userName": "cid", "emails": [{"value": "Cid@Example.com"}], "email_verified": true},
 {"id": "s-twin", "userName": "dora"},
 {"id": "s-gus", "userName": "gus-old", "emails": [{"value": "gus@other.example"}]},
 {"id": "s-hal", "userName": "hal"},
 {"id": "s-hal-2", "userName": "hal2", "emails": [{"value": "hal@example.com"}]},
 {"id": "s-ivy", "userName": "ivy-old"},
 {"id": "s-zoe", "userName": "zoe", "displayName": "Zoe \\u202eeoZ"},
 {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "sso-pay",
  "members": [{"value": "s-ann"}, {"value": "s-cid"}, {"value": "s-zoe"}]},
 {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "sso-audit",
  "members": [{"value": "s-hal"}]},
 {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "sso-two", "members": []},
 {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "all-staff", "members": []}
]}
"""
SERVICES = """\
---
apiVersion: backstage.io/v1alpha1
kind: API
metadata: {name: ledger-api}
spec:
  type: openapi
  lifecycle: production
  owner: payments
  definition: |
    {"openapi": "3.0.3", "info": {"title": "ledger", "version": "1"},
     "components": {"securitySchemes": {"sso": {"type": "openIdConnect", "openIdConnectUrl": "https://sso.example.com"}}},
     "paths": {
       "/entries": {"get": {"security": [{"sso": ["ledger:read"]}], "responses": {"200": {"description": "ok"}}},
                    "post": {"security": [], "responses": {"200": {"description": "ok"}}}}}}
---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: ledger
  annotations:
    stagedoor.dev/environments: prod
    stagedoor.dev/host: ledger.apps.example.com
    stagedoor.dev/upstream: http://10.0.0.1
    stagedoor.dev/access: everyone
spec: {type: service, lifecycle: production, owner: payments, providesApis: [ledger-api]}
"""


def write_world(folder: Path) -> Path:
    """Everything the report reads; the configuration's path."""
    people = [
        f"---\napiVersion: backstage.io/v1alpha1\nkind: User\n"
        f"metadata: {{name: {name}, annotations: {{{f'example.com/subject: {subject}' if subject else ''}}}}}\n"
        f"spec: {{profile: {{{f'email: {email}' if email else ''}}}, memberOf: [{teams}]}}\n"
        for name, (teams, subject, email) in PEOPLE.items()
    ]
    groups = [
        f"---\napiVersion: backstage.io/v1alpha1\nkind: Group\n"
        f"metadata: {{name: {name}, annotations: {{{f'example.com/group: {group}' if group else ''}}}}}\n"
        f"spec: {{type: team, children: []}}\n"
        for name, group in GROUPS.items()
    ]
    (folder / "catalog.yaml").write_text("".join([*people, *groups, SERVICES]))
    (folder / "access.yaml").write_text(ACCESS)
    (folder / "people.json").write_text(EXPORT)
    file = folder / "stagedoor.yaml"
    file.write_text(SETTINGS)
    return file


def said(folder: Path, name: str) -> str:
    """What the report says, without the folder's own name."""
    file = write_world(folder)
    result = run("people", "report", "--config", file, "--from", folder / "people.json", *REPORTS[name])
    assert result.exit_code == 1, result.output
    return result.stdout.replace(str(folder), "FOLDER")


def rewrite(folder: Path) -> None:
    """Writes what comes out now into every golden file. The difference is then read like code."""
    for name in REPORTS:
        (FOLDER / name).write_text(said(folder, name))


if __name__ == "__main__":
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as temporary:
        rewrite(Path(temporary))
