"""Rules and objects as XML: golden bodies for what is written, one normal form for whatever a device gives back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree.ElementTree import Element, fromstring, indent, tostring

import pytest

from gateway.engine.network.panos.device.places import place_of_rules
from gateway.engine.network.panos.rules.changing import change_between
from gateway.engine.network.panos.rules.codec import HOLDERS, RULES, element_of, fields_of
from gateway.engine.network.panos.rules.content import content_of, empty
from tests.support.panos_rules import CLOSED, DESIRED, EDGE, ENVIRONMENT, SCOPES, with_scopes

GOLDEN = Path(__file__).parents[5] / "golden" / "panos"
STRICT = replace(ENVIRONMENT, log_setting="to-siem", profile_group="strict")
WANTED = content_of(DESIRED, EDGE, STRICT, ())
FEWER = content_of(with_scopes(SCOPES[0]), EDGE, STRICT, ())
STATIC = content_of(DESIRED, EDGE, replace(STRICT, closes="networks", networks=CLOSED.networks), ())
TAKEN_FOR_GRANTED = (
    "<negate-source>no</negate-source>",
    "<rule-type>universal</rule-type>",
    "<disabled>no</disabled>",
    "<category><member>any</member></category>",
    "<hip-profiles><member>any</member></hip-profiles>",
)
GROUP = replace(EDGE, device_group="edge-firewalls")
CASES = {
    "first": (EDGE, empty(EDGE, "prod"), WANTED),
    "fewer": (EDGE, WANTED, FEWER),
    "networks": (EDGE, WANTED, STATIC),
    "device-group": (GROUP, empty(GROUP, "prod"), content_of(DESIRED, GROUP, STRICT, ())),
}


@pytest.mark.parametrize("case", CASES)
def test_edits_are_written_as_they_were_agreed(case: str) -> None:
    device, before, after = CASES[case]
    change = change_between(place_of_rules(device), before, after)
    root = Element("multi-config")
    for edit in change.edits:
        said = {"xpath": edit.xpath, "where": edit.where, "dst": edit.dst}
        step = Element(edit.action, {key: value for key, value in said.items() if value})
        step.extend([fromstring(edit.element)] if edit.element else [])
        root.append(step)
    for comment in change.comments:
        remark = Element("comment", xpath=comment.xpath)
        remark.text = comment.text
        root.append(remark)
    indent(root)
    assert tostring(root, "unicode") + "\n" == (GOLDEN / f"{case}.xml").read_text()


def test_what_was_written_is_read_back_the_same() -> None:
    for kind in HOLDERS:
        for name, fields in {**WANTED[kind], **STATIC[kind]}.items():
            assert fields_of(kind, element_of(kind, name, fields)) == fields
    for rule in WANTED["rules"]:
        assert fields_of(RULES, element_of(RULES, rule["name"], rule)) == rule


def test_what_devices_add_by_themselves_makes_no_difference() -> None:
    """Attributes, and what is taken for granted."""
    rule = WANTED["rules"][0]
    entry = element_of(RULES, rule["name"], rule)
    for node in entry.iter():
        node.attrib.update(
            {"admin": "jane", "dirtyId": "7", "time": "2026/01/01", "loc": "DG", "uuid": "1-2", "src": "x"}
        )
    for inside in TAKEN_FOR_GRANTED:
        entry.append(fromstring(inside))
    assert fields_of(RULES, entry) == rule


@pytest.mark.parametrize(
    "added",
    [
        "<negate-destination>yes</negate-destination>",
        "<rule-type>intrazone</rule-type>",
        "<schedule>night</schedule>",
        "<category><member>gambling</member></category>",
        "<profile-setting><profiles><virus><member>default</member></virus></profiles></profile-setting>",
        "<disabled>yes</disabled>",
        "<log-end>no</log-end>",
        "<option><disable-server-response-inspection>yes</disable-server-response-inspection></option>",
        "<target><negate>yes</negate></target>",
    ],
)
def test_what_changes_a_rule_makes_a_difference(added: str) -> None:
    rule = WANTED["rules"][0]
    entry = element_of(RULES, rule["name"], rule)
    fresh = fromstring(added)
    for old in entry.findall(fresh.tag):
        entry.remove(old)
    entry.append(fresh)
    assert fields_of(RULES, entry) != rule


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("services", "<protocol><tcp><port>443</port><source-port>1-5</source-port></tcp></protocol>"),
        ("services", "<protocol><tcp><port>443</port></tcp><udp><port>443</port></udp></protocol>"),
        ("address_groups", "<static><member>all</member></static>"),
        ("user_groups", "<filter>'a' or 'b'</filter>"),
        ("addresses", "<ip-range>192.0.2.0-192.0.2.9</ip-range>"),
        ("addresses", "<ip-netmask>192.0.2.0/24</ip-netmask><fqdn>a.example</fqdn>"),
    ],
)
def test_what_widens_an_object_makes_a_difference(kind: str, body: str) -> None:
    found = fields_of(kind, fromstring(f"<entry name='x'>{body}<tag><member>stagedoor</member></tag></entry>"))
    assert found not in ({**each, "description": "", "tag": ["stagedoor"]} for each in STATIC[kind].values())
    assert "other" in found or found["filter"] == "'a' or 'b'"


def test_a_body_as_deep_as_a_well_is_read() -> None:
    body = "<a>" * 5000 + "</a>" * 5000
    assert "other" in fields_of(RULES, fromstring(f"<entry name='x'>{body}</entry>"))
