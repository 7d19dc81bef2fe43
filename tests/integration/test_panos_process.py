"""`python -m gateway.lab.panos` as a process: it says where it is, answers over TLS, and ends when it is told to."""

from __future__ import annotations

import http.client
import json
import re
import signal
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.certificates import make
from tests.support.panos import WAIT_S
from tests.support.ports import free_port

COMMAND = [sys.executable, "-m", "gateway.lab.panos"]


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_pair_under_a_panorama_comes_up_answers_and_ends(tmp_path: Path) -> None:
    certificate, _ = make(tmp_path / "certs", "panos", "localhost", "127.0.0.1")
    ports = [free_port() for _ in range(3)]
    options = ["--port", "--peer-port", "--panorama-port"]
    said = [word for option, port in zip(options, ports, strict=True) for word in (option, str(port))]
    process = subprocess.Popen(
        [*COMMAND, *said, "--certs", str(certificate.parent)],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in ports]
        assert [re.findall(r":(\d+)$", line.strip()) for line in lines] == [[str(port)] for port in ports]
        tls = ssl.create_default_context(cafile=str(certificate.parent / "ca.pem"))
        for port, model in zip(ports, ("PA-VM-300", "PA-VM-300", "Panorama"), strict=True):
            connection = http.client.HTTPSConnection("127.0.0.1", port, context=tls, timeout=WAIT_S)
            connection.request("GET", "/api/?type=version", headers={"Authorization": "Basic YWRtaW46YWRtaW4="})
            body = connection.getresponse().read().decode()
            connection.close()
            assert f"<model>{model}</model>" in body
        long = http.client.HTTPSConnection("127.0.0.1", ports[0], context=tls, timeout=WAIT_S)
        long.request("GET", f"/api/?key={'k' * 9000}")
        assert long.getresponse().status == 400
        long.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_S) == 0
        assert process.stderr is not None
        assert process.stderr.read() == "", "a key in a query never reaches the terminal"
    finally:
        process.kill()
        process.wait(WAIT_S)
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_firewall_comes_up_as_it_was_furnished(tmp_path: Path) -> None:
    certificate, _ = make(tmp_path / "certs", "panos", "localhost", "127.0.0.1")
    (tmp_path / "edge.xml").write_text("<config><shared><tag><entry name='from-a-file'/></tag></shared></config>")
    (tmp_path / "edge.key").write_text("a-key-of-long-ago\n")
    port = free_port()
    words = ["--port", str(port), "--certs", str(certificate.parent), "--configuration", str(tmp_path / "edge.xml")]
    words += ["--key", f"stagedoor={tmp_path / 'edge.key'}", "--person", "203.0.113.7=corp\\jane"]
    process = subprocess.Popen([*COMMAND, *words], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(2)][1] == "ready\n"
        tls = ssl.create_default_context(cafile=str(certificate.parent / "ca.pem"))
        connection = http.client.HTTPSConnection("127.0.0.1", port, context=tls, timeout=WAIT_S)
        path = "/api/?type=config&action=show&xpath=/config/shared/tag"
        connection.request("GET", path, headers={"X-PAN-KEY": "a-key-of-long-ago"})
        assert b'name="from-a-file"' in connection.getresponse().read()
        connection.request("GET", "/_lab/view")
        assert json.loads(connection.getresponse().read())["people"] == {"203.0.113.7": "corp\\jane"}
        connection.close()
    finally:
        process.kill()
        process.wait(WAIT_S)
        if process.stdout is not None:
            process.stdout.close()


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_what_is_missing_is_said_in_one_line_with_what_to_do(tmp_path: Path) -> None:
    certificate, _ = make(tmp_path / "certs", "panos", "localhost", "127.0.0.1")
    here = ["--port", "1", "--certs", str(certificate.parent)]
    for words, says in (
        (["--port", "1", "--certs", str(tmp_path)], "certs/make.py"),
        (["--port", "1", "--certs", str(tmp_path), "--address", "0.0.0.0"], "not within 127.0.0.0/8"),
        (["--certs", str(tmp_path)], "--port"),
        ([*here, "--key", "stagedoor=/nowhere"], "--key stagedoor=/nowhere: No such file"),
        ([*here, "--person", "everywhere=jane"], "--person everywhere=jane"),
        ([*here, "--person", "jane"], "is not NAME=VALUE"),
        ([*here, "--configuration", "/nowhere"], "--configuration /nowhere"),
    ):
        ended = subprocess.run([*COMMAND, *words], capture_output=True, text=True, timeout=WAIT_S, check=False)
        assert ended.returncode != 0
        assert says in ended.stderr
        assert "Traceback" not in ended.stderr
