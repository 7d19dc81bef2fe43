"""The emulator's pair, Panorama, external lists and faults: a firewall that is not alone, or not well."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

import pytest

from gateway.lab.panos.admins import DEFAULT, Admin
from gateway.lab.panos.device import Device
from gateway.lab.panos.pairs import Pair
from tests.support.certificates import make
from tests.support.panos import LOCALHOST, RULES, VSYS1, WAIT_S, Api, Clock, RunningFirewall, in_thread, rule

TAG = f"{VSYS1}/tag"
STATE = "<show><high-availability><state/></high-availability></show>"
GROUP = f"{LOCALHOST}/device-group/entry[@name='DG']"
ADMINS = (*DEFAULT, Admin("other", "other"))


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningFirewall, ...]]:
    folder = tmp_path_factory.mktemp("panos")
    with in_thread(folder, *(Device(clock=Clock()) for _ in range(3))) as fronts:
        yield fronts


def behind(serving: tuple[RunningFirewall, ...], *devices: Device) -> list[Api]:
    """These devices, in place of whatever the last test did to the ones there."""
    apis = []
    for running, device in zip(serving, devices, strict=False):
        running.front.device = device
        running.front.calls.clear()
        running.front.most_at_once = 0
        apis.append(Api(RunningFirewall(device, running.front, running.url, running.ca)))
    return apis


# === a pair ===


@pytest.fixture
def pair(serving: tuple[RunningFirewall, ...]) -> tuple[Api, Api, Clock]:
    clock, together = Clock(), Pair(lag_s=30)
    devices = [Device(f"firewall-{one}", serial=one, pair=together, clock=clock) for one in "ab"]
    first, second = behind(serving, *devices)
    return first, second, clock


def synchronised(api: Api) -> str:
    return str(api.op(STATE).xml.findtext("result/group/running-sync"))


def test_a_pair_says_who_is_active_and_only_what_was_committed_goes_over(pair: tuple[Api, Api, Clock]) -> None:
    first, second, clock = pair
    states = [
        (api.op(STATE).xml.findtext("result/group/local-info/state"), api.op(STATE).xml.findtext("result/group/mode"))
        for api in (first, second)
    ]
    assert states == [("active", "Active-Passive"), ("passive", "Active-Passive")]
    first.written(TAG, "<entry name='a'/>")
    first.committed()
    first.written(TAG, "<entry name='b'/>")
    assert synchronised(first) == "synchronization in progress"
    assert second.config("show", TAG).code[0] == "error"
    clock.passes(30)
    assert synchronised(first) == "synchronized"
    assert [tag.get("name") for tag in second.config("show", TAG).found("result/tag")] == ["a"]


def test_the_passive_firewall_refuses_writes_until_it_is_the_active_one(pair: tuple[Api, Api, Clock]) -> None:
    first, second, _ = pair
    for came in (second.config("set", TAG, "<entry name='a'/>"), second("commit", cmd="<commit/>")):
        assert came.code == ("error", "15")
    first.lab("failover")
    assert first.config("set", TAG, "<entry name='a'/>").code == ("error", "15")
    second.written(TAG, "<entry name='a'/>")


def test_a_failover_within_the_lag_loses_the_commit(pair: tuple[Api, Api, Clock]) -> None:
    first, second, clock = pair
    first.written(TAG, "<entry name='a'/>")
    first.committed()
    second.lab("failover")
    clock.passes(60)
    assert second.config("show", TAG).code[0] == "error"


def test_registered_tags_cross_or_do_not(pair: tuple[Api, Api, Clock]) -> None:
    first, second, _ = pair
    entry = '<register><entry ip="10.0.0.{}"><tag><member>t</member></tag></entry></register>'
    first.tell(entry.format(1))
    first.lab("pair", tags_cross=False)
    first.tell(entry.format(2))
    ask = "<show><object><registered-ip><all/></registered-ip></object></show>"
    found = [[one.get("ip") for one in api.op(ask).xml.findall("result/entry")] for api in (first, second)]
    assert found == [["10.0.0.1", "10.0.0.2"], ["10.0.0.1"]]


def test_a_firewall_by_itself_says_that_it_is_in_no_pair(serving: tuple[RunningFirewall, ...]) -> None:
    (alone,) = behind(serving, Device())
    assert alone.op(STATE).text == '<response status="success"><result><enabled>no</enabled></result></response>'


# === Panorama ===


@pytest.fixture
def managed(serving: tuple[RunningFirewall, ...]) -> tuple[Api, Api, Clock]:
    """A Panorama and its firewall, which is in the group DG."""
    clock = Clock()
    firewall = Device("firewall-a", serial="0071", admins=ADMINS, clock=clock)
    panorama = Device("panorama", serial="0072", panorama=True, admins=ADMINS, clock=clock)
    panorama.managed = {"0071": firewall}
    one, other = behind(serving, panorama, firewall)
    one.written(GROUP, "<devices><entry name='0071'/></devices>")
    return one, other, clock


def pushed(
    api: Api, inside: str = "<merge-with-candidate-cfg>no</merge-with-candidate-cfg>", group: str = "<entry name='DG'/>"
) -> Any:
    group = f"<device-group>{group}</device-group>"
    command = f"<commit-all><shared-policy>{group}{inside}</shared-policy></commit-all>"
    came = api("commit", action="all", cmd=command)
    assert came.code == ("success", "19"), came
    return api.job(str(came.xml.findtext("result/job")))


def test_a_push_puts_the_groups_rules_around_the_local_ones(managed: tuple[Api, Api, Clock]) -> None:
    panorama, firewall, _ = managed
    firewall.written(RULES, rule("local"))
    firewall.committed()
    for base, name in (("pre-rulebase", "before"), ("post-rulebase", "after")):
        panorama.written(f"{GROUP}/{base}/security/rules", rule(name) + rule(f"{name}-off", disabled="yes"))
        panorama.written(f"/config/shared/{base}/security/rules", rule(f"shared-{name}"))
    panorama.committed()
    job = pushed(panorama)
    assert (job.findtext("type"), job.findtext("result")) == ("CommitAll", "OK")
    assert job.findtext("devices/entry/serial-no") == "0071"
    order = str(firewall.op("<show><running><security-policy/></running></show>").xml.findtext("result/member"))
    names = [line.partition(";")[0].strip('"') for line in order.splitlines()]
    assert names[:5] == ["shared-before", "before", "local", "after", "shared-after"]
    seen = firewall.config("show", "/config/panorama/vsys/entry[@name='vsys1']/pre-rulebase/security/rules/entry")
    assert [one.get("loc") for one in seen.found("result")] == ["shared", "DG"]
    assert firewall.lab("packet", source="10.0.0.1", destination="10.0.0.2")["rule"] == "shared-before"


def test_a_group_may_be_said_as_older_clients_say_it(managed: tuple[Api, Api, Clock]) -> None:
    panorama, _, _ = managed
    panorama.committed()
    assert pushed(panorama, group="DG").findtext("devices/entry/result") == "OK"


def test_without_a_word_a_push_commits_what_local_admins_left_half_finished(managed: tuple[Api, Api, Clock]) -> None:
    """The vendor's default, which is why it is never left to the default."""
    panorama, firewall, _ = managed
    panorama.committed()
    firewall.written(RULES, rule("half-finished"))
    assert pushed(panorama).findtext("result") == "OK"
    assert firewall.config("show", f"{RULES}/entry").code[0] == "error"
    assert pushed(panorama, "").findtext("result") == "OK"
    assert firewall.config("show", f"{RULES}/entry").code[0] == "success"


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda panorama, firewall: firewall.faults(disconnected=True), "0071 not connected"),
        (
            lambda panorama, firewall: firewall.op("<request><config-lock><add/></config-lock></request>"),
            "Other administrators are holding config or commit locks.",
        ),
        (
            lambda panorama, firewall: panorama.written(f"{GROUP}/pre-rulebase/security/rules", rule("r", to="moon")),
            "'moon' is not a valid reference",
        ),
    ],
)  # fmt: skip
def test_a_push_fails_on_the_target_and_says_why(
    managed: tuple[Api, Api, Clock], harm: Callable[[Api, Api], None], says: str
) -> None:
    panorama, firewall, _ = managed
    harm(panorama, firewall)
    panorama.committed()
    job = pushed(panorama)
    assert (job.findtext("status"), job.findtext("devices/entry/result")) == ("FIN", "FAIL")
    assert any(says in (line.text or "") for line in job.findall("devices/entry/details/msg/errors/line"))
    firewall.faults(disconnected=False)
    assert firewall.config("show", "/config/panorama").code[0] == "error"


