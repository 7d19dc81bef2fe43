"""A signed hint over HTTP: what a Backstage catalog shows is in force at once, long before the node would look itself.

It brings nothing: whatever its body says, the catalog alone is believed.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from gateway.control.api.signatures import key_of, signature_of
from tests.support.central import SECRET, CentralNode, central_node
from tests.support.door import until
from tests.support.fake_catalog import FakeCatalog, fake_catalog

POLL_S = 300.0
ECHO = {"method": "GET", "url": "https://echo.test/"}


@pytest.fixture
def followed(tmp_path: Path) -> Iterator[tuple[CentralNode, FakeCatalog]]:
    """The node's own entities come from a Backstage that it looks at every five minutes, the others from files."""
    with central_node(tmp_path) as central:
        documents = list(yaml.safe_load_all((tmp_path / "catalog" / "all.yaml").read_text()))
        with fake_catalog(*documents) as catalog:
            (tmp_path / "token").write_text(catalog.token)
            (tmp_path / "token").chmod(0o600)
            file = tmp_path / "stagedoor.yaml"
            settings = yaml.safe_load(file.read_text())
            backstage = {"name": "main", "url": catalog.url, "token_file": "token"}
            backstage |= {"poll": f"{POLL_S:g}s", "full": "1h", "definitions": "1h"}
            everybody = ["main", "files"]
            settings["catalog"] = {
                "files": ["more"], "backstage": [backstage], "origins": {"users": everybody, "groups": everybody},
                "sync_secret_file": "sync.secret",
            }  # fmt: skip
            file.write_text(yaml.safe_dump(settings))
            central.node.process.send_signal(signal.SIGHUP)
            until(lambda: 'stagedoor_catalog_reachable{catalog="main"} 1.0' in central.node.metrics(), 20)
            yield central, catalog


def test_a_signed_hint_has_a_change_in_force_at_once(followed: tuple[CentralNode, FakeCatalog]) -> None:
    central, catalog = followed
    assert central.ask("explain", "joe", ECHO).json["decision"] == "permit"
    echo = catalog.entities["component:default/echo"]
    annotations = {**echo["metadata"]["annotations"], "stagedoor.dev/access": "owners"}
    catalog.put({**echo, "metadata": {**echo["metadata"], "annotations": annotations}})
    at, body = str(int(time.time())), json.dumps({"ref": "component:default/echo", "access": "everyone"}).encode()
    headers = {
        "Webhook-Id": "a-change-of-echo",
        "Webhook-Timestamp": at,
        "Webhook-Signature": signature_of(key_of(SECRET), "a-change-of-echo", at, body),
    }
    hint = central.ask("catalog/sync", None, {"catalog": "main"}, method="POST", body=body, headers=headers)
    assert (hint.status, hint.json) == (202, {"catalogs": ["main"]})
    said = time.monotonic()
    until(lambda: central.ask("explain", "joe", ECHO).json["reason"] == "no_rule", 10)
    assert time.monotonic() - said < 5.0 < POLL_S
    other = central.ask("catalog/sync", "root", {"catalog": ["main", "other"]}, method="POST")
    assert (other.status, other.json["code"]) == (404, "catalog_unknown")
