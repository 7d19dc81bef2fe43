"""nginx as a plain reverse proxy: no token check, so it is the price of proxying alone."""

from __future__ import annotations

import shutil

from bench.ground import GATEWAY_CORE, NGINX, UPSTREAM, WORK, Missing
from bench.peers import Gateway, started, told_version
from bench.processes import Tree
from bench.traffic import SOCKET

FOLDER = WORK / "nginx"

CONFIGURATION = f"""\
daemon off;
worker_processes 1;
pid {FOLDER}/pid;
error_log {FOLDER}/error.log warn;
events {{ worker_connections 16384; }}
http {{
  log_format json escape=json '{{"time":"$time_iso8601","id":"$request_id","method":"$request_method","host":"$host",'
    '"path":"$uri","status":$status,"bytes":$bytes_sent,"took":$request_time,"client":"$remote_addr",'
    '"upstream":"$upstream_addr"}}';
  access_log {FOLDER}/access.log json buffer=64k flush=1s;
  client_body_temp_path {FOLDER}/body;
  proxy_temp_path {FOLDER}/proxy;
  fastcgi_temp_path {FOLDER}/fastcgi;
  uwsgi_temp_path {FOLDER}/uwsgi;
  scgi_temp_path {FOLDER}/scgi;
  keepalive_timeout 310s;
  keepalive_requests 1000000000;
  large_client_header_buffers 4 32k;
  upstream service {{
    server 127.0.0.1:{UPSTREAM};
    keepalive 256;
    keepalive_requests 1000000000;
  }}
  server {{
    listen 127.0.0.1:{NGINX} backlog=4096;
    location {SOCKET} {{
      proxy_pass http://service;
      proxy_http_version 1.1;
      proxy_set_header Connection upgrade;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Host $host;
      proxy_set_header X-Request-Id $request_id;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_read_timeout 1h;
    }}
    location / {{
      proxy_pass http://service;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_set_header X-Request-Id $request_id;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_buffers 16 64k;
      proxy_max_temp_file_size 0;
    }}
  }}
}}
"""


def start(token: str) -> Gateway:
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if not program:
        raise Missing("nginx is not installed (Debian: `apt install nginx-light`)")
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "access.log").unlink(missing_ok=True)
    (FOLDER / "nginx.conf").write_text(CONFIGURATION)
    version = told_version([program, "-v"]).rpartition("/")[2]
    command = [program, "-p", str(FOLDER), "-c", str(FOLDER / "nginx.conf"), "-e", str(FOLDER / "error.log")]
    tree = started(Tree("nginx", command, GATEWAY_CORE, FOLDER), NGINX, token)
    return Gateway("nginx", version, tree, {"": NGINX}, "worker process")