def test_a_device_may_be_pending_when_its_job_is_done_and_a_dry_run_changes_nothing(
    managed: tuple[Api, Api, Clock],
) -> None:
    panorama, firewall, clock = managed
    panorama.written(f"{GROUP}/pre-rulebase/security/rules", rule("before"))
    panorama.committed()
    assert pushed(panorama, "<validate-only>yes</validate-only>").findtext("result") == "OK"
    assert firewall.config("show", "/config/panorama").code[0] == "error"
    panorama.faults(device_lag_s=10)
    job = pushed(panorama)
    assert (job.findtext("status"), job.findtext("devices/entry/result")) == ("FIN", "PEND")
    clock.passes(10)
    assert panorama.job(str(job.findtext("id"))).findtext("devices/entry/result") == "OK"


def test_target_leads_to_the_firewall_and_is_ignored_where_the_vendor_ignores_it(
    managed: tuple[Api, Api, Clock],
) -> None:
    panorama, firewall, _ = managed
    info = "<show><system><info/></system></show>"
    assert panorama.op(info, target="0071").xml.findtext("result/system/hostname") == "firewall-a"
    assert panorama.op(info, target="").xml.findtext("result/system/hostname") == "panorama"
    assert panorama("version", target="0071").xml.findtext("result/model") == "Panorama"
    entry = '<register><entry ip="10.0.0.1"><tag><member>t</member></tag></entry></register>'
    assert panorama.tell(entry, target="0071").code[0] == "success"
    ask = "<show><object><registered-ip><all/></registered-ip></object></show>"
    assert [one.get("ip") for one in firewall.op(ask).xml.findall("result/entry")] == ["10.0.0.1"]
    came = panorama.op(info, target="9999")
    assert (came.code, came.said) == (("error", "13"), "9999 not connected")
    connected = panorama.op("<show><devices><connected/></devices></show>").xml
    assert connected.findtext("result/devices/entry/hostname") == "firewall-a"


