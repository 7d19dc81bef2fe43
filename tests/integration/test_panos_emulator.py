"""What the lab's PAN-OS answers, over TLS: transport, configuration, commits, locks, as recordings and documents say.

The bodies are whole where one is on record. A fault here would let a worker pass that a real firewall refuses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from gateway.lab.panos.admins import DEFAULT, Admin
from gateway.lab.panos.device import Device
from tests.support.panos import LOCALHOST, RULES, VSYS1, Api, Clock, RunningFirewall, in_thread, rule

TAG = f"{VSYS1}/tag"
ADDRESS = f"{VSYS1}/address"
OTHER = Admin("other", "other")


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningFirewall]:
    device = Device(vsys=("vsys1", "vsys2"), admins=(*DEFAULT, OTHER), clock=Clock())
    with in_thread(tmp_path_factory.mktemp("panos"), device) as (firewall,):
        yield firewall


@pytest.fixture
def firewall(serving: RunningFirewall) -> RunningFirewall:
    """As it came out of its box: a new device behind the same address."""
    serving.front.device = device = Device(vsys=("vsys1", "vsys2"), admins=(*DEFAULT, OTHER), clock=Clock())
    serving.front.calls.clear()
    return RunningFirewall(device, serving.front, serving.url, serving.ca)


@pytest.fixture
def api(firewall: RunningFirewall) -> Api:
    return Api(firewall)


@pytest.fixture
def other(firewall: RunningFirewall) -> Api:
    return Api(firewall, "other", "other")


def clock_of(api: Api) -> Clock:
    clock = api.firewall.device._clock
    assert isinstance(clock, Clock)
    return clock


# === transport ===


def test_a_key_comes_in_the_web_layers_own_spelling(api: Api) -> None:
    came = api.post({"type": "keygen", "user": "stagedoor", "password": "lab"})
    assert (came.status, came.kind) == (200, "application/xml; charset=UTF-8")
    assert re.fullmatch(r"<response status = 'success'><result><key>\S+</key></result></response>", came.text)


def test_a_bad_password_and_a_bad_key_are_told_apart_by_the_body_alone(api: Api) -> None:
    bad = "<response status = 'error' code = '403'><result><msg>{}</msg></result></response>"
    came = api.post({"type": "keygen", "user": "stagedoor", "password": "guess"})
    assert (came.status, came.text) == (403, bad.format("Invalid Credential"))
    came = api.post({"type": "op", "cmd": "<show/>"}, X_PAN_KEY="guess")
    assert (came.status, came.text) == (403, bad.format("Not Authenticated"))


def test_header_parameter_and_basic_are_believed_and_get_works_like_post(api: Api) -> None:
    info = "<show><system><info/></system></show>"
    key = api.log_in()
    assert api.post({"type": "op", "cmd": info}, X_PAN_KEY=key).status == 200
    assert api.post({"type": "op", "cmd": info, "key": key}).status == 200
    assert api.post({"type": "op", "cmd": info}, Authorization="Basic c3RhZ2Vkb29yOmxhYg==").status == 200
    came = api.raw("GET", "/api/?type=op&cmd=%3Cshow%3E%3Csystem%3E%3Cinfo/%3E%3C/system%3E%3C/show%3E", X_PAN_KEY=key)
    assert came.xml.findtext("result/system/sw-version") == "11.1.6"


def test_a_key_is_stable_until_keys_have_a_lifetime_or_are_expired(api: Api) -> None:
    first = api.log_in()
    assert api.log_in() == first
    api.faults(key_lifetime_s=60)
    second = api.log_in()
    assert second != first
    assert api.post({"type": "version"}, X_PAN_KEY=first).status == 403
    clock_of(api).passes(60)
    assert api.post({"type": "version"}, X_PAN_KEY=second).status == 403
    api.faults(key_lifetime_s=0)
    api.log_in()
    assert api.op("<request><api><key><expiration/></key></api></request>").code[0] == "success"
    assert api.op("<show><clock/></show>").status == 403


def test_another_path_or_content_type_is_the_web_interface_with_200(api: Api) -> None:
    for came in (
        api.raw("GET", "/"),
        api.raw("GET", "/restapi/v11.1/Objects/Addresses"),
        api.raw("POST", "/api/", "<request/>", Content_Type="application/xml"),
    ):
        assert (came.status, came.kind.partition(";")[0]) == (200, "text/html")


def test_a_role_without_the_right_is_unauth_16_with_200(firewall: RunningFirewall) -> None:
    tags = Api(firewall, "stagedoor-tags", "lab")
    body = '<response status="unauth" code="16"><msg><line>Unauthorized request</line></msg></response>'
    for came in (tags.config("get", TAG), tags("commit", cmd="<commit/>")):
        assert (came.status, came.text) == (200, body)
    assert tags.op("<show><clock/></show>").code[0] == "success"


def test_an_xpath_outside_config_is_unauth_and_one_that_cannot_be_read_leads_nowhere(api: Api) -> None:
    assert api.config("get", "/etc/passwd").code == ("unauth", "16")
    came = api.config("get", "/config/devices[[")
    assert came.text == '<response status="success" code="7"><result /></response>'


@pytest.mark.parametrize("missing", [{}, {"type": "nonsense"}, {"type": "config"}, {"type": "op"}])
def test_a_missing_or_wrong_parameter_is_400_at_result_msg(api: Api, missing: dict[str, str]) -> None:
    came = api.post(missing, X_PAN_KEY=api.log_in())
    assert came.status == 400
    assert came.xml.findtext("result/msg")


def test_doctypes_entities_and_broken_xml_are_18_and_nothing_is_expanded(api: Api) -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;">]><show>&b;</show>'
    for cmd in (bomb, "<!DOCTYPE show><show/>", "<show><system>", "no xml"):
        assert api.op(cmd).code == ("error", "18"), cmd
    assert api.config("set", TAG, "<entry name='a'>").code == ("error", "18")


def test_a_body_of_more_than_5_mib_is_refused_and_the_device_stays_well(api: Api) -> None:
    came = api.post({"type": "op", "cmd": "x" * 5 * 1024 * 1024, "key": "k"})
    assert came.status == 413
    assert api.op("<show><clock/></show>").code[0] == "success"


def test_an_unknown_command_is_17(api: Api) -> None:
    assert api.op("<show><weather/></show>").code == ("error", "17")
    assert api.op("<show><clock/></show>", vsys="vsys99").said.startswith("vsys99 is invalid vsys")


def test_an_administrator_of_the_configuration_has_the_rights_of_the_role(api: Api) -> None:
    """The exact role of the documents: user-id and op alone."""
    api.written(
        "/config/shared/admin-role",
        "<entry name='tags'><role><device><xmlapi><op>enable</op><user-id>enable</user-id><config>disable</config>"
        "</xmlapi></device></role></entry>",
    )
    hashed = api.op("<request><password-hash><password>s3cret</password></password-hash></request>")
    phash = hashed.xml.findtext("result/phash")
    role = "<permissions><role-based><custom><profile>tags</profile></custom></role-based></permissions>"
    api.written("/config/mgt-config/users", f"<entry name='tagger'><phash>{phash}</phash>{role}</entry>")
    tagger = Api(api.firewall, "tagger", "s3cret")
    assert tagger.op("<show><clock/></show>").code[0] == "success"
    assert tagger.config("get", TAG).code == ("unauth", "16")
    assert tagger.post({"type": "keygen", "user": "tagger", "password": "wrong"}).status == 403


# === configuration ===


def test_get_reads_the_candidate_and_show_what_runs(api: Api) -> None:
    one = f"{TAG}/entry[@name='sd-a']"
    assert api.config("get", one).text == '<response status="success" code="7"><result /></response>'
    missing = api.config("show", one)
    assert (missing.code[0], missing.said) == ("error", "No such node")
    done = '<response status="success" code="20"><msg>command succeeded</msg></response>'
    assert api.config("set", TAG, "<entry name='sd-a'/>").text == done
    came = api.config("get", one)
    assert came.code == ("success", "19")
    assert came.found("result").attrib == {"total-count": "1", "count": "1"}
    assert api.config("show", one).code[0] == "error"
    api.committed()
    assert api.config("show", one).code[0] == "success"


def test_candidate_nodes_carry_who_changed_them_until_they_run(api: Api) -> None:
    api.written(TAG, "<entry name='sd-a'/>")
    tag = api.config("get", f"{TAG}/entry").found("result/entry")
    assert (tag.get("admin"), tag.get("dirtyId"), bool(tag.get("time"))) == ("stagedoor", "1", True)
    api.committed()
    assert api.config("get", f"{TAG}/entry").found("result/entry").attrib == {"name": "sd-a"}


def test_set_merges_and_edit_replaces(api: Api) -> None:
    one = f"{ADDRESS}/entry[@name='a']"
    api.written(TAG, "<entry name='x'/><entry name='y'/>")
    api.written(one, "<ip-netmask>192.0.2.1</ip-netmask><tag><member>x</member></tag>")
    api.written(one, "<tag><member>y</member></tag>")
    assert [tag.text for tag in api.config("get", one).xml.iter("member")] == ["x", "y"]
    api.written(one, "<entry name='a'><fqdn>a.example</fqdn></entry>", "edit")
    assert [child.tag for child in api.config("get", one).found("result/entry")] == ["fqdn"]
    assert api.config("edit", one, "<entry name='b'><fqdn>b</fqdn></entry>").code == ("error", "12")
    api.written(one, "<ip-netmask>192.0.2.2</ip-netmask>")
    assert [child.tag for child in api.config("get", one).found("result/entry")] == ["ip-netmask"]


def test_what_is_deleted_twice_is_a_success_with_7(api: Api) -> None:
    came = api.config("delete", f"{TAG}/entry[@name='never']")
    assert came.text == '<response status="success" code="7"><msg>Object doesn\'t exist</msg></response>'


def test_a_name_of_64_characters_is_refused_in_the_devices_words(api: Api) -> None:
    name = "a" * 64
    came = api.config("set", f"{ADDRESS}/entry[@name='{name}']", "<ip-netmask>192.0.2.1</ip-netmask>")
    assert came.code == ("error", "12")
    assert came.xml.findtext("msg/line") == f" {name} can be at most 63 characters, but current length: 64"


@pytest.mark.parametrize(
    ("where", "element", "says"),
    [
        (ADDRESS, "<entry name='a'><colour>red</colour></entry>", "colour unexpected here"),
        (ADDRESS, "<entry name='a'><fqdn>a</fqdn><ip-netmask>192.0.2.1</ip-netmask></entry>", "unexpected here"),
        (f"{VSYS1}/dynamic-user-group", "<entry name='g.x'><filter>a</filter></entry>", "invalid name"),
        (f"{VSYS1}/dynamic-user-group", "<entry name='g'><filter>not 'a'</filter></entry>", "unexpected not"),
        (f"{VSYS1}/address-group", "<entry name='g'><dynamic><filter>'a' and</filter></dynamic></entry>", "too early"),
        (f"{VSYS1}/address-group", f"<entry name='g'><dynamic><filter>{'a' * 2048}</filter></dynamic></entry>", "2047"),
        (RULES, rule("r", source="nobody"), "source 'nobody' is not a valid reference"),
        (RULES, rule("r", source="cafe"), "source 'cafe' is not a valid reference"),
        (RULES, rule("r", to="moon"), "'moon' is not a valid reference"),
        (RULES, rule("r", tag="absent"), "'absent' is not a valid reference"),
        (RULES, rule("r", description="d" * 1025), "at most 1024"),
        (f"{VSYS1}/external-list", f"<entry name='l'><type><ip><url>{'u' * 256}</url></ip></type></entry>", "most 255"),
    ],
)  # fmt: skip
def test_schema_and_references_fail_at_the_write(api: Api, where: str, element: str, says: str) -> None:
    came = api.config("set", where, element)
    assert came.code == ("error", "12")
    assert says in came.said
    assert api.op("<check><pending-changes/></check>").said == "no"


def test_what_is_referred_to_cannot_be_deleted(api: Api) -> None:
    api.written(TAG, "<entry name='sd-a'/>")
    api.written(RULES, rule("r", tag="SD-A"))
    came = api.config("delete", f"{TAG}/entry[@name='sd-a']")
    assert came.code == ("error", "10")
    way = "vsys -> vsys1 -> rulebase -> security -> rules -> r -> tag"
    assert came.said == f"sd-a cannot be deleted because of references from: {way}"


def test_a_rules_uuid_outlives_edit_and_rename_and_a_clone_has_its_own(api: Api) -> None:
    one = f"{RULES}/entry[@name='r']"
    api.written(RULES, rule("r"))
    uuid = api.config("get", one).found("result/entry").get("uuid", "")
    assert re.fullmatch(r"[0-9a-f-]{36}", uuid)
    api.written(one, rule("r", description="changed"), "edit")
    assert api.config("rename", one, newname="s").code == ("success", "20")
    assert api.config("get", f"{RULES}/entry[@name='s']").found("result/entry").get("uuid") == uuid
    assert (
        api("config", action="clone", xpath=RULES, newname="t", **{"from": f"{RULES}/entry[@name='s']"}).code[1] == "20"
    )
    assert api.config("get", f"{RULES}/entry[@name='t']").found("result/entry").get("uuid") != uuid
    api.committed()
    assert api.config("show", f"{RULES}/entry[@name='s']").found("result/entry").get("uuid") == uuid


def test_a_rename_is_refused_or_rewrites_whoever_refers_to_it(api: Api) -> None:
    api.written(TAG, "<entry name='old'/>")
    api.written(f"{VSYS1}/dynamic-user-group", "<entry name='people'><filter>'a'</filter></entry>")
    api.written(RULES, rule("one", tag="old", source_user="people"))
    came = api.config("rename", f"{TAG}/entry[@name='old']", newname="new")
    assert came.code == ("error", "10")
    api.faults(renames_follow=True)
    api.config("rename", f"{TAG}/entry[@name='old']", newname="new")
    api.config("rename", f"{VSYS1}/dynamic-user-group/entry[@name='people']", newname="folk")
    api.committed()
    held = api.config("show", f"{RULES}/entry[@name='one']").xml
    assert [held.findtext(f"result/entry/{each}/member") for each in ("tag", "source-user")] == ["new", "folk"]


def test_rules_are_moved_by_four_words(api: Api) -> None:
    for name in "abc":
        api.written(RULES, rule(name))

    def order() -> str:
        return "".join(entry.get("name", "") for entry in api.config("get", f"{RULES}/entry/@name").found("result"))

    for where, dst, after in (("top", "", "cab"), ("after", "a", "acb"), ("before", "a", "cab"), ("bottom", "", "abc")):
        api.config("move", f"{RULES}/entry[@name='c']", where=where, dst=dst)
        assert order() == after
    assert api.config("move", f"{RULES}/entry[@name='c']", where="before", dst="z").code == ("error", "7")


def test_xpath_as_clients_write_it(api: Api) -> None:
    api.written(TAG, "".join(f"<entry name='{name}'/>" for name in "abc"))
    both = api.config("get", f"{TAG}/entry[@name='a' or @name=\"c\"]").found("result")
    assert [entry.get("name") for entry in both] == ["a", "c"]
    union = api.config("get", f"{TAG}/entry[@name='b'] | {LOCALHOST}/deviceconfig/system/hostname").found("result")
    assert [node.tag for node in union] == ["entry", "hostname"]
    api.written(
        f"{ADDRESS}/entry[@name='h']",
        "<ip-netmask>192.0.2.1</ip-netmask><tag><member>a</member><member>b</member></tag>",
    )
    api.config("delete", f"{ADDRESS}/entry[@name='h']/tag/member[text()='a']")
    assert [tag.text for tag in api.config("get", f"{ADDRESS}/entry[@name='h']/tag/member").xml.iter("member")] == ["b"]


def test_multi_config_is_all_or_nothing_and_says_which_step_failed(api: Api) -> None:
    def steps(name: str) -> str:
        one = f"<set id='1' xpath=\"{ADDRESS}/entry[@name='a']\"><ip-netmask>192.0.2.1</ip-netmask></set>"
        two = f"<set id='2' xpath=\"{ADDRESS}/entry[@name='{name}']\"><ip-netmask>192.0.2.2</ip-netmask></set>"
        return f"<multi-config>{one}{two}</multi-config>"

    came = api.config("multi-config", element=steps("b" * 64))
    assert came.code == ("error", "13")
    inner = came.found("response")
    assert (inner.get("status"), inner.get("code"), inner.get("id")) == ("error", "12", "2")
    assert api.config("get", f"{ADDRESS}/entry").code == ("success", "7")
    came = api.config("multi-config", element=steps("b"))
    assert came.code == ("success", "20")
    assert [inner.get("id") for inner in came.xml.findall("response")] == ["1", "2"]
    assert len(api.config("get", f"{ADDRESS}/entry").found("result")) == 2


def test_strict_multi_config_first_takes_back_what_the_admin_left_and_nothing_else(api: Api, other: Api) -> None:
    api.written(TAG, "<entry name='debris'/>")
    other.written(TAG, "<entry name='theirs'/>")
    step = f"<m><set id='1' xpath=\"{TAG}\"><entry name='mine'/></set></m>"
    came = api("config", action="multi-config", element=step, **{"strict-transactional": "yes"})
    assert came.code == ("success", "20")
    names = {entry.get("name") for entry in api.config("get", f"{TAG}/entry").found("result")}
    assert names == {"theirs", "mine"}
    api.faults(job_s=10)
    api.commit("<partial><admin><member>stagedoor</member></admin></partial>")
    api.written(TAG, "<entry name='kept'/>")
    came = api("config", action="multi-config", element=step, **{"strict-transactional": "yes"})
    assert (came.code, came.said) == (("error", "14"), "A commit is in progress")
    assert api.config("get", f"{TAG}/entry[@name='kept']").code == ("success", "19")


# === commits ===


def test_a_commit_is_a_job_that_goes_from_pend_over_act_to_fin(api: Api) -> None:
    api.faults(job_s=20)
    api.written(TAG, "<entry name='a'/>")
    came = api("commit", cmd="<commit><description>first</description></commit>")
    number = came.xml.findtext("result/job", "")
    line = f"<msg><line>Commit job enqueued with jobid {number}</line></msg><job>{number}</job>"
    assert came.text == f'<response status="success" code="19"><result>{line}</result></response>'
    api.written(TAG, "<entry name='b'/>")
    second = api.commit()

    def states() -> list[tuple[str, ...]]:
        jobs = [api.job(one) for one in (number, second)]
        return [tuple(job.findtext(what, "") for what in ("status", "result", "progress")) for job in jobs]

    assert states() == [("ACT", "PEND", "0"), ("PEND", "PEND", "0")]
    clock_of(api).passes(10)
    assert states()[0] == ("ACT", "PEND", "50")
    assert api.job(number).findtext("tfin") == "Still Active"
    assert api.config("show", TAG).code[0] == "error"
    clock_of(api).passes(10)
    assert states() == [("FIN", "OK", "100"), ("ACT", "PEND", "0")]
    assert [tag.get("name") for tag in api.config("show", TAG).found("result/tag")] == ["a"]
    clock_of(api).passes(20)
    assert states()[1] == ("FIN", "OK", "100")
    assert [tag.get("name") for tag in api.config("show", TAG).found("result/tag")] == ["a", "b"]


def test_nothing_to_commit_is_a_success_without_a_job(api: Api) -> None:
    body = '<response status="success" code="19"><msg>There are no changes to commit.</msg></response>'
    assert api("commit", cmd="<commit/>").text == body
    api.committed("<force/>")


def test_a_second_commit_of_the_same_changes_is_a_success_without_a_job(api: Api, other: Api) -> None:
    api.faults(hold_jobs=True)
    api.written(TAG, "<entry name='a'/>")
    api.commit()
    came = api("commit", cmd="<commit/>")
    assert came.code == ("success", "19") and came.xml.find("result/job") is None
    assert came.said == "The result of this commit would be the same as the previous commit queued/processed."
    other.written(TAG, "<entry name='b'/>")
    api.commit()
    api.commit("<force/>")


def test_a_job_that_never_was(api: Api) -> None:
    came = api.op("<show><jobs><id>19</id></jobs></show>")
    assert came.text == '<response status="error" code="7"><msg><line>job 19 not found</line></msg></response>'


def test_force_and_partial_are_a_choice(api: Api) -> None:
    api.written(TAG, "<entry name='a'/>")
    assert api("commit", cmd="<commit><partial/><force/></commit>").code == ("error", "17")
    assert api("commit", cmd=f"<commit><description>{'d' * 513}</description></commit>").code == ("error", "12")
    api.committed("<force><partial><admin><member>stagedoor</member></admin></partial></force>")


def test_a_partial_commit_leaves_what_somebody_else_began(api: Api, other: Api) -> None:
    """The fault of half the tools there are: committing a colleague's half-finished rule."""
    other.written(RULES, rule("half-finished"))
    api.written(TAG, "<entry name='sd-a'/>")
    api.committed("<partial><admin><member>stagedoor</member></admin></partial>")
    assert api.config("show", f"{TAG}/entry").code[0] == "success"
    assert api.config("show", f"{RULES}/entry").code[0] == "error"
    assert api.config("get", f"{RULES}/entry").code == ("success", "19")
    changes = api.op("<show><config><list><changes/></list></config></show>").xml.findall("result/journal/entry")
    assert [(one.findtext("owner"), one.findtext("action")) for one in changes] == [("other", "SET")]
    assert changes[0].findtext("xpath") == f"{RULES}/entry[@name='half-finished']"
    nothing = "<commit><partial><admin><member>stagedoor</member></admin></partial></commit>"
    assert api("commit", cmd=nothing).said == "There are no changes to commit."


