"""HAProxy with `jwt_verify`: it checks the signature on every request, having no cache for it.

Its log goes to the standard output, which is a file here; it has no file log of its own, and writes line by line.
"""

from __future__ import annotations

import shutil

from bench.credentials import public_pem
from bench.ground import AUDIENCE, GATEWAY_CORE, HAPROXY, ISSUER, UPSTREAM, WORK, Missing
from bench.peers import Gateway, started, told_version
from bench.processes import Tree

FOLDER = WORK / "haproxy"

LOG_LINE = (
    """'{"time":"%Ts.%ms","id":"%ID","sub":"%[var(txn.sub)]","method":"%HM","host":"%[capture.req.hdr(0)]","""
    """"path":"%HPO","status":%ST,"bytes":%B,"took":%Ta,"client":"%ci","upstream":"%si:%sp"}'"""
)

CONFIGURATION = """\
global
  nbthread 1
  maxconn 8192
  log stdout format raw local0
  tune.bufsize 32768
defaults
  mode http
  log global
  timeout connect 5s
  timeout client 310s
  timeout server 60s
  timeout http-keep-alive 310s
  log-format @LOG@
  unique-id-format %{+X}o\\ %ci:%cp_%Ts_%rt
frontend door
  bind 127.0.0.1:@PORT@ backlog 4096
  unique-id-header X-Request-Id
  http-request capture req.hdr(host) len 128
  http-request set-var(txn.alg) http_auth_bearer,jwt_header_query('$.alg')
  http-request set-var(txn.iss) http_auth_bearer,jwt_payload_query('$.iss')
  http-request set-var(txn.aud) http_auth_bearer,jwt_payload_query('$.aud')
  http-request set-var(txn.sub) http_auth_bearer,jwt_payload_query('$.sub')
  http-request set-var(txn.exp) http_auth_bearer,jwt_payload_query('$.exp','int')
  http-request set-var(txn.now) date()
  http-request deny deny_status 401 unless { var(txn.alg) -m str RS256 }
  http-request deny deny_status 401 unless { var(txn.iss) -m str @ISSUER@ }
  http-request deny deny_status 401 unless { var(txn.aud) -m str @AUDIENCE@ }
  http-request deny deny_status 401 if { var(txn.exp),sub(txn.now) -m int lt 0 }
  http-request deny deny_status 401 unless { http_auth_bearer,jwt_verify(txn.alg,"@KEY@") 1 }
  http-request deny deny_status 403 unless { method GET HEAD }
  http-request set-header X-User %[var(txn.sub)]
  option forwardfor
  default_backend service
backend service
  http-reuse always
  server one 127.0.0.1:@UPSTREAM@ pool-max-conn 256
"""


def start(token: str) -> Gateway:
    program = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
    if not program:
        raise Missing("haproxy is not installed (Debian: `apt install haproxy`)")
    FOLDER.mkdir(parents=True, exist_ok=True)
    text = CONFIGURATION.replace("@LOG@", LOG_LINE)
    for mark, value in {
        "PORT": HAPROXY, "ISSUER": ISSUER, "AUDIENCE": AUDIENCE, "KEY": public_pem(), "UPSTREAM": UPSTREAM,
    }.items():  # fmt: skip
        text = text.replace(f"@{mark}@", str(value))
    (FOLDER / "haproxy.cfg").write_text(text)
    command = [program, "-db", "-f", str(FOLDER / "haproxy.cfg")]
    tree = started(Tree("haproxy", command, GATEWAY_CORE, FOLDER), HAPROXY, token)
    return Gateway("haproxy", told_version([program, "-v"]).split()[2], tree, {"": HAPROXY})
