"""A plan of forty steps as its reviewer sees it: whatever is dangerous stands out by a sentence of its own and a reason
to look twice, is counted above and listed below, and nothing of every day is."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from gateway.commands.devices import plan_lines
from gateway.engine.network.bigip.as3.declaration import declaration_of
from gateway.engine.network.bigip.as3.names import application_name
from gateway.engine.network.bigip.drains import without_drains
from gateway.engine.network.bigip.review.differences import steps_between
from gateway.engine.network.desired import Place
from gateway.engine.network.plans import plan_file
from gateway.engine.network.plans.plan import Kind, Plan, Step
from tests.support.declarations import desired, device, environment, place

NAME = "stagedoor_prod"
MEMBERS = ("192.0.2.21:8443", "192.0.2.22:8443")
AT = environment(
    access_profile="/Common/people", per_request_policy="/Common/claims", client_certificate="/Common/bigip.crt",
    redirect=True,
)  # fmt: skip
ON = device(AT, health_port=8081)
OLD = [place(f"s{number:02d}") for number in range(30)]
NEW = [replace(each, version="000000000002") if each.title == "s09" else each for each in OLD[4:]]
NEW += [place(f"n{number:02d}") for number in range(30)]
OWN = {OLD[5].entity: "10.200.0.9", OLD[6].entity: "10.200.0.11"}
OWNED = application_name(OLD[5].entity)


def tenant(places: list[Place], own: dict[str, str] = OWN, version: str = "a" * 12) -> dict[str, Any]:
    made = declaration_of(desired(*places, version=version), ON, AT, own)[NAME]
    return copy.deepcopy(without_drains(NAME, made))


BEFORE = tenant(OLD)
#: A day's work: services come, go and have new rules; one gets an address of its own.
USUAL_OWN = {**OWN, OLD[7].entity: "10.200.0.12"}


def steps(after: dict[str, Any]) -> tuple[Step, ...]:
    return steps_between(NAME, "prod", BEFORE, after, MEMBERS)


def lines(made: tuple[Step, ...]) -> list[str]:
    plan = Plan("dc1", "prod", "now", "b" * 12, "f" * 64, made)
    return list(plan_lines({"plan": plan_file.as_json(plan), "dry_run": [], "drift": [], "hindrances": []}))


def test_no_host_hides_in_the_name_of_another() -> None:
    """Who is affected is told, also where the sentence holds the same letters."""
    step = Step(Kind.REMOVE, "/x", "Removes pay.example.com/api (`component:default/a`).")
    made = replace(step, hosts=("ay.example.com", "pay.example.com", "example.com", "a"))
    assert "      affects ay.example.com, example.com, a" in lines((made,))


def test_a_days_work_asks_nobody_to_look_twice() -> None:
    made = steps(tenant(NEW, USUAL_OWN, "b" * 12))
    assert 36 <= len(made) <= 44
    assert [step.sentence for step in made if step.caution] == []
    assert not any("look" in line for line in lines(made))


def _edit(path: str, **changes: Any) -> Any:
    def edit(after: dict[str, Any]) -> None:
        application, own = path.split("/")
        held = after[application][own]
        for key, value in changes.items():
            held.pop(key, None)
            if value is not None:
                held[key] = value

    return edit


def _record(after: dict[str, Any], key: str, value: str) -> None:
    records = after["Shared"]["hosts"]["records"]
    for record in records:
        if record["key"] == key:
            record["value"] = value
            return
    records.append({"key": key, "value": value})


def _member(**said: Any) -> Any:
    def edit(after: dict[str, Any]) -> None:
        after["Shared"]["pool"]["members"][0] = {"servicePort": 8443, "shareNodes": True, **said}

    return edit


def _profile(name: str) -> dict[str, str]:
    return {"bigip": f"/Common/{name}"}


#: What somebody hid -> what its sentence says, and why to look twice.
BAD: dict[str, tuple[Any, str, str]] = {
    "a host of another team's service": (
        lambda after: _record(after, "s20.example.com", "component:default/evil group:default/evil 000000000001"),
        "Takes s20.example.com in prod from `component:default/s20`", "another service answers under this host",
    ),
    "a path of another's host": (
        lambda after: _record(after, "s20.example.com/login", "component:default/n01 group:default/team 0"),
        "until now `component:default/s20` of `group:default/team` answered there", "another service answers",
    ),
    "another team's rules": (
        lambda after: _record(after, "s20.example.com", "component:default/s20 group:default/evil 000000000001"),
        "from `group:default/team` to `group:default/evil`", "another team decides who may come",
    ),
    "every host there is": (
        lambda after: _record(after, "*.example.com", "component:default/n01 group:default/team 000000000001"),
        "Adds *.example.com", "every host below example.com",
    ),
    "every address": (
        _edit("Shared/vs", virtualAddresses=["0.0.0.0"]), "from `203.0.113.10` to `0.0.0.0`",
        "it answers at every address of the device",
    ),
    "a whole network": (
        _edit(f"{OWNED}/vs", virtualAddresses=["10.200.0.0/24"]), "to `10.200.0.0/24`",
        "every address of 10.200.0.0/24",
    ),
    "a foreign member": (
        _member(serverAddresses=["198.51.100.7"]), "to 198.51.100.7:8443 too",
        "it is none of the device's `members`",
    ),
    "a member that DNS names": (_member(hostname="doors.example.net"), "doors.example.net", "no address of its own"),
    "a door less": (
        lambda after: after["Shared"]["pool"]["members"].pop(0), "Takes 192.0.2.21:8443 out of the doors",
        "it is one of the device's `members`",
    ),
    "a door that is believed whoever it is": (
        _edit("Shared/tls_out", validateCertificate=False), "Stops checking the doors' certificates", "not checked",
    ),
    "a door of another name": (
        _edit("Shared/tls_out", serverName="*.example.net"), "Expects the doors' certificate to be for `*.example.net`",
        "another name",
    ),
    "another authority": (_edit("Shared/tls_out", trustCA=_profile("evil.crt")), "Trusts `/Common/evil.crt`", "key"),
    "no proof of BIG-IP": (_edit("Shared/tls_out", clientCertificate=None), "Shows the doors", "cannot tell BIG-IP"),
    "another key": (_edit("Shared/client_crt", privateKey=_profile("evil.key")), "`/Common/evil.key`", "certificate"),
    "requests in the clear": (_edit("Shared/vs", clientTLS=None), "with TLS profile nothing", "in the clear"),
    "always up": (_edit("Shared/mon", receive="HTTP/1."), "says `HTTP/1.`", "a door that refuses everybody"),
    "up while it fails": (_edit("Shared/mon", receive="stagedoor-state:"), "`stagedoor-state:`", "`failing`"),
    "asked of somebody else": (_edit("Shared/mon", targetAddress="198.51.100.7"), "198.51.100.7", "another machine"),
    "no monitor": (_edit("Shared/pool", monitors=[]), "by monitor nothing", "whatever they say"),
    "nobody checked by APM": (_edit("Shared/vs", profileAccess=None), "by APM profile nothing", "checks nobody"),
    "checked by a lax profile": (
        _edit(f"{OWNED}/vs", profileAccess=_profile("guests")), "by APM profile `/Common/guests`", "whom APM lets in",
    ),
    "no request checked": (_edit("Shared/vs", policyPerRequestAccess=None), "by APM policy nothing", "no request"),
    "a lax policy": (
        _edit("Shared/vs", policyPerRequestAccess=_profile("lax")), "by APM policy `/Common/lax`", "which requests",
    ),
    "doors that see other addresses": (_edit("Shared/vs", snat="none"), "from `auto` to `none`", "stop trusting"),
    "open to other networks": (
        _edit("Shared/vs", allowVlans=[_profile("external")]), "`allowVlans`", "who can reach the virtual server",
    ),
    "open to other callers": (_edit("Shared/vs", sourceAddress="0.0.0.0/0"), "`sourceAddress`", "who can reach"),
    "a copy for somebody": (_edit("Shared/vs", clonePools={"ingress": _profile("tap")}), "`clonePools`", "copied"),
    "a rule": (_edit("Shared/vs", iRules=[_profile("steal")]), "Runs iRules `/Common/steal`", "may do anything"),
    "another pool": (_edit(f"{OWNED}/vs", pool=_profile("evil")), "to pool `/Common/evil`", "other machines"),
    "another certificate": (_edit("Shared/vs", serverTLS=_profile("evil")), "profile `/Common/evil`", "certificate"),
    "callers that are nobody": (_edit("Shared/http", xForwardedFor=False), "from on to off", "BIG-IP's own address"),
    "callers that say who they are": (_edit("Shared/http", trustXFF=True), "`trustXFF`", "write their own address"),
    "a field of every request": (
        _edit("Shared/http", insertHeader={"name": "X-User", "value": "admin"}), "`insertHeader`", "every request",
    ),
    "connections of other people": (_edit("Shared/oc", sourceMask="255.255.255.255"), "`sourceMask`", "shares"),
    "people who stay": (_edit("Shared/vs", persistenceMethods=["cookie"]), "`persistenceMethods`", "other doors"),
    "nothing to plain callers": (_edit("Shared/redirect", iRules=[]), "Runs iRules nothing", "do no more"),
    "nothing at all": (lambda after: after["Shared"].pop("vs"), "Removes virtual server", "nothing answers"),
    "something nobody knows": (_edit("Shared/vs", lastHop="disable"), "`lastHop`", "Stagedoor writes no `lastHop`"),
}  # fmt: skip


@pytest.mark.parametrize("hidden", BAD)
def test_one_bad_step_in_forty_stands_out(hidden: str) -> None:
    edit, sentence, why = BAD[hidden]
    after = tenant(NEW, USUAL_OWN, "b" * 12)
    edit(after)
    found = [step for step in steps(after) if step.caution]
    assert found
    assert any(sentence in step.sentence and why in step.caution for step in found), found


def test_five_bad_steps_in_forty_are_counted_above_and_listed_below() -> None:
    after = tenant(NEW, USUAL_OWN, "b" * 12)
    for hidden in ("every address", "a foreign member", "always up", "nobody checked by APM", "a copy for somebody"):
        BAD[hidden][0](after)
    made = steps(after)
    bad = [number for number, step in enumerate(made, start=1) if step.caution]
    assert len(bad) == 6  # the member that is replaced is two
    told = lines(made)
    assert told[0].endswith("; 6 to look at twice (!)")
    assert told[-1].startswith(f"look twice at 6 of {len(made)} steps: {bad[0]}")
    marked = [lines_before for lines_before, line in zip(told, told[1:], strict=False) if line.startswith("      ! ")]
    assert sorted(int(line.split(".")[0]) for line in marked) == bad