def test_a_partial_commit_that_leans_on_somebody_elses_change_fails_and_changes_nothing(api: Api, other: Api) -> None:
    other.written(TAG, "<entry name='theirs'/>")
    api.written(RULES, rule("r", tag="theirs"))
    job = api.job(api.commit("<partial><admin><member>stagedoor</member></admin></partial>"))
    assert (job.findtext("status"), job.findtext("result")) == ("FIN", "FAIL")
    assert any("'theirs' is not a valid reference" in (line.text or "") for line in job.findall("details/line"))
    assert api.config("show", f"{RULES}/entry").code[0] == "error"


def test_two_partial_commits_in_the_queue_both_land(api: Api, other: Api) -> None:
    api.faults(job_s=5)
    api.written(TAG, "<entry name='mine'/>")
    other.written(TAG, "<entry name='theirs'/>")
    api.commit("<partial><admin><member>stagedoor</member></admin></partial>")
    other.commit("<partial><admin><member>other</member></admin></partial>")
    clock_of(api).passes(10)
    assert {tag.get("name") for tag in api.config("show", TAG).found("result/tag")} == {"mine", "theirs"}
    assert api.op("<check><pending-changes/></check>").said == "no"


def test_revert_takes_back_ones_own_changes_alone(api: Api, other: Api) -> None:
    api.written(TAG, "<entry name='mine'/>")
    other.written(TAG, "<entry name='theirs'/>")
    partial = "<partial><admin><member>stagedoor</member></admin></partial>"
    assert api.op(f"<revert><config>{partial}</config></revert>").code[0] == "success"
    assert [tag.get("name") for tag in api.config("get", TAG).found("result/tag")] == ["theirs"]
    api.faults(job_s=10)
    other.commit()
    said = api.op(f"<revert><config>{partial}</config></revert>").said
    assert said == "Local commit jobs are queued. Revert operation is not allowed."


