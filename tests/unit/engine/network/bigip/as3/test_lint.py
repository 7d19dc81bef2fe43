"""The linter of declarations: each trap that a device takes without a word is found, and F5's own examples pass."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.engine.network.bigip.as3 import names
from gateway.engine.network.bigip.as3.classes import MONITORS, POOL_MEMBER, PROPERTIES
from gateway.engine.network.bigip.as3.declaration import declaration_of
from gateway.engine.network.bigip.as3.lint import faults_of, structural_faults
from gateway.engine.network.bigip.drains import without_drains
from gateway.engine.network.bigip.review.differences import steps_between
from tests.support.declarations import AS3, FOLDER, LINE, desired, device, environment, made_of, needs_as3, place
from tests.support.examples import examples

AT = environment(redirect=True, client_certificate="/Common/bigip.crt")
SOUND = declaration_of(desired(place("a"), place("b")), device(AT), AT, {"component:default/a": "10.200.0.9"})
OWN = next(name for name in SOUND["stagedoor_prod"] if name.startswith("a_"))

# Examples of F5 that have a property which their class has not: AS3 takes them, and leaves it out.
MISPLACED = {
    "example-endpoint-policy-http-method-condition.json": "/name:",
    "example-endpoint-policy-http-status-code-condition.json": "/name:",
    "example-endpoint-policy-with-client-accepted-option.json": "/name:",
    "example-http2-notls.json": "Service_HTTP",
    "example-mcp-irule.json": "did you mean `profileSSE`?",
    "example-tls-server-forwardProxyBypassAllowList.json": "/name:",
    "example-using-fix-profile-and-data-groups.json": "/name:",
}

Edit = Callable[[dict[str, Any], dict[str, Any]], Any]


def after(edit: Edit) -> list[str]:
    declaration = copy.deepcopy(SOUND)
    edit(declaration, declaration["stagedoor_prod"]["Shared"])
    return faults_of(declaration)


def test_what_we_write_is_without_fault() -> None:
    assert faults_of(SOUND) == []


@pytest.mark.parametrize(
    ("edit", "where", "what"),
    [
        (lambda d, s: s["vs"].update(slowRampTime=5), "/Shared/vs/slowRampTime", "no property of Service_HTTPS"),
        (lambda d, s: s["vs"].update(virtualPortt=5), "/Shared/vs/virtualPortt", "did you mean `virtualPort`"),
        (lambda d, s: s["pool"]["members"][0].update(port=5), "/members/0/port", "no property of Pool_Member"),
        (lambda d, s: s["mon"].update(method="GET"), "/Shared/mon/method", "no property of Monitor"),
        (lambda d, s: d.update(updatemode="x"), "/updatemode", "did you mean `updateMode`"),
        (lambda d, s: d.update(updateMode="complete"), "/updateMode", "would be deleted"),
        (lambda d, s: d.pop("updateMode"), "/updateMode", "would be deleted"),
        (lambda d, s: d.update(Common={"class": "Tenant"}), "/Common", "never written"),
        (lambda d, s: d.update(other={"class": "Tenant", "label": "stagedoor"}), "/:", "2 tenants"),
        (lambda d, s: d.pop("stagedoor_prod"), "/:", "0 tenants"),
        (lambda d, s: d["stagedoor_prod"].pop("label"), "/stagedoor_prod/label", "would be nobody's"),
        (lambda d, s: d.update(id="a b"), "/id", "has a space"),
        (lambda d, s: s["mon"].update(timeout=15), "/Shared/mon", "needs 16"),
        (lambda d, s: s["mon"].update(interval=0), "/Shared/mon", "needs 1"),
        (lambda d, s: s["mon"].pop("receive"), "/Shared/mon", "takes an error for health"),
        (lambda d, s: s["mon"].update(receive="HTTP/1."), "/Shared/mon", "takes an error for health"),
        (lambda d, s: s["mon"].update(receive="("), "/Shared/mon", "is no pattern"),
        (lambda d, s: s["mon"].update(receive=r"(\w+\s*)+!"), "/Shared/mon", "no pattern of letters"),
        (lambda d, s: s["mon"].update(receive="u" * 201), "/Shared/mon", "no pattern of letters"),
        (lambda d, s: s["pool"]["members"].append({"servicePort": 1, "shareNodes": True}), "/pool", "somebody else"),
        (lambda d, s: s["pool"]["members"][0].update(serverAddresses=[]), "/Shared/pool", "somebody else would"),
        (lambda d, s: s["vs"].update(snat="none"), "/Shared/vs", "which they trust"),
        (lambda d, s: s["vs"].update(virtualAddresses=["10.0.0.1", "10.0.0.2"]), "/Shared/vs", "more than one"),
        (lambda d, s: s["vs"].update(pool={"bigip": "/Common/evil"}), "/Shared/vs/pool", "object of the declaration"),
        (lambda d, s: s["vs"].pop("pool"), "/Shared/vs", "requests would go nowhere"),
        (lambda d, s: s["vs"].update(serverTLS={"use": "tls_out"}), "/Shared/vs/serverTLS", "object of the device"),
        (lambda d, s: s["vs"].update(profileHTTP="basic"), "/Shared/vs", "another HTTP profile"),
        (lambda d, s: s["redirect"].update(iRules=[{"bigip": "/Common/evil"}]), "/Shared/redirect", "more than send"),
        (lambda d, s: s["pool"].update(monitors=["http"]), "/Shared/pool/monitors", "object of the declaration"),
        (lambda d, s: s["hosts"].update(keyDataType="ip"), "/Shared/hosts", "keys that are no text"),
        (lambda d, s: s["hosts"]["records"][0].update(remark="x"), "/Shared/hosts", "no key and value"),
        (lambda d, s: s["vs"]["metadata"].update({"other.key": {"value": "x"}}), "/metadata/other.key", "nothing that"),
        (lambda d, s: s.update(proxy={"class": "iRule", "iRule": "when RULE_INIT { }"}), "/Shared/proxy", "anything"),
        (lambda d, s: s.update(other=s["pool"]), "/Shared/other", "never write there"),
        (lambda d, s: d["stagedoor_prod"][OWN].update(pool=s["pool"]), f"{OWN}/pool", "never write there"),
        (lambda d, s: s.update(template="https"), "/Shared/template", "nothing that Stagedoor writes"),
        (lambda d, s: s["mon"].update(receiveDown="stagedoor-state: up too"), "/Shared/mon", "cannot tell"),
        (lambda d, s: s["mon"].update(reverse=True), "/Shared/mon", "ignores `receiveDown`"),
        (lambda d, s: s["mon"].update(monitorType="tcp"), "/Shared/mon", "ours are http and https"),
        (lambda d, s: s["mon"].update(send="GET `x` HTTP/1.1"), "/Shared/mon/send", "a backquote"),
        (lambda d, s: s["pool"].update(monitors=[]), "/Shared/pool", "has no monitor"),
        (lambda d, s: s["pool"].update(members=[]), "/Shared/pool", "has no member"),
        (lambda d, s: s["pool"]["members"].append(s["pool"]["members"][0]), "/Shared/pool", "192.0.2.21:8443 twice"),
        (lambda d, s: s["pool"]["members"][0].pop("shareNodes"), "/Shared/pool", "without `shareNodes`"),
        (lambda d, s: s["vs"].pop("persistenceMethods"), "/Shared/vs", "cookies of its own"),
        (lambda d, s: s["vs"].pop("redirect80"), "/Shared/vs", "opens port 80"),
        (lambda d, s: s["vs"].pop("serverTLS"), "/Shared/vs", "would see no certificate"),
        (lambda d, s: s["vs"].update(virtualAddresses=["10.0.0.0/8"]), "/Shared/vs", "which is no address"),
        (lambda d, s: s["vs"].update(virtualAddresses=["2001:db8::9%5"]), "/Shared/vs", "which is no address"),
        (lambda d, s: s["vs"].update(virtualAddresses=[3405803786]), "/Shared/vs", "which is no address"),
        (lambda d, s: s["vs"].update(virtualAddresses=[]), "/Shared/vs", "no `virtualAddresses`"),
        (lambda d, s: s["vs"].update(policyPerRequestAccess={"bigip": "/a/b"}), "/vs", "without `profileAccess`"),
        (lambda d, s: s["vs"].update(iRules=[{"use": "proxy"}]), "/Shared/vs", "OneConnect gives that connection"),
        (lambda d, s: s["vs"].update(pool={"use": "pol"}), "/Shared/vs", "points to `pol`, where there is no Pool"),
        (lambda d, s: s["vs"].update(pool={"use": "mon"}), "/Shared/vs", "points to `mon`, where there is no Pool"),
        (lambda d, s: s["vs"].update(pool={"use": "/Common/Shared/pool"}), "/Shared/vs", "where there is no Pool"),
        (lambda d, s: (s.update(p=s["pool"]), s["vs"].update(pool="p")), "/Shared/vs", "one character"),
        (lambda d, s: s["redirect"].update(virtualPort=443), "/Shared/redirect", "as /stagedoor_prod/Shared/vs does"),
        (lambda d, s: d["stagedoor_prod"][OWN]["vs"].update(virtualAddresses=["203.0.113.10"]), OWN, "listens at"),
        (lambda d, s: s["tls_out"].update(validateCertificate=False), "/Shared/tls_out", "any certificate"),
        (lambda d, s: s["tls_out"].update(trustCA="generic"), "/Shared/tls_out", "any certificate"),
        (lambda d, s: s["tls_out"].pop("serverName"), "/Shared/tls_out", "says no `serverName`"),
        (lambda d, s: s["tls_out"].update(ignoreExpired=True), "/Shared/tls_out", "looks away"),
        (lambda d, s: s["client_crt"].update(privateKey="-----BEGIN"), "/Shared/client_crt/privateKey", "is a secret"),
        (lambda d, s: s["client_crt"].update(passphrase={"ciphertext": "x"}), "/client_crt/passphrase", "is a secret"),
        (lambda d, s: s["hosts"]["records"].append(s["hosts"]["records"][0]), "/Shared/hosts", "`a.example.com` twice"),
        (lambda d, s: s["hosts"]["records"][0].update(value="x" * 65521), "/Shared/hosts", "65520 bytes"),
        (lambda d, s: s["hosts"]["records"][0].update(value="[exec]"), "/records/0/value", "means something to Tcl"),
        (lambda d, s: s["vs"].update(label="x" * 65), "/Shared/vs/label", "64 characters"),
        (lambda d, s: s["vs"].update(metadata={"a": "b"}), "/Shared/vs/metadata/a", "no `{value: text}`"),
        (lambda d, s: s.update({"9x": s["http"]}), "/Shared/9x", "AS3 does not take"),
        (lambda d, s: s.update(fw={"class": "Firewall_Policy"}), "/Shared/fw", "which we never write"),
        (lambda d, s: s.update(note="x"), "/Shared/note", "no object"),
        (lambda d, s: d["stagedoor_prod"].update(note="x"), "/stagedoor_prod/note", "no Application"),
        (lambda d, s: d["stagedoor_prod"].update({"n" * 185: d["stagedoor_prod"][OWN]}), "n" * 185, "a path of"),
        (lambda d, s: d["stagedoor_prod"].update({"n" * 191: d["stagedoor_prod"][OWN]}), "n" * 191, "does not take"),
    ],
)  # fmt: skip
def test_a_trap_is_found_at_its_place(edit: Edit, where: str, what: str) -> None:
    faults = after(edit)
    assert any(where in fault.partition(": ")[0] + ":" and what in fault for fault in faults), faults


# What AS3 knows of a class and no plan tells: it passed the schema, and the linter, in plans that somebody edited.
UNWRITTEN = [
    ("vs", {"clonePools": {"ingress": {"bigip": "/Common/tap"}}}),
    ("vs", {"sourceAddress": "10.0.0.0/8"}),
    ("vs", {"enable": False}),
    ("vs", {"allowVlans": [{"bigip": "/Common/internal"}]}),
    ("pool", {"loadBalancingMode": "ratio-member"}),
    ("pool/members/0", {"priorityGroup": 5}),
    ("pool/members/0", {"addressDiscovery": "fqdn"}),
    ("pool/members/0", {"servers": [{"name": "evil", "address": "198.51.100.66"}]}),
    ("mon", {"targetAddress": "198.51.100.66"}),
    ("mon", {"timeUntilUp": 600}),
    ("http", {"insertHeader": {"name": "X-Forwarded-User", "value": "admin"}}),
    ("http", {"trustXFF": True}),
    ("oc", {"sourceMask": "255.255.255.255"}),
    ("tls_out", {"ciphers": "NULL"}),
    ("tls_out", {"ssl3Enabled": True}),
    ("hosts", {"ignoreChanges": True}),
    ("hosts", {"storageType": "external"}),
    ("", {"enable": False}),
    ("", {"constants": {"class": "Constants"}}),
    ("..", {"defaultRouteDomain": 7}),
    ("..", {"enable": False}),
    ("../..", {"remark": "x"}),
    ("../../controls", {"dryRun": True}),
]


@pytest.mark.parametrize(("where", "added"), UNWRITTEN, ids=lambda each: str(each)[:50])
def test_what_declarations_of_ours_never_hold_is_refused_though_as3_knows_it(where: str, added: dict[str, Any]) -> None:
    """Each stood in a plan's declaration without a word of it in the plan's sentences."""
    declaration = copy.deepcopy(SOUND)
    at: Any = declaration["stagedoor_prod"]["Shared"]
    if where.startswith(".."):
        at = declaration if where.startswith("../..") else declaration["stagedoor_prod"]
    for step in where.replace("..", "").split("/"):
        at = (at[int(step)] if isinstance(at, list) else at[step]) if step else at
    at.update(added)
    (key,) = added
    places = [fault.partition(": ")[0] for fault in faults_of(declaration)]
    assert [place for place in places if place.endswith(f"/{key}")], places
    assert structural_faults(declaration) == [], "AS3 knows it: the schema's part of the linter lets it pass"


def test_a_drained_member_is_no_fault() -> None:
    declaration = copy.deepcopy(SOUND)
    declaration["stagedoor_prod"]["Shared"]["pool"]["members"][0].update(adminState="offline")
    assert faults_of(declaration) == []


@pytest.mark.parametrize("case", sorted(FOLDER.glob("*.case")), ids=lambda path: path.stem)
def test_every_golden_declaration_is_without_fault(case: Path) -> None:
    assert faults_of(made_of(case.read_text().partition(LINE)[0])) == []


@pytest.mark.parametrize(
    ("at", "on"),
    [
        ({"redirect": True, "rules": ("/Common/log",)}, {}),
        ({"proxy_protocol": True, "redirect": True, "rules": ("/Common/log",)}, {"health_port": 8080}),
        ({"client_certificate": "/Common/default.crt"}, {"health_port": 8080}),
        ({"trust_ca": "", "server_name": ""}, {"member_tls": False}),
        ({"access_profile": "/Common/people", "per_request_policy": "/Common/claims"}, {}),
        ({"virtual_address": ""}, {}),
        ({"virtual_address": "2001:db8:1::1", "port": 8443}, {"members": ("[2001:db8::21]:8443", "192.0.2.22:8443")}),
        ({"environment": "prod-eu"}, {"tenant_prefix": "A" * 32}),
    ],
    ids=lambda each: "-".join(each),
)
def test_every_form_of_environment_is_without_fault(at: dict[str, Any], on: dict[str, Any]) -> None:
    there = environment(**at)
    places = (place("own"), place("wild", host="*.apps.example.com"), place("u", path="/x y~é", owner=""))
    wanted = desired(*places, name=there.environment)
    declaration = declaration_of(wanted, device(there, **on), there, {"component:default/own": "10.200.0.9"})
    assert faults_of(declaration) == []


def test_something_else_than_a_declaration_is_said_to_be_none() -> None:
    assert faults_of({"class": "AS3"})[0] == "/: is no declaration: its class is not `ADC`"


@needs_as3
def test_the_properties_of_each_class_are_those_of_the_schema() -> None:
    """What is missing here would be refused though AS3 knows it; what is too much would pass unseen."""
    definitions = json.loads((AS3 / "as3-schema.json").read_bytes())["definitions"]

    def properties(schema: Any, seen: tuple[str, ...] = ()) -> set[str]:
        found = set(schema.get("properties", {}))
        if (at := schema.get("$ref", "")) and at not in seen:
            found |= properties(definitions[at.rpartition("/")[2]], (*seen, at))
        for key in ("allOf", "anyOf", "oneOf"):
            for each in schema.get(key, ()):
                found |= properties(each, seen)
        for key in ("if", "then", "else"):
            found |= properties(schema[key], seen) if key in schema else set()
        return found

    for name, known in PROPERTIES.items():
        assert known == properties(definitions["IRule" if name == "iRule" else name]), name
    assert MONITORS["http"] == properties(definitions["Monitor_HTTP"])
    assert MONITORS["https"] == properties(definitions["Monitor_HTTPS"])
    assert properties(definitions["Pool_Member"]) == POOL_MEMBER


@needs_as3
def test_the_examples_of_f5_have_no_fault_but_their_own() -> None:
    """275 declarations that others wrote: a linter that cries at them would not be believed."""
    read, found = 0, {}
    for example in json.loads((AS3 / "examples.json").read_bytes()):
        if example["schema"] != "as3" or not example["valid"]:
            continue
        read += 1
        said = example["declaration"]
        for each in said if isinstance(said, list) else [said]:
            inner = each.get("declaration") if each.get("class") == "AS3" else each
            if isinstance(inner, dict) and inner.get("class") == "ADC" and (faults := structural_faults(inner)):
                found[example["name"]] = faults
    assert read == 275
    assert found.keys() == MISPLACED.keys()
    assert all(MISPLACED[name] in " ".join(faults) for name, faults in found.items())


PLAIN = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
JSON = st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=3), max_leaves=5)


@settings(max_examples=examples(300), deadline=None)
@given(st.data())
def test_nothing_in_a_file_that_somebody_edited_breaks_the_linter(data: st.DataObject) -> None:
    """A plan is a file: what comes back from it is anything."""
    declaration = copy.deepcopy(SOUND)
    at: Any = declaration
    while isinstance(at, (dict, list)) and at:
        key = data.draw(st.sampled_from(sorted(at) if isinstance(at, dict) else range(len(at))))
        if data.draw(st.booleans()) or not isinstance(at[key], (dict, list)):
            at[key] = data.draw(JSON)
            break
        at = at[key]
    assert isinstance(faults_of(declaration), list)


# Of no effect on traffic, or not sent from a plan: `wrapped` writes it anew.
SILENT = {"id", "schemaVersion", "controls", "label", "stagedoor.environment", "stagedoor.policy"}
USUAL = {"virtualPort", "xForwardedFor", "interval", "timeout"}  # AS3 takes the same without a word


def leaves(at: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inner = at.items() if isinstance(at, dict) else enumerate(at) if isinstance(at, list) else ()
    for key, each in inner:
        if key not in SILENT:
            yield (*path, key)
            yield from leaves(each, (*path, key))


def told(before: dict[str, Any], after: dict[str, Any]) -> list[tuple[str, str]]:
    tenants = [without_drains("stagedoor_prod", each["stagedoor_prod"]) if each else {} for each in (before, after)]
    return [(step.sentence, step.caution) for step in steps_between("stagedoor_prod", "prod", *tenants)]


@pytest.mark.parametrize("others", [{}, {"proxy_protocol": True}], ids=["oneconnect", "proxy"])
def test_whatever_is_changed_in_a_declaration_is_told_by_its_plan_or_refused(others: dict[str, Any]) -> None:
    """The promise of a plan: what was read is what is done. Each value in turn is taken away, and made another."""
    at = environment(redirect=True, client_certificate="/Common/bigip.crt", rules=("/Common/log",),
                     access_profile="/Common/people", per_request_policy="/Common/claims", **others)  # fmt: skip
    on = device(at, **({"health_port": 8081} if others else {}))
    wanted = desired(place("a"), place("b"), place("c", host="a.example.com", path="/c"))
    sound = declaration_of(wanted, on, at, {"component:default/a": "10.200.0.9"})
    first, again = told({}, sound), told(sound, sound)
    assert (faults_of(sound), again) == ([], [])
    unsaid = []
    for path in leaves(sound):
        for way in ("gone", "other"):
            edited = copy.deepcopy(sound)
            holder: Any = edited
            for step in path[:-1]:
                holder = holder[step]
            value = holder[path[-1]]
            if path[-1] == "metadata" or (way == "gone" and path[-1] in USUAL):
                continue
            if way == "gone":
                del holder[path[-1]]
            elif isinstance(value, bool):
                holder[path[-1]] = not value
            elif isinstance(value, (int, str)):
                holder[path[-1]] = value + 1 if isinstance(value, int) else f"x{value}"
            if edited == sound or faults_of(edited):
                continue
            if told(sound, edited) == again or told({}, edited) == first:
                unsaid.append((way, *path))
    assert not unsaid, "\n".join(map(str, unsaid))


def test_more_services_of_their_own_address_than_a_tenant_holds_are_refused_with_their_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at = environment(addresses="pool", virtual_address="")
    wanted = desired(*(place(f"s{number}") for number in range(3)))
    assigned = {each.entity: f"10.200.0.{number}" for number, each in enumerate(wanted.places, start=2)}
    made = declaration_of(wanted, device(at), at, assigned)
    assert faults_of(made) == []
    monkeypatch.setattr(names, "MOST_APPLICATIONS", 2)
    (fault,) = faults_of(made)
    assert "has 3 services with an address of their own, and 2 is the most for one tenant: write `addresses: s" in fault
