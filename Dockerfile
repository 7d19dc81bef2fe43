# Stagedoor's image. It is linted by tests/house/test_container.py and was not built by the project's own CI, which has
# no container engine: the first build is yours, and `docker run --rm IMAGE version` is its smallest proof.
#
#   docker build -t stagedoor .
#   docker run --read-only --tmpfs /tmp --cap-drop ALL -v state:/var/lib/stagedoor \
#       -v "$PWD/etc:/etc/stagedoor:ro" -p 8443:8443 stagedoor
#
# The process runs as 10001:10001, which must be able to write the volume /var/lib/stagedoor (`state.folder`) and to
# read the keys that the configuration names. Nothing else is written. Sign images, and pin the bases by digest,
# where you build them.

FROM python:3.11.14-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
# The hot path is compiled; the compiler stays behind in this stage.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
RUN python -m venv /opt/stagedoor
COPY pyproject.toml setup.py constraints.txt README.md LICENSE ./
COPY policy policy
COPY gateway gateway
RUN /opt/stagedoor/bin/pip install -c constraints.txt '.[server]' \
    && /opt/stagedoor/bin/pip uninstall --yes pip setuptools \
    && /opt/stagedoor/bin/python -m compileall -q /opt/stagedoor/lib

FROM python:3.11.14-slim-bookworm
LABEL org.opencontainers.image.title="Stagedoor" \
      org.opencontainers.image.description="Identity-aware reverse proxy for the services of a Backstage catalog" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/opt/stagedoor/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
COPY --from=build /opt/stagedoor /opt/stagedoor
RUN install -d -o 10001 -g 10001 -m 0700 /var/lib/stagedoor
VOLUME ["/var/lib/stagedoor"]
USER 10001:10001
WORKDIR /var/lib/stagedoor
EXPOSE 8443
# The admin listener is on loopback by default; /livez says whether the roles are there, not whether upstreams are.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:9440/livez', timeout=2)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["stagedoor"]
CMD ["serve", "--config", "/etc/stagedoor/stagedoor.yaml"]