def test_validate_finds_faults_and_changes_nothing(api: Api) -> None:
    api.written(TAG, "<entry name='a'/>")
    came = api.op("<validate><full/></validate>")
    assert re.fullmatch(r"Validate job enqueued with jobid \d+", came.said)
    job = api.job(str(came.xml.findtext("result/job")))
    assert (job.findtext("type"), job.findtext("result")) == ("Validate", "OK")
    assert api.config("show", TAG).code[0] == "error"
    api.faults(fail_jobs="rule r: application any is not permitted")
    job = api.job(str(api.op("<validate><full/></validate>").xml.findtext("result/job")))
    assert job.findtext("result") == "FAIL"


# === locks ===

ADD = "<request><config-lock><add><comment>plan 1</comment></add></config-lock></request>"
REMOVE = "<request><config-lock><remove/></config-lock></request>"


def test_a_config_lock_keeps_others_from_writing_until_it_goes(api: Api, other: Api) -> None:
    acquired = (
        "Successfully acquired lock. Other administrators will not be able to modify configuration"
        " until lock is released by stagedoor."
    )
    assert api.op(ADD, vsys="vsys1").said == acquired
    assert other.op(ADD, vsys="vsys1").said == "Config lock is already held by stagedoor"
    assert other.config("set", TAG, "<entry name='a'/>").said == "Configuration is locked by stagedoor"
    other.written(
        "/config/devices/entry[@name='localhost.localdomain']/vsys/entry[@name='vsys2']/tag", "<entry name='a'/>"
    )
    api.written(TAG, "<entry name='a'/>")
    listed = api.op("<show><config-locks><vsys>all</vsys></config-locks></show>").found("result/config-locks/entry")
    assert (listed.get("name"), listed.findtext("name"), listed.findtext("comment")) == ("stagedoor", "vsys1", "plan 1")
    by_name = "<request><config-lock><remove><admin>stagedoor</admin></remove></config-lock></request>"
    for theirs in (REMOVE, by_name):
        assert other.op(theirs, vsys="vsys1").said == "Config lock is already held by stagedoor"
    assert api.op(REMOVE, vsys="vsys1").said == "Config lock released for stagedoor"
    assert api.op(REMOVE).said == "Config is not currently locked for scope shared"