def test_before_11_0_1_a_new_order_needs_a_full_commit(serving: tuple[RunningFirewall, ...]) -> None:
    (api,) = behind(serving, Device(panorama=True, version="10.2.9", clock=Clock()))
    rules = f"{GROUP}/pre-rulebase/security/rules"
    mine = "<partial><admin><member>stagedoor</member></admin></partial>"
    api.written(rules, rule("a") + rule("b"))
    api.committed(mine)
    api.config("move", f"{rules}/entry[@name='b']", where="top")
    assert api.op("<check><full-commit-required/></check>").said == "yes"
    assert api("commit", cmd=f"<commit>{mine}</commit>").code == ("error", "14")
    assert api.op(f"<revert><config>{mine}</config></revert>").said.startswith("Partial revert is not allowed.")
    api.committed()


# === external lists ===


class Feed(ThreadingHTTPServer):
    """Serves one list; ``answer`` is (status, body)."""

    answer: tuple[int, str] = (200, "")
    asked: int = 0

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up on our certificate is what the test is about."""


class _FeedHandler(BaseHTTPRequestHandler):
    server: Feed

    def do_GET(self) -> None:
        self.server.asked += 1
        status, body = self.server.answer
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def feed() -> Iterator[Feed]:
    server = Feed(("127.0.0.1", 0), _FeedHandler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(WAIT_S)


def listed(api: Api, url: str, extra: str = "") -> None:
    """A list of the running configuration that one rule uses."""
    source = f"<ip><url>{url}</url>{extra}<recurring><five-minute/></recurring></ip>"
    api.written(f"{VSYS1}/external-list", f"<entry name='hosts'><type>{source}</type></entry>")
    api.written(RULES, rule("r", destination="hosts"))
    api.committed()


def reaches(api: Api, address: str) -> bool:
    return bool(api.lab("packet", source="10.9.0.1", destination=address)["allowed"])


def fetched(api: Api) -> dict[str, Any]:
    return dict(api.lab("lists")["lists"]["hosts"])


def test_a_list_is_fetched_every_five_minutes_and_rules_follow_it(
    serving: tuple[RunningFirewall, ...], feed: Feed
) -> None:
    clock = Clock()
    (api,) = behind(serving, Device(clock=clock))
    feed.answer = 200, "# hosts\n10.0.0.1 payments\n10.0.1.0/24\n10.0.2.1-10.0.2.3\nno address\n10.0.0.1\n"
    listed(api, f"http://127.0.0.1:{feed.server_port}/hosts")
    assert fetched(api)["entries"] == ["10.0.0.1", "10.0.1.0/24", "10.0.2.1-10.0.2.3"]
    assert [reaches(api, one) for one in ("10.0.0.1", "10.0.1.9", "10.0.2.2", "10.0.2.4")] == [True, True, True, False]
    feed.answer = 200, "10.0.0.2\n"
    before = feed.asked
    clock.passes(299)
    fetched(api)
    assert feed.asked == before
    clock.passes(1)
    assert fetched(api)["entries"] == ["10.0.0.2"]
    assert not reaches(api, "10.0.0.1")


def test_a_server_in_trouble_keeps_the_last_list_and_a_refused_password_takes_it_out_of_force(
    serving: tuple[RunningFirewall, ...], feed: Feed
) -> None:
    clock = Clock()
    (api,) = behind(serving, Device(clock=clock))
    feed.answer = 200, "10.0.0.1\n"
    listed(api, f"http://127.0.0.1:{feed.server_port}/hosts")
    assert fetched(api)["enforced"]
    for status, enforced in ((503, True), (404, True), (401, False), (503, False), (200, True)):
        feed.answer = status, "10.0.0.1\n"
        clock.passes(300)
        held = fetched(api)
        assert (held["enforced"], reaches(api, "10.0.0.1")) == (enforced, enforced), status
        assert held["entries"] == ["10.0.0.1"]


def test_entries_beyond_the_room_are_left_out_and_the_log_says_so(
    serving: tuple[RunningFirewall, ...], feed: Feed
) -> None:
    (api,) = behind(serving, Device(clock=Clock()))
    api.faults(list_capacity=2)
    feed.answer = 200, "10.0.0.1\n10.0.0.2\n10.0.0.3\n"
    listed(api, f"http://127.0.0.1:{feed.server_port}/hosts")
    assert fetched(api)["entries"] == ["10.0.0.1", "10.0.0.2"]
    assert "1 entries skipped" in api.lab("lists")["log"][-1]


def test_a_certificate_profile_decides_whether_the_server_is_believed(
    serving: tuple[RunningFirewall, ...], tmp_path: Path
) -> None:
    """Here the list is the emulator's own knobs page, behind a certificate of the test's authority."""
    (api,) = behind(serving, Device(clock=Clock()))
    make(tmp_path / "others", "other", "localhost")
    api.firewall.device.lists.authorities = {"ours": api.firewall.ca, "theirs": tmp_path / "others" / "ca.pem"}
    for profile, enforced in (("ours", True), ("theirs", False), ("unknown", False)):
        listed(api, f"{api.firewall.url}/nothing", f"<certificate-profile>{profile}</certificate-profile>")
        api.firewall.device.lists.held["hosts"].fetched_at = float("-inf")
        assert fetched(api)["enforced"] is enforced, profile
    source = f"<ip><url>{api.firewall.url}/nothing</url></ip>"
    api.written(
        f"{VSYS1}/external-list/entry[@name='hosts']", f"<entry name='hosts'><type>{source}</type></entry>", "edit"
    )
    job = api.job(api.commit())
    assert "no certificate profile" in str(job.findtext("warnings/line"))
    api.firewall.device.lists.held["hosts"].fetched_at = float("-inf")
    assert fetched(api)["enforced"]


# === faults, log ===


def test_a_connection_that_ends_before_or_after_the_effect(serving: tuple[RunningFirewall, ...]) -> None:
    (api,) = behind(serving, Device(clock=Clock()))
    api.log_in()
    for when, there in (("before", "7"), ("after", "19")):
        api.faults(next=[{"type": "config", "reset": when}])
        with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
            api.config("set", TAG, "<entry name='a'/>")
        assert api.config("get", f"{TAG}/entry[@name='a']").code == ("success", there)


def test_answers_that_are_cut_slow_or_somebody_elses(serving: tuple[RunningFirewall, ...]) -> None:
    (api,) = behind(serving, Device(clock=Clock()))
    clock = "<show><clock/></show>"
    api.log_in()
    api.faults(next=[{"truncated": True}])
    with pytest.raises(ParseError):
        api.op(clock).xml  # noqa: B018 - reading it is what fails
    api.faults(next=[{"reset": "body"}])
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        api.op(clock)
    busy = {"code": 13, "message": "Timed out while getting config lock. Please try again."}
    api.faults(next=[{"status": 503, "times": 2}, {"type": "op", "text": "clock", **busy}])
    assert [api.op(clock).status for _ in range(2)] == [503, 503]
    assert (api.op(clock).said, api.op(clock).code[0]) == (busy["message"], "success")
    api.faults(slow_s=0.2)
    began = time.monotonic()
    api.op(clock)
    assert time.monotonic() - began >= 0.2


@pytest.mark.parametrize("knobs", [{"weather": 1}, {"slow_s": "1"}, {"hold_jobs": 1}, {"next": [{}]}, {"next": 3}])
def test_a_wrong_knob_is_refused_with_what_there_is_and_turns_nothing(
    serving: tuple[RunningFirewall, ...], knobs: dict[str, Any]
) -> None:
    (api,) = behind(serving, Device())
    with pytest.raises(AssertionError, match="message"):
        api.faults(capacity=5, **knobs)
    assert api.lab("faults", "GET")["capacity"] == 0


def test_the_log_knows_the_key_came_in_a_header_but_not_the_key_and_pages_are_turned_away(
    serving: tuple[RunningFirewall, ...],
) -> None:
    (api,) = behind(serving, Device())
    key = api.log_in()
    api.op("<show><clock/></show>")
    seen = api.lab("calls", "GET")
    last = seen["calls"][-1]
    assert (last["type"], last["admin_known_by"], last["status"]) == ("op", "header", 200)
    assert key not in str(seen)
    assert "lab" not in str(seen["calls"])
    assert seen["most_at_once"] == 1
    assert api.raw("GET", "/_lab/calls", Origin="https://evil.example").status == 403


def test_a_job_under_way_is_lost_in_a_reboot_and_nothing_of_it_runs(serving: tuple[RunningFirewall, ...]) -> None:
    (api,) = behind(serving, Device(clock=Clock()))
    api.faults(job_s=60)
    api.written(TAG, "<entry name='a'/>")
    number = api.commit()
    api.lab("reboot")
    job = api.job(number)
    assert (job.findtext("status"), job.findtext("result")) == ("FIN", "FAIL")
    assert api.config("show", TAG).code[0] == "error"
