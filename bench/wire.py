"""The few requests the bench itself makes: is a gateway there, does it let the token in, what do its metrics say."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Mapping
from pathlib import Path

from bench.ground import DOMAIN


def fetch(port: int, path: str, headers: Mapping[str, str] = {}, ca: Path | None = None) -> tuple[int, bytes]:
    """(status, body), or (0, reason) when nobody answers."""
    context = ssl.create_default_context(cafile=str(ca)) if ca else None
    if context:
        context.check_hostname = False  # the address is a number; the chain is what is checked
    connection = (
        http.client.HTTPSConnection("127.0.0.1", port, timeout=5, context=context)
        if context
        else http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    )
    try:
        connection.request("GET", path, headers={"Host": f"svc-00000.{DOMAIN}", **headers})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except OSError as error:
        return 0, str(error).encode()
    except http.client.HTTPException as error:
        return 0, repr(error).encode()
    finally:
        connection.close()


def answers(port: int, path: str, token: str = "", ca: Path | None = None) -> bool:
    """Whether the whole way works: 200 for ``path`` with ``token``."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return fetch(port, path, headers, ca)[0] == 200
