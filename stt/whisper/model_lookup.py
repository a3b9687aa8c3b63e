"""Which models whisper servers can load, as they say themselves."""

import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import quote

import requests
from urllib3.exceptions import HTTPError

from stt.domain.chunk import SPEAKERS
from stt.system.http import read_json
from stt.whisper.client import WhisperClient
from stt.whisper.model_names import is_about_model
from stt.whisper.server_state import Listing, ServerState
from stt.whisper.verbose_json import FORMAT_ERRORS

_TIMEOUT_SECONDS = 3.0
_KEEP_SECONDS = 30.0
_MAX_NAME = 200


@dataclass(frozen=True, slots=True)
class MissingModels:
    """The models that no server that is well has; one that is away may have those of `away`."""

    names: frozenset[str] = frozenset()
    away: frozenset[str] = frozenset()


class ModelLookup:
    """Finds out which models are missing. The servers are guarded by `lock`; safe between threads.

    The servers are asked for one model each, so that a name means to us what it means to them.
    """

    def __init__(self, servers: Sequence[ServerState], lock: threading.Lock) -> None:
        self._servers = servers
        self._lock = lock

    def missing(self, wanted: Iterable[str]) -> MissingModels:
        """Return which of these models are missing, and those that calls were refused for.

        None while no server is well. Ask the servers, each for a model once in half a minute.
        """
        with self._lock:
            healthy = [server for server in self._servers if server.is_healthy]
            away = [s for s in self._servers if not (s.is_healthy or s.is_set_aside)]
            names = {*wanted, *(name for server in healthy for name in server.lacking())}
        for server in healthy if names else ():
            for name in names:
                self._ask(server, name)
        with self._lock:
            gone = {name for name in names if healthy and all(s.lacks(name) for s in healthy)}
            hoped = {name for name in gone if not all(server.lacks(name) for server in away)}
        return MissingModels(frozenset(gone), frozenset(hoped))

    def listed(self) -> Listing:
        """Return what the servers which are well list; ask each once in half a minute."""
        with self._lock:
            healthy = [server for server in self._servers if server.is_healthy]
        for server in healthy:
            if time.monotonic() >= server.listed_until:
                server.listed = read_listing(server.client)
                server.listed_until = time.monotonic() + _KEEP_SECONDS
        found = [server.listed for server in healthy]
        return _together(found)

    def _ask(self, server: ServerState, name: str) -> None:
        with self._lock:
            if server.lacks(name) is not None:
                return
        is_lacking = lacks_model(server.client, name)
        with self._lock:
            server.learned(name, lacks=is_lacking, until=time.monotonic() + _KEEP_SECONDS)


def lacks_model(client: WhisperClient, model: str) -> bool:
    """Return whether the server says that it cannot load a model, or find speakers.

    One that does not answer, or knows no `GET /v1/models/MODEL`, may have it. A name that would
    lead to another path is not asked for.
    """
    if model == SPEAKERS:
        return read_listing(client).finds_speakers is False
    if {".", ".."} & set(model.split("/")):
        return False
    path = f"/v1/models/{quote(model)}"
    try:
        answer = client.request("GET", path, _TIMEOUT_SECONDS, _TIMEOUT_SECONDS)
    except (requests.RequestException, HTTPError):
        return False
    if answer.status not in (400, 404):
        return False
    error = client.error_object(answer.body)
    message = str(error.get("message"))
    for echo in (path, f"/v1/models/{model}"):  # a server that knows no such path may repeat it
        message = message.replace(echo, "")
    return is_about_model(answer.status, {**error, "message": message}, model)


def read_listing(client: WhisperClient) -> Listing:
    """Return what the server says that it can do.

    A server that says of its models which are loaded lists others too, which it has to be started
    with.
    """
    try:
        answer = client.request("GET", "/v1/models", _TIMEOUT_SECONDS, _TIMEOUT_SECONDS)
        listed = read_json(answer.body)["data"] if answer.status == 200 else []
        loaded = [model for model in listed if model.get("loaded", True)]
        names = tuple(str(model["id"])[:_MAX_NAME] for model in loaded)
        return Listing(names, _any(model.get("speakers") for model in loaded))
    except (requests.RequestException, HTTPError, *FORMAT_ERRORS):
        return Listing()


def _together(found: Sequence[Listing]) -> Listing:
    names = {name for one in found for name in one.models}
    models = tuple(sorted(names)) if all(one.models for one in found) else ()
    return Listing(models, _any(one.finds_speakers for one in found))


def _any(answers: Iterable[object]) -> bool | None:
    """Return True if one of them is, False if all are, None if that is unknown."""
    given = list(answers)
    if True in given:
        return True
    return False if given and all(answer is False for answer in given) else None
