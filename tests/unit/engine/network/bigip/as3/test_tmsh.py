"""Scripts of tmsh: every object of the declaration once, what is pointed to before what points there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.engine.network.bigip.as3.tmsh import script_of
from tests.support.declarations import FOLDER, LINE, made_of

CASES = sorted(FOLDER.glob("*.case"))
KINDS = {
    "Service_HTTPS": "ltm virtual", "Service_HTTP": "ltm virtual", "Pool": "ltm pool", "Monitor": "ltm monitor",
    "Data_Group": "ltm data-group", "HTTP_Profile": "ltm profile http", "Multiplex_Profile": "ltm profile one-connect",
    "TLS_Client": "ltm profile server-ssl", "iRule": "ltm rule",
}  # fmt: skip


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_every_object_is_created_once_and_after_what_it_needs(path: Path) -> None:
    declaration = made_of(path.read_text().partition(LINE)[0])
    script = script_of(declaration)
    (tenant,) = [name for name, each in declaration.items() if isinstance(each, dict) and each["class"] == "Tenant"]
    created: list[str] = []
    for line in script.splitlines():
        if line.startswith("create ") and "transaction" not in line:
            needed = set(re.findall(rf"/{tenant}/[A-Za-z_0-9-]+/[a-z_]+\b(?![.:])", line)) - {line.split(" ")[-1]}
            path_of = next(word for word in line.split() if word.startswith(f"/{tenant}/") or word == tenant)
            assert needed - {path_of} <= set(created), line
            assert path_of not in created
            created.append(path_of)
    expected = [tenant]
    for name, application in declaration[tenant].items():
        if isinstance(application, dict):
            expected.append(f"/{tenant}/{name}")
            expected += [f"/{tenant}/{name}/{key}" for key, held in application.items() if _is_made(held)]
    assert sorted(created) == sorted(expected)


def _is_made(held: object) -> bool:
    return isinstance(held, dict) and held["class"] in KINDS  # a Certificate is there already


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_what_must_not_get_lost_is_said(path: Path) -> None:
    declaration = made_of(path.read_text().partition(LINE)[0])
    script = script_of(declaration)
    (shared,) = [each["Shared"] for each in declaration.values() if isinstance(each, dict) and "Shared" in each]
    for record in shared["hosts"]["records"]:
        assert f'"{record["key"]}" {{ data "{record["value"]}" }}' in script
    for member in shared["pool"]["members"]:
        assert member["serverAddresses"][0] in script
    assert ("peer-cert-mode require" in script) == ("tls_out" in shared)
    assert ("TCP::respond" in script) == ("proxy" in shared)
    assert ("/Common/bigip.key" in script) == ("client_crt" in shared)
    if "vs" in shared and "profileAccess" in shared["vs"]:
        assert "per-flow-request-access-policy /Common/claims" in script
        assert "/Common/people" in script


def test_an_address_of_version_six_is_written_its_way() -> None:
    given = 'device: {members: ["[2001:db8::21]:8080"]}\nenvironment: {virtual_address: "2001:db8::1"}\n'
    script = script_of(made_of(given))
    assert "/Common/2001:db8::21.8080 { address 2001:db8::21 }" in script
    assert "destination /stagedoor_prod/2001:db8::1.443" in script
    assert "mask ffff:ffff" in script
