"""The doctor asks each Backstage as the engine would: what looks well and is not gets its name and its fix."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import config
from gateway.config.sources import Backstage
from gateway.doctor import catalogs
from gateway.doctor.examination import examine
from gateway.doctor.lines import Line
from gateway.egress.look_ups import Names
from tests.support.catalogs import people, service, settings
from tests.support.certificates import make
from tests.support.fake_catalog import FakeCatalog, fake_catalog, said
from tests.support.ports import free_port


@pytest.fixture
def catalog() -> Iterator[FakeCatalog]:
    with fake_catalog(*people("team"), service("a")) as made:
        yield made


@pytest.fixture
def backstage(catalog: FakeCatalog, tmp_path: Path) -> Backstage:
    made = said(catalog, tmp_path)
    Path(made.token_file).chmod(0o600)
    return made


def examined(backstage: Backstage) -> list[Line]:
    async def run() -> list[Line]:
        return list(await catalogs.catalog(backstage, Names()))

    return asyncio.run(run())


def test_a_catalog_that_is_well(backstage: Backstage) -> None:
    (line,) = examined(backstage)
    assert (line.check, line.subject, line.verdict) == ("catalog", "catalog main", "OK")
    assert line.found.startswith("3 entities in ")


def test_a_good_answer_with_nothing_in_it_fails(catalog: FakeCatalog, backstage: Backstage) -> None:
    catalog.blind = True
    (line,) = examined(backstage)
    assert line.verdict == "FAIL"
    assert "200 and shows no entity" in line.found
    assert "`catalog.entity.read`" in line.fix


@pytest.mark.parametrize("kind", ["user", "group", "component"])
def test_a_catalog_without_people_or_services_is_odd(catalog: FakeCatalog, backstage: Backstage, kind: str) -> None:
    catalog.remove(*[ref for ref in catalog.entities if ref.startswith(kind)])
    (line,) = examined(backstage)
    assert line.verdict == "WARN"
    assert f"none of kind {kind}" in line.found


@pytest.mark.parametrize(
    ("status", "found", "fix"),
    [
        (401, "does not know the token", "backend.auth.externalAccess"),
        (403, "may not read catalogs", "accessRestrictions"),
        (404, "there is no catalog", "backend.baseUrl"),
        (500, "it is not well", "log"),
    ],
)
def test_what_is_refused_is_told_with_its_fix(
    catalog: FakeCatalog, backstage: Backstage, status: int, found: str, fix: str
) -> None:
    catalog.status = status
    (line,) = examined(backstage)
    assert line.verdict == "FAIL"
    assert found in line.found
    assert fix in line.fix
    assert "secret words" not in str(line)


def test_a_page_in_front_of_the_catalog_is_told(catalog: FakeCatalog, backstage: Backstage) -> None:
    catalog.content_type = "text/html"
    (line,) = examined(backstage)
    assert (line.verdict, "sign-in page" in line.fix) == ("FAIL", True)


def test_an_unreachable_catalog_and_an_unknown_name_fail(tmp_path: Path) -> None:
    for url in (f"http://127.0.0.1:{free_port()}", "http://no-such-host.invalid"):
        line = examined(said(url, tmp_path))[0]
        assert line.verdict == "FAIL"
        assert "cannot be reached" in line.found
        assert line.fix


def test_tls_is_verified_with_the_operators_authorities(tmp_path: Path) -> None:
    certificate, key = make(tmp_path / "tls", "catalog", "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with fake_catalog(*people("team"), service("a"), tls=context) as catalog:
        (untrusted, *_) = examined(said(catalog, tmp_path))
        assert untrusted.verdict == "FAIL"
        assert "TLS cannot be trusted" in untrusted.found
        assert "`ca`" in untrusted.fix
        assert catalog.calls == []
        (trusted, *_) = examined(said(catalog, tmp_path, ca=str(certificate.with_name("ca.pem"))))
        assert trusted.verdict == "OK"


def test_a_token_that_others_can_read_is_told_even_when_the_catalog_is_away(
    catalog: FakeCatalog, backstage: Backstage
) -> None:
    Path(backstage.token_file).chmod(0o644)
    assert [line.verdict for line in examined(backstage)] == ["OK", "WARN"]
    catalog.status = 500
    lines = examined(backstage)
    assert [line.verdict for line in lines] == ["FAIL", "WARN"]
    assert lines[1].fix == f"run `chmod 600 {backstage.token_file}`"


@pytest.mark.parametrize(("date", "said_of_it"), [("Thu, 01 Jan 2026 00:00:00 GMT", "ahead of"),
                                                  ("Fri, 01 Jan 2100 00:00:00 GMT", "behind")])  # fmt: skip
def test_a_clock_that_is_wrong_is_told(catalog: FakeCatalog, backstage: Backstage, date: str, said_of_it: str) -> None:
    catalog.date = date
    lines = examined(backstage)
    assert [line.verdict for line in lines] == ["OK", "WARN"]
    assert f"s {said_of_it} the catalog's" in lines[1].found
    catalog.date = "no date"
    assert [line.verdict for line in examined(backstage)] == ["OK"]


def test_before_the_first_reading_nothing_is_known_of_what_is_published(backstage: Backstage, tmp_path: Path) -> None:
    async def run(configured: config.Settings) -> list[Line]:
        return [line async for lines in examine(configured) for line in lines if line.check == "catalog"]

    configured = settings(
        tmp_path, catalog=config.Catalog(backstage=(backstage,)), admin_address=f"127.0.0.1:{free_port()}"
    )  # fmt: skip
    lines = asyncio.run(run(configured))
    assert [(line.subject, line.verdict) for line in lines] == [("catalog main", "OK"), ("files", "WARN")]
    assert "has read no catalog yet" in lines[1].found
