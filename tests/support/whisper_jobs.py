"""Jobs of a whisper server, as a client sees them."""

from typing import Any

import requests

from tests.support.pace import until
from tests.support.whisper_stand_in import Running


def get_json(server: Running, path: str) -> dict[str, Any]:
    response = requests.get(server.url + path, timeout=60)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def ended(server: Running, path: str) -> dict[str, Any]:
    until(lambda: get_json(server, path)["status"] in {"done", "failed"})
    return get_json(server, path)