def test_a_commit_lock_of_somebody_else_is_14_and_ones_own_goes_with_the_commit(api: Api, other: Api) -> None:
    commit_lock = "<request><commit-lock><add/></commit-lock></request>"
    api.written(TAG, "<entry name='a'/>")
    assert other.op(commit_lock).code[0] == "success"
    came = api("commit", cmd="<commit/>")
    assert came.code == ("error", "14")
    assert came.said == "Other administrators are holding device wide commit locks."
    other.op("<request><commit-lock><remove/></commit-lock></request>")
    api.op(commit_lock)
    api.op(ADD)
    api.committed()
    assert len(api.op("<show><commit-locks/></show>").found("result/commit-locks")) == 0
    assert len(api.op("<show><config-locks/></show>").found("result/config-locks")) == 0


# === comments, hits ===


def test_an_audit_comment_can_be_demanded_and_is_kept_with_the_commit(api: Api) -> None:
    one = f"{RULES}/entry[@name='r']"
    api.faults(required_comment=r"^owner group:\w+")
    api.written(one, rule("r"), "edit")
    assert api.job(api.commit()).findtext("result") == "FAIL"
    said = f"<set><audit-comment><xpath>{one}</xpath><comment>owner group:payments</comment></audit-comment></set>"
    assert api.op(said).code[0] == "success"
    api.committed()
    ask = f"<show><config><list><audit-comments><xpath>{one}</xpath></audit-comments></list></config></show>"
    assert [one.text for one in api.op(ask).xml.iter("comment")] == ["owner group:payments"]
    search = api("log", query="(subtype eq audit-comment)", **{"log-type": "config"}).xml.findtext("result/job")
    logs = api("log", action="get", **{"job-id": str(search)}).xml.findall("result/log/logs/entry")
    assert [(log.findtext("comment"), log.findtext("path")) for log in logs] == [("owner group:payments", one)]
    assert api.op(f"<set><audit-comment><xpath>{TAG}</xpath><comment>x</comment></audit-comment></set>").code[1] == "7"


def test_hits_of_a_rule_are_counted_with_their_times(api: Api) -> None:
    api.written(RULES, rule("r"))
    api.committed()
    ask = (
        "<show><rule-hit-count><vsys><vsys-name><entry name='vsys1'><rule-base><entry name='security'><rules><all/>"
        "</rules></entry></rule-base></entry></vsys-name></vsys></rule-hit-count></show>"
    )

    def hits() -> dict[str, str]:
        found = api.op(ask).found("result/rule-hit-count/vsys/entry/rule-base/entry/rules/entry")
        return {child.tag: child.text or "" for child in found}

    assert (hits()["hit-count"], hits()["last-hit-timestamp"], hits()["latest"]) == ("0", "0", "yes")
    clock_of(api).passes(100)
    api.lab("packet", source="10.0.0.1", destination="10.0.0.2")
    now = int(clock_of(api).at)
    assert (hits()["hit-count"], hits()["last-hit-timestamp"]) == ("1", str(now))
    assert hits()["rule-creation-timestamp"] == str(now - 100)
