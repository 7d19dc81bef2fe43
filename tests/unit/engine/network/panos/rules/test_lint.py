"""What is never written, whoever made it: each seeded fault is found, and what we make ourselves has none."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

from gateway.engine.network.panos import names
from gateway.engine.network.panos.rules.content import content_of, empty
from gateway.engine.network.panos.rules.lint import faults_of
from tests.support.panos_rules import CLOSED, DESIRED, EDGE, ENVIRONMENT, LEDGER, TEAM

WANTED = content_of(DESIRED, EDGE, ENVIRONMENT, ())
FRONT, DIRECT, BACK, CLOSING = 0, 1, 2, -1
Edit = Callable[[dict[str, Any]], Any]


def group(content: dict[str, Any], kind: str) -> dict[str, Any]:
    found: dict[str, Any] = next(iter(content[kind].values()))
    return found


def rule(number: int, **fields: Any) -> Edit:
    return lambda content: content["rules"][number].update(fields)


SEEDED: dict[str, Edit] = {
    "lets anybody from anywhere through": rule(DIRECT, source_user=["any"]),
    "lets anybody from anywhere through, and": rule(BACK, source=["any"]),
    "nothing about where to": rule(FRONT, destination=["any"]),
    "lets everything through": rule(CLOSING, action="allow"),
    "whatever the port": rule(BACK, service=["any"]),
    "names what is not made here": rule(BACK, destination=["all-servers"]),
    "source names what is not made here": rule(BACK, source=["10.0.0.0-8"]),
    "source_user names what is not made here": rule(DIRECT, source_user=["cn=everyone"]),
    "must allow or deny": rule(BACK, action="drop"),
    "be enabled": rule(CLOSING, disabled=True),
    "log the end": rule(CLOSING, log_end=False),
    "its tags must be": rule(BACK, tag=["stagedoor"]),
    "can be no zone": rule(BACK, to=["x" * 32]),
    "`a'b` can be no zone": rule(BACK, to=["a'b"]),
    "can be no profile": rule(BACK, log_setting="x" * 64),
    "one sentence of up to 1024": rule(BACK, description="x" * 1025),
    "plain characters": rule(BACK, description="a\nb"),
    "`any` alone": rule(BACK, service=["any", "sd-tcp-prod-443-871d92c4"]),
    "must be lists": rule(BACK, source="any"),
    "has no name of ours": rule(BACK, name="allow-all"),
    "one of another rule": rule(BACK, name=WANTED["rules"][FRONT]["name"]),
    "and nothing else": rule(BACK, schedule="night"),
    "application must be": rule(BACK, application=["ssl"]),
    "one tag of ours in quotes": lambda content: group(content, "user_groups").update(filter="'a' or 'b'"),
    "one tag of ours in quotes, of": lambda content: group(content, "address_groups").update(filter="'sd-x' or 'y'"),
    "a port or a range": lambda content: group(content, "services").update(port="0-65536"),
    "tcp or udp": lambda content: group(content, "services").update(protocol="icmp"),
    "its description must be plain": lambda content: group(content, "user_groups").update(description="x" * 1024),
    "of services has no name of ours": lambda content: content["services"].update({"ssh": {}}),
    "of user_groups must hold": lambda content: content["user_groups"].update({"sd-g-a-00000000": {"filter": "x"}}),
    "tags must be sd-block-prod": lambda content: content["tags"].update(other={"comments": ""}),
    "not about prod": lambda content: content.update(environment="test"),
    "where `edge` has it now": lambda content: content["place"].update(vsys="vsys2"),
    "holds no rules": lambda content: content.pop("user_groups"),
    "it holds what belongs to `sd-managed`": lambda content: content["address_groups"][
        names.services_tag(LEDGER, "prod")
    ].update(filter="'sd-managed'"),
    "`: it holds what belongs to `sd-g-prod-": lambda content: group(content, "user_groups").update(
        filter=f"'{names.everyone_tag()}'"
    ),
    "it holds what belongs to `sd-tcp-prod-1-65535-": lambda content: group(content, "services").update(port="1-65535"),
    "is not what its name says": rule(
        BACK, source=["any"], source_user=[names.group_name(names.team_tag(TEAM), "prod")]
    ),
    "from where or to where is not": rule(DIRECT, destination=[names.environment_tag("prod")]),
    "it is none of the four": rule(BACK, name="sd-other-prod-00000000"),
    "does not say that it lets group:default/payments, whoever has a grant pass": rule(
        DIRECT, description=WANTED["rules"][DIRECT]["description"].replace("payments,", "audit,")
    ),
    "group:default/audit, group:default/payments, user:default/olga, whoever has a grant pass": rule(
        FRONT, description=WANTED["rules"][FRONT]["description"].replace("group:default/payments, ", "")
    ),
    "` is not `People of group:default/audit`": lambda content: content["user_groups"][
        names.group_name(names.team_tag(TEAM), "prod")
    ].update(description="People of group:default/audit."),
    "that it is about tcp/443, tcp/8080": rule(
        BACK + 1, service=sorted(names.service_name(f"tcp/{port}", "prod") for port in (443, 8080)),
        description=WANTED["rules"][BACK + 1]["description"].replace("tcp/443, tcp/8080", "tcp/443"),
    ),
    "are not those of the settings": rule(BACK, **{"from": ["any"]}),
    "zones, log setting or profile group are not": rule(DIRECT, profile_group="none"),
    "must be the last rule": lambda content: content["rules"].insert(0, content["rules"].pop()),
    "keeps everybody else out, is not there": lambda content: content["rules"].pop(),
    "rules are no list": lambda content: content.update(rules={}),
}  # fmt: skip


def test_what_is_made_here_may_be_written() -> None:
    assert faults_of(WANTED, EDGE, "prod") == ()


@pytest.mark.parametrize("fault", SEEDED)
def test_a_seeded_fault_is_found(fault: str) -> None:
    content = deepcopy(WANTED)
    SEEDED[fault](content)
    assert fault in " ".join(faults_of(content, EDGE, "prod"))


@pytest.mark.parametrize("content", [None, [], "x", {}, {"rules": []}])
def test_what_is_no_content_is_a_fault_and_no_failure(content: Any) -> None:
    assert faults_of(content, EDGE, "prod")


def test_nothing_at_all_may_be_written_and_rules_without_tags_may_not() -> None:
    assert faults_of(empty(EDGE, "prod"), EDGE, "prod") == ()
    assert "its tags must be" in faults_of({**WANTED, "tags": {}}, EDGE, "prod")[0]


def test_only_front_rules_may_be_open_to_anybody() -> None:
    content = deepcopy(WANTED)
    front = content["rules"][FRONT]
    front["source_user"] = ["any"]
    assert "does not say that it lets anyone pass" in faults_of(content, EDGE, "prod")[0]
    front["description"] = "Lets anyone come near" + front["description"].partition(" come near")[2]
    assert faults_of(content, EDGE, "prod") == ()
    content["rules"][FRONT]["destination"] = [names.environment_tag("prod")]
    assert faults_of(content, EDGE, "prod")


NETWORKS = replace(EDGE, environments=(CLOSED,))
STATIC = content_of(DESIRED, NETWORKS, CLOSED, ())


def network(**fields: Any) -> Edit:
    return lambda content: group(content, "addresses").update(fields)


CLOSED_BADLY: dict[str, Edit] = {
    "it holds what belongs to `sd-net-prod-192-0-2-0-25-": network(network="192.0.2.0/25"),
    "a network as it is written": network(network="192.0.2.1/24"),
    "it must be a network": network(network="any"),
    "must hold description, network, tag": network(fqdn="a.example"),
    "of addresses has no name of ours": lambda content: content["addresses"].update({"site": {}}),
    "its tags must be": network(tag=["stagedoor"]),
    "is not what `closes: networks` is about now": rule(CLOSING, destination=[next(iter(STATIC["addresses"]))]),
    "what it closes, or says that it closes": rule(
        CLOSING, description=STATIC["rules"][CLOSING]["description"].replace("192.0.2.0/24", "192.0.2.0/23")
    ),
    "from where or to where is not": rule(FRONT, destination=[next(iter(STATIC["addresses"]))]),
    "or to where is not what its name says": rule(CLOSING, destination=[names.services_tag(LEDGER, "prod")]),
    "where is not what its name says": rule(DIRECT, destination=list(STATIC["addresses"])),
    "names what is not made here": lambda content: content["addresses"].popitem(),
    "source names what is not made here": rule(BACK, source=[next(iter(STATIC["addresses"]))]),
    "must be the last rule": lambda content: content["rules"].insert(1, content["rules"].pop()),
    "says nothing about where to": rule(CLOSING, destination=["any"]),
}


@pytest.mark.parametrize("fault", CLOSED_BADLY)
def test_a_seeded_fault_is_found_where_networks_are_closed(fault: str) -> None:
    content = deepcopy(STATIC)
    assert faults_of(content, NETWORKS, "prod") == ()
    CLOSED_BADLY[fault](content)
    assert fault in " ".join(faults_of(content, NETWORKS, "prod"))


def test_a_plan_from_before_the_setting_was_another_is_refused() -> None:
    assert "is not what `closes: addresses` is about now" in faults_of(STATIC, EDGE, "prod")[0]
    assert "is not what `closes: networks` is about now" in faults_of(WANTED, NETWORKS, "prod")[0]


def test_a_plan_of_another_vsys_is_refused() -> None:
    assert faults_of(WANTED, replace(EDGE, vsys="vsys2"), "prod")
