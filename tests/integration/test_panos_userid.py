"""The emulator's User-ID and packet oracle: tags are given and end by themselves, and rules follow them at once.

The clock is moved by hand. Access is asked of the oracle, never concluded from XML.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from gateway.lab.panos.device import Device
from tests.support.panos import RULES, VSYS1, Api, Clock, RunningFirewall, in_thread, rule

INSIDE = "<uid-response><version>2.0</version><payload>{}</payload></uid-response>"
OK = f'<response status="success"><result>{INSIDE}</result></response>'


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningFirewall]:
    with in_thread(tmp_path_factory.mktemp("panos"), Device(clock=Clock())) as (firewall,):
        yield firewall


@pytest.fixture
def api(serving: RunningFirewall) -> Api:
    serving.front.device = device = Device(vsys=("vsys1", "vsys2"), clock=Clock())
    return Api(RunningFirewall(device, serving.front, serving.url, serving.ca))


def passes(api: Api, seconds: float) -> None:
    clock = api.firewall.device._clock
    assert isinstance(clock, Clock)
    clock.passes(seconds)


def register(ip: str, *tags: str, timeout: int = 0, persistent: str = "1") -> str:
    members = "".join(f'<member timeout="{timeout}">{tag}</member>' for tag in tags)
    return f'<register><entry ip="{ip}" persistent="{persistent}"><tag>{members}</tag></entry></register>'


def register_user(user: str, tag: str, timeout: int = 0) -> str:
    member = f'<member timeout="{timeout}">{tag}</member>'
    return f'<register-user><entry user="{user}"><tag>{member}</tag></entry></register-user>'


def registered(api: Api, inside: str = "<all/>", **how: str) -> dict[str, list[str]]:
    came = api.op(f"<show><object><registered-ip>{inside}</registered-ip></object></show>", **how)
    entries = came.xml.findall("result/entry")
    assert came.xml.findtext("result/count") == str(len(entries)), came
    return {entry.get("ip", ""): [member.text or "" for member in entry.iter("member")] for entry in entries}


def failures(came: Any) -> list[str]:
    assert came.status == 200
    assert came.code[0] == "error"
    path = "msg/line/uid-response/payload/*/entry"
    return [entry.get("message") for entry in came.xml.findall(path)]


# === messages ===


def test_success_and_partial_failure_as_on_record(api: Api) -> None:
    assert api.tell(register("1.1.2.2", "foo")).text == OK.format("<register />")
    came = api.tell(
        '<unregister><entry ip="9.9.9.9"><tag><member>x</member></tag></entry></unregister>'
        '<register><entry ip="1.1.2.2"><tag><member>foo</member><member>bar</member></tag></entry></register>'
    )
    assert failures(came) == ["ip 9.9.9.9 does not exist, ignore unreg", "tag foo already exists, ignore"]
    assert registered(api) == {"1.1.2.2": ["foo", "bar"]}, "the other entries were applied"


def test_a_duplicate_is_an_error_or_a_success_and_keeps_its_end_unless_told(api: Api) -> None:
    api.tell(register("10.0.0.1", "a", timeout=60))
    api.faults(duplicate_is_error=False)
    assert api.tell(register("10.0.0.1", "a", timeout=600)).code[0] == "success"
    passes(api, 60)
    assert registered(api) == {}
    api.faults(duplicate_refreshes=True)
    api.tell(register("10.0.0.1", "a", timeout=60))
    api.tell(register("10.0.0.1", "a", timeout=600))
    passes(api, 599)
    assert registered(api) == {"10.0.0.1": ["a"]}
    passes(api, 1)
    assert registered(api) == {}


def test_unregister_comes_before_register_and_login_before_logout_whatever_the_order(api: Api) -> None:
    api.tell(register("10.0.0.1", "a", timeout=10))
    both = register("10.0.0.1", "a", timeout=100) + '<unregister><entry ip="10.0.0.1"/></unregister>'
    assert api.tell(both).code[0] == "success"
    passes(api, 50)
    assert registered(api) == {"10.0.0.1": ["a"]}, "so a timeout can be renewed in one document"
    entry = '<entry name="corp\\ann" ip="10.0.0.2"/>'
    assert api.tell(f"<logout>{entry}</logout><login>{entry}</login>").code[0] == "success"
    assert (
        api.op("<show><user><ip-user-mapping-mp><all/></ip-user-mapping-mp></user></show>").xml.find("result/entry")
        is None
    )


@pytest.mark.parametrize("tag", ["and", "OR", "not", "o'clock", 'say "x"', "two  spaces", "a,b", "x" * 128, " "])
def test_a_tag_that_would_break_filters_is_refused_by_itself(api: Api, tag: str) -> None:
    escaped = tag.replace("&", "&amp;")
    assert failures(api.tell(register("10.0.0.1", escaped, "good"))) == ["Failed to register"]
    assert registered(api) == {"10.0.0.1": ["good"]}


def test_the_33rd_tag_and_more_than_30_days_are_refused(api: Api) -> None:
    tags = [f"t{number}" for number in range(33)]
    assert failures(api.tell(register("10.0.0.1", *tags))) == ["Failed to register"]
    assert registered(api) == {"10.0.0.1": tags[:32]}
    assert failures(api.tell(register("10.0.0.2", "a", timeout=2592001))) == ["Failed to register"]
    assert api.tell(register("10.0.0.2", "a", timeout=2592000)).code[0] == "success"


def test_what_does_not_fit_the_model_is_refused_and_the_rest_stays(api: Api) -> None:
    api.faults(capacity=2)
    for number in (1, 2):
        assert api.tell(register(f"10.0.0.{number}", "a")).code[0] == "success"
    assert len(failures(api.tell(register("10.0.0.3", "a")))) == 1
    assert api.tell(register("10.0.0.1", "b")).code[0] == "success"
    assert Device(model="PA-VM-50").capacity() == 1_000


def test_one_section_of_each_kind_and_the_version_is_ignored(api: Api) -> None:
    assert api.tell(register("10.0.0.1", "a") * 2).code == ("error", "12")
    assert api.tell("<seize/>").code == ("error", "12")
    misnested = f"<uid-message><type>update<payload>{register('10.0.0.1', 'a')}</payload></type></uid-message>"
    assert api("user-id", cmd=misnested).code[0] == "success"


def test_logins_end_and_names_are_held_to_the_devices_rules(api: Api) -> None:
    api.tell(
        '<login><entry name="corp\\Ann" ip="10.0.0.2" timeout="1"/><entry name="b" ip="10.0.0.3" timeout="0"/></login>'
    )
    ask = "<show><user><ip-user-mapping-mp><ip>10.0.0.2</ip></ip-user-mapping-mp></user></show>"
    assert api.op(ask).xml.findtext("result/entry/user") == "corp\\ann"
    passes(api, 60)
    assert api.op(ask).xml.find("result/entry") is None
    assert failures(api.tell('<login><entry name="" ip="10.0.0.2"/></login>')) == ["Invalid user name"]
    assert failures(api.tell('<logout><entry name="c" ip="10.0.0.3"/></logout>')) == ["Delete mapping failed"]
    assert api.tell('<logout><entry ip="10.0.0.3"/></logout>').code[0] == "success"


# === read back ===


def test_pages_hold_500_at_most_and_have_limits_of_their_own(api: Api) -> None:
    entries = "".join(
        f'<entry ip="10.1.{n // 250}.{n % 250}"><tag><member>t</member></tag></entry>' for n in range(1200)
    )
    assert api.tell(f"<register>{entries}</register>").code[0] == "success"
    pages = [registered(api, f"<all/><limit>500</limit><start-point>{start}</start-point>") for start in (1, 501, 1001)]
    assert [len(page) for page in pages] == [500, 500, 200]
    assert len(pages[0] | pages[1] | pages[2]) == 1200
    for inside in ("<limit>501</limit>", "<start-point>100001</start-point>", "<limit>0</limit>", "<limit>x</limit>"):
        assert api.op(f"<show><object><registered-ip>{inside}</registered-ip></object></show>").code == ("error", "17")


def test_reads_filter_by_tag_and_address_and_each_vsys_has_its_own(api: Api) -> None:
    api.tell(register("10.0.0.1", "a"))
    api.tell(register("10.0.0.2", "b"), vsys="vsys2")
    assert registered(api) == {"10.0.0.1": ["a"]}
    assert registered(api, vsys="vsys2") == {"10.0.0.2": ["b"]}
    assert registered(api, '<tag><entry name="A"/></tag>') == {"10.0.0.1": ["a"]}
    assert registered(api, '<tag><entry name="b"/></tag>') == {}
    assert registered(api, "<ip>10.0.0.1</ip>") == {"10.0.0.1": ["a"]}
    api.faults(host_masks=True)
    assert registered(api) == {"10.0.0.1/32": ["a"]}


def test_users_are_paged_inside_all(api: Api) -> None:
    entries = "".join(f'<entry user="u{n}"><tag><member>t</member></tag></entry>' for n in range(3))
    api.tell(f"<register-user>{entries}</register-user>")
    inside = "<all><limit>2</limit><start-point>2</start-point></all>"
    came = api.op(f"<show><object><registered-user>{inside}</registered-user></object></show>")
    assert [entry.get("user") for entry in came.xml.findall("result/entry")] == ["u1", "u2"]


def test_a_reboot_keeps_what_asked_to_be_kept(api: Api) -> None:
    api.tell(register("10.0.0.1", "keep", timeout=600) + register_user("ann", "u", 600))
    api.tell(register("10.0.0.2", "lose", persistent="0"))
    api.tell('<login><entry name="ann" ip="10.0.0.9"/></login>')
    api.written(f"{VSYS1}/tag", "<entry name='uncommitted'/>")
    api.lab("reboot")
    assert registered(api) == {"10.0.0.1": ["keep"]}
    assert (
        api.op("<show><object><registered-user><all/></registered-user></object></show>").xml.find("result/entry")
        is not None
    )
    assert (
        api.op("<show><user><ip-user-mapping><all/></ip-user-mapping></user></show>").xml.find("result/entry") is None
    )
    assert api.config("get", f"{VSYS1}/tag/entry").code == ("success", "7")
    passes(api, 600)
    assert registered(api) == {}


# === the oracle ===

DAG = "<entry name='{}'><dynamic><filter>{}</filter></dynamic></entry>"
DUG = "<entry name='{}'><filter>{}</filter></entry>"


def guarded(api: Api, **fields: str) -> None:
    """One rule: the team may reach the service."""
    api.written(f"{VSYS1}/address-group", DAG.format("sd-svc", "'sd-payments' and 'sd-prod'"))
    api.written(f"{VSYS1}/dynamic-user-group", DUG.format("sd-team", "'sd-team' or 'sd-grant'"))
    api.written(RULES, rule("sd-payments", **({"source_user": "sd-team", "destination": "sd-svc"} | fields)))
    api.committed()


def allowed(api: Api, **packet: Any) -> bool:
    verdict = api.lab("packet", **{"source": "10.9.0.1", "destination": "10.0.0.1", "user": "ann", **packet})
    return bool(verdict["allowed"])


def test_access_is_given_by_tags_alone_and_ends_at_its_end_though_we_are_dead(api: Api) -> None:
    guarded(api)
    api.tell(register("10.0.0.1", "sd-payments", "sd-prod"))
    assert not allowed(api)
    api.tell(register_user("ann", "sd-grant", 3600))
    assert allowed(api)
    assert not allowed(api, user="bob")
    assert not allowed(api, destination="10.0.0.2")
    passes(api, 3599)
    assert allowed(api)
    passes(api, 1)
    assert not allowed(api)


def test_the_user_is_whoever_is_mapped_to_the_source_until_the_mapping_ends(api: Api) -> None:
    guarded(api)
    api.tell(register("10.0.0.1", "sd-payments", "sd-prod") + register_user("corp\\ann", "sd-team"))
    packet = {"source": "10.9.0.1", "destination": "10.0.0.1"}
    assert not api.lab("packet", **packet)["allowed"]
    api.tell('<login><entry name="CORP\\ann" ip="10.9.0.1" timeout="10"/></login>')
    assert api.lab("packet", **packet)["rule"] == "sd-payments"
    passes(api, 600)
    assert api.lab("packet", **packet)["rule"] == "interzone-default"


def test_an_uncommitted_rule_does_nothing_and_a_disabled_one_neither(api: Api) -> None:
    api.written(RULES, rule("r"))
    assert not allowed(api)
    api.committed()
    assert allowed(api)
    api.written(f"{RULES}/entry[@name='r']", rule("r", disabled="yes"), "edit")
    assert allowed(api)
    api.committed()
    assert not allowed(api)


def test_a_host_has_the_tags_of_its_subnet_and_dynamic_members_show_once_used(api: Api) -> None:
    api.tell(register("10.0.0.0/24", "sd-payments") + register_user("ann", "sd-team"))
    api.tell(register("10.0.0.1", "sd-prod"))
    ask = "<show><object><dynamic-address-group><all/></dynamic-address-group></object></show>"
    api.written(f"{VSYS1}/address-group", DAG.format("unused", "'sd-prod'"))
    guarded(api)
    assert allowed(api)
    assert not allowed(api, destination="10.0.0.2")
    groups = {
        group.findtext("group-name"): [entry.get("name") for entry in group.iter("entry") if entry.get("name")]
        for group in api.op(ask).xml.findall("result/dyn-addr-grp/entry")
    }
    assert groups == {"unused": [], "sd-svc": ["10.0.0.1"]}


def test_the_first_rule_wins_and_what_stands_before_ours_shadows_it(api: Api) -> None:
    guarded(api, source_user="any", destination="any")
    assert allowed(api)
    api.written(RULES, rule("stop", action="drop"))
    api.config("move", f"{RULES}/entry[@name='stop']", where="top")
    assert allowed(api)
    api.committed()
    assert not allowed(api)


@pytest.mark.parametrize(
    ("fields", "packet", "expected"),
    [
        ({"destination": "10.0.0.0/24"}, {}, True),
        ({"destination": "10.0.0.5-10.0.0.9"}, {}, False),
        ({"destination": "10.0.0.0/24", "negate_destination": "yes"}, {}, False),
        ({"destination": "nested"}, {}, True),
        ({"destination": "nested"}, {"destination": "10.0.0.7"}, False),
        ({"destination": "by-name"}, {"destination": "192.0.2.7"}, True),
        ({"destination": "by-name"}, {}, False),
        ({"service": "web"}, {"port": 8443}, True),
        ({"service": "web"}, {"port": 9000}, False),
        ({"service": "web"}, {"port": 8443, "protocol": "udp"}, False),
        ({"service": "all-web"}, {"port": 8090}, True),
        ({"service": "application-default"}, {"application": "ssl", "port": 443}, True),
        ({"service": "application-default"}, {"application": "ssl", "port": 8443}, False),
        ({"application": "ssh"}, {"application": "ssl"}, False),
        ({"from": "dmz"}, {}, False),
        ({"from": "trust", "to": "untrust"}, {}, True),
        ({"rule_type": "intrazone"}, {}, False),
        ({"rule_type": "intrazone"}, {"to_zone": "trust"}, True),
        ({"source_user": "known-user"}, {"user": ""}, False),
        ({"source_user": "unknown"}, {"user": ""}, True),
        ({"source_user": "directory"}, {}, True),
        ({"source_user": "directory"}, {"user": "bob"}, False),
        ({"destination": "2001:db8::/32"}, {"source": "2001:db8::1", "destination": "2001:db8::2"}, True),
        ({"destination": "2001:db8::/32"}, {}, False),
    ],
)  # fmt: skip
def test_what_a_rule_says_decides(api: Api, fields: dict[str, str], packet: dict[str, Any], expected: bool) -> None:
    api.faults(hostnames={"svc.example": "192.0.2.7, 192.0.2.8"})
    api.written(
        f"{VSYS1}/address",
        "<entry name='one'><ip-netmask>10.0.0.1</ip-netmask></entry>"
        "<entry name='by-name'><fqdn>svc.example</fqdn></entry>",
    )
    api.written(f"{VSYS1}/address-group", "<entry name='inner'><static><member>one</member></static></entry>")
    api.written(f"{VSYS1}/address-group", "<entry name='nested'><static><member>inner</member></static></entry>")
    api.written(
        f"{VSYS1}/service",
        "<entry name='web'><protocol><tcp><port>443,8000-8500</port></tcp></protocol></entry>",
    )
    api.written(f"{VSYS1}/service-group", "<entry name='all-web'><members><member>web</member></members></entry>")
    api.tell('<groups><entry name="directory"><members><entry name="Ann"/></members></entry></groups>')
    api.written(RULES, rule("r", **fields) + rule("stop", action="deny"))
    api.committed()
    assert allowed(api, **packet) is expected


def test_the_operational_match_gives_the_same_answer_and_no_hit(api: Api) -> None:
    guarded(api, source_user="any", destination="any", from_="trust")
    asked = "<from>trust</from><to>untrust</to><source>10.9.0.1</source><destination>10.0.0.1</destination>"
    asked += "<protocol>6</protocol><destination-port>443</destination-port>"
    match = f"<test><security-policy-match>{asked}</security-policy-match></test>"
    entry = api.op(match).found("result/rules/entry")
    assert (entry.get("name"), entry.findtext("action")) == ("sd-payments", "allow")
    assert all(hits.count == 0 for hits in api.firewall.device.hits.values())
