"""Writes down, at a node's HTTP edge, what it asks its coordinator and what it is told.

It hears every request that leaves this process by `requests`, so it does not matter what our own
code believes. What is told counts from when the whole answer is there.
"""

import contextlib
import io
import itertools
import json
import threading
from typing import Any, cast
from urllib.parse import urlsplit

import requests
import urllib3
from bson import ObjectId

from tools.chaos_lab.history import EventLog

_TRANSITIONS = ("claim", "renew", "complete", "release", "fail")


class HttpRecorder:
    """Logs each transition, each chunk's audio and each heartbeat that is asked of `url`."""

    def __init__(self, log: EventLog, url: str) -> None:
        self._log = log
        self._url = url
        self._numbers = itertools.count(1)

    def listen(self) -> None:
        """From now on, in this whole process."""
        send = requests.Session.send

        def recorded(
            session: requests.Session, request: requests.PreparedRequest, **options: Any
        ) -> requests.Response:
            asked = self._asked(request)
            numbered = {next(self._numbers): one for one in asked}
            for number, one in numbered.items():
                self._log.write(phase="asked", seq=number, thread=threading.get_ident(), **one)
            try:
                response = send(session, request, **options)
            except BaseException as error:
                for number in numbered:
                    self._log.write(phase="failed", seq=number, why=str(error)[:200])
                raise
            is_renewal = any(one["op"] == "renew" for one in asked)
            lost = _lost(response) if is_renewal else ()
            for number, one in numbered.items():
                status = 409 if str(one.get("chunk")) in lost else response.status_code
                self._log.write(phase="told", seq=number, status=status)
            return response

        setattr(requests.Session, "send", recorded)  # noqa: B010

    def _asked(self, request: requests.PreparedRequest) -> list[dict[str, Any]]:
        url = request.url or ""
        if not url.startswith(self._url):
            return []
        place = urlsplit(url).path.strip("/").split("/")
        if place[0] == "tasks" and place[-1] in _TRANSITIONS:
            told = json.loads(cast("bytes | str", request.body))
            return [
                {
                    "op": place[-1],
                    "worker": told["worker_id"],
                    "chunk": ObjectId(held["chunk_id"]),
                    "claim": ObjectId(held["claim_id"]),
                    "detail": told.get("kind"),
                }
                for held in (told, *(told.get("others") or ()))
            ]
        if place[0] == "chunks":
            return [{"op": "audio", "chunk": ObjectId(place[1].partition(".")[0])}]
        if place[-1] == "heartbeat":
            told = json.loads(cast("bytes | str", request.body))
            return [{"op": "report", "worker": told["worker_id"]}]
        return []


def _lost(response: requests.Response) -> list[str]:
    """The chunks whose claims a renewal did not find."""
    with contextlib.suppress(requests.RequestException, ValueError, AttributeError):
        body = io.BytesIO(response.content)
        response.raw = urllib3.HTTPResponse(body, preload_content=False)  # for the caller to read
        return list(response.json().get("lost", ()))
    return []
