"""Whole configurations on the lab's PAN-OS: kept, loaded, compared, brought in as files; certificates and reports."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlencode
from xml.etree.ElementTree import tostring

import pytest

from gateway.lab.panos.admins import DEFAULT, Admin
from gateway.lab.panos.device import Device
from tests.support.panos import VSYS1, Api, Came, Clock, RunningFirewall, in_thread

TAG = f"{VSYS1}/tag"
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


SAVE = "<save><config><to>{}</to></config></save>"
LOAD = "<load><config><from>{}</from></config></load>"
NOT_IN_PART = "Partial {} is not allowed. Full system commit must be completed."


def names_of(api: Api) -> list[str]:
    return [entry.get("name", "") for entry in api.config("get", f"{TAG}/entry").xml.findall("result/entry")]


def test_a_loaded_configuration_takes_everybodys_unfinished_work_and_goes_as_a_whole(api: Api, other: Api) -> None:
    api.written(TAG, "<entry name='saved'/>")
    assert api.op(SAVE.format("night.xml")).said == "Config saved to night.xml"
    other.written(TAG, "<entry name='unfinished'/>")
    assert api.op(LOAD.format("night.xml")).said == "Config loaded from night.xml"
    assert names_of(api) == ["saved"]
    other.written(TAG, "<entry name='after'/>")
    assert api.op("<check><full-commit-required/></check>").said == "yes"
    mine = "<partial><admin><member>stagedoor</member></admin></partial>"
    came = api("commit", cmd=f"<commit>{mine}</commit>")
    assert (came.code, came.said) == (("error", "14"), NOT_IN_PART.format("commit"))
    came = api.op(f"<revert><config>{mine}</config></revert>")
    assert (came.code, came.said) == (("error", "14"), NOT_IN_PART.format("revert"))
    api.committed()
    assert names_of(api) == ["saved", "after"]
    assert api.op("<check><full-commit-required/></check>").said == "no"


def test_a_loaded_configuration_is_taken_back_as_a_whole(api: Api, other: Api) -> None:
    api.written(TAG, "<entry name='saved'/>")
    api.op(SAVE.format("night.xml"))
    api.op(LOAD.format("running-config.xml"))
    assert names_of(api) == []
    api.op("<load><config><last-saved/></config></load>")
    assert names_of(api) == ["saved"]
    other.written(TAG, "<entry name='after'/>")
    api.op("<revert><config/></revert>")
    assert names_of(api) == [] and api.op("<check><pending-changes/></check>").said == "no"


def test_under_somebody_elses_lock_nothing_is_loaded(api: Api, other: Api) -> None:
    api.op(SAVE.format("night.xml"))
    other.op("<request><config-lock><add/></config-lock></request>", vsys="vsys1")
    for what in ("<from>night.xml</from>", "<last-saved/>", "<from>running-config.xml</from>", "<version>1</version>"):
        assert api.op(f"<load><config>{what}</config></load>").said == "Configuration is locked by other"


def test_a_saved_configuration_is_shown_and_deleted_by_its_name(api: Api) -> None:
    api.op(SAVE.format("night.xml"))
    assert api.op("<show><config><saved>night.xml</saved></config></show>").xml.find("result/config") is not None
    assert api.op("<delete><config><saved>night.xml</saved></config></delete>").code[0] == "success"
    for cmd in (LOAD.format("night.xml"), "<load><config><version>9</version></config></load>"):
        assert api.op(cmd).code == ("error", "7")
    assert api.op(SAVE.format("../night.xml")).code == ("error", "12")


def test_running_and_candidate_differ_by_what_waits(api: Api) -> None:
    assert api.op("<show><config><diff/></config></show>").said == ""
    api.written(TAG, "<entry name='a'/>")
    lines = [line.strip("+ ") for line in api.op("<show><config><diff/></config></show>").said.splitlines()[3:]]
    assert '<entry name="a" />' in lines
    found = {
        which: api.op(f"<show><config><{which}/></config></show>").xml.find("result/config//tag/entry")
        for which in ("running", "candidate", "merged")
    }
    assert [which for which, entry in found.items() if entry is not None] == ["candidate", "merged"]


# === files and reports ===


def sent(api: Api, content: bytes, name: str, **parameters: str) -> Came:
    """As clients do: a boundary of base64, longer than mail allows, without quotes."""
    boundary = "_" * 16 + "B2jf+AnAb/" * 7
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
    body = f"{head}Content-Type: application/octet-stream\r\n\r\n".encode() + content + f"\r\n--{boundary}--".encode()
    query = urlencode({"type": "import", **parameters})
    kind = f"multipart/form-data; boundary={boundary}"
    return api.raw("POST", f"/api/?{query}", body.decode("latin-1"), Content_Type=kind, X_PAN_KEY=api.log_in())


def test_a_configuration_is_imported_under_its_name_and_loaded(api: Api) -> None:
    whole = api.config("show").xml.find("result/config")
    assert whole is not None
    text = tostring(whole).replace(b"<hostname>firewall<", b"<hostname>imported<")
    assert sent(api, text, "brought.xml", category="configuration").said == "brought.xml saved"
    assert api.op(LOAD.format("brought.xml")).code[0] == "success"
    held = api.config("get", "/config/devices/entry/deviceconfig/system/hostname").xml
    assert held.findtext("result/hostname") == "imported"
    assert sent(api, b"<other/>", "other.xml", category="configuration").code == ("error", "12")


def test_a_certificate_comes_in_by_name_and_goes_out_as_a_file(api: Api) -> None:
    text = api.firewall.ca.read_bytes()
    how = {"category": "certificate", "certificate-name": "House", "format": "pem"}
    assert sent(api, text, "house.pem", **how).code[0] == "success"
    assert api.config("get", "/config/shared/certificate/entry[@name='House']").code == ("success", "19")
    came = api("export", **how)
    assert (came.status, came.kind, came.body.split()) == (200, "application/octet-stream", text.split())
    assert sent(api, b"no certificate", "house.pem", **how).code == ("error", "12")
    assert api("export", **{**how, "certificate-name": "Other"}).code == ("error", "7")


def test_a_report_is_a_job_and_empty(api: Api) -> None:
    how = {"reporttype": "dynamic", "reportname": "top-applications-summary", "period": "last-hour"}
    number = api("report", **how).xml.findtext("result/job") or ""
    report = api("report", **{"action": "get", "job-id": number}).xml.find("result/report")
    assert report is not None and len(report) == 0
    assert int(report.get("end-epoch", 0)) - int(report.get("start-epoch", 0)) == 3599
    assert api("report", **{**how, "reportname": "other"}).code == ("error", "17")


@pytest.mark.parametrize("body", ["", "--x\r\n\r\n--x--", "no form"])
def test_an_upload_without_a_file_is_400(api: Api, body: str) -> None:
    came = api.raw(
        "POST", "/api/?type=import&category=configuration", body, Content_Type="multipart/form-data; boundary=x"
    )
    assert came.status == 400


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("report", {"action": "get", "job-id": "9" * 5000}),
        ("log", {"action": "get", "job-id": "9" * 5000}),
        ("log", {"log-type": "config", "nlogs": "9" * 5000}),
        ("op", {"cmd": f"<show><jobs><id>{'9' * 5000}</id></jobs></show>"}),
        ("op", {"cmd": f"<show><config><audit><version>{'9' * 5000}</version></audit></config></show>"}),
        ("op", {"cmd": f"<show><object><registered-ip><limit>{'9' * 5000}</limit></registered-ip></object></show>"}),
        ("config", {"action": "get", "xpath": f"/config/devices/entry[{'9' * 5000}]"}),
    ],
    ids=["report", "search", "lines", "job", "version", "page", "place"],
)
def test_a_number_of_any_length_is_answered(api: Api, kind: str, said: dict[str, str]) -> None:
    assert api(kind, **said).xml.get("status") in ("error", "success")
