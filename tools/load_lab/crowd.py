"""Nodes, browsers and uploaders of one coordinator, each a thread; what they saw is counted."""

import io
import itertools
import random
import threading
import time
import wave
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import requests
from bson import ObjectId
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from stt.domain.transcript import Segment, Transcript
from stt.errors import ClaimLost, DatabaseUnavailable, SttError
from stt.remote.client import CoordinatorClient

RECORDING_SECONDS = 60
CALL_SECONDS = 2.0
"""How long a node takes for a chunk."""

_RATE = 16_000
_POLL_SECONDS = 25.0
_PAGE = 50
_PIECE = 10_000
_REST_SECONDS = 1.0
_TRIES = 30
_TRIES_OF_A_PAGE = 3
"""As workers do, who then read a new page."""


@dataclass
class Seen:
    """What a crowd saw; `done` are the chunks with the text that a node wrote, by their ids."""

    claim_seconds: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    done: dict[str, str] = field(default_factory=dict)
    uploads: list[str] = field(default_factory=list)


class Crowd:
    """All who use a coordinator. Uploaders stop first, so that nodes can do what is left."""

    def __init__(self, url: str, key: str) -> None:
        self.seen = Seen()
        self._url = url
        self._key = key
        self._numbers = itertools.count()
        self._uploads_end = threading.Event()
        self._ends = threading.Event()
        self._uploaders: list[threading.Thread] = []
        self._others: list[threading.Thread] = []

    @contextmanager
    def at_work(self, nodes: int, browsers: int, uploaders: int, rate: float) -> Iterator[None]:
        """Each uploader sends `rate` bytes a second, one recording after the other."""
        person = CoordinatorClient(self._url, self._key)
        for number in range(nodes):
            joined = person.ask("POST", "/api/nodes", body={"name": f"node {number}"})
            node = _Node(
                CoordinatorClient(self._url, joined["api_key"]),
                joined["node"]["id"],
                self.seen.errors,
            )
            self._start(self._others, self._work, node)
        for _ in range(browsers):
            self._start(self._others, self._watch_pages)
        for _ in range(uploaders):
            self._start(self._uploaders, self._send_recordings, rate)
        try:
            yield
        finally:
            self.stop_uploads()
            self._ends.set()
            for thread in self._others:
                thread.join(2 * _POLL_SECONDS)

    def stop_uploads(self) -> None:
        """Return when those under way are whole."""
        self._uploads_end.set()
        for thread in self._uploaders:
            thread.join()

    def _start(
        self, threads: list[threading.Thread], run: Callable[..., None], *arguments: object
    ) -> None:
        threads.append(threading.Thread(target=run, args=arguments, daemon=True))
        threads[-1].start()

    def _work(self, node: "_Node") -> None:
        while not self._ends.is_set():
            try:
                self._take_one(node)
            except ClaimLost:
                self.seen.errors["a claim was lost"] += 1
            except SttError as error:
                self.seen.errors[f"node: {reason(error)}"] += 1
                self._ends.wait(_REST_SECONDS)

    def _take_one(self, node: "_Node") -> None:
        pending = node.pending()
        for chunk_id in random.sample(pending, min(_TRIES_OF_A_PAGE, len(pending))):
            began = time.perf_counter()
            claim = node.claim(chunk_id)
            self.seen.claim_seconds.append(time.perf_counter() - began)
            if claim is not None:
                self.seen.counts["chunks claimed"] += 1
                text = f"heard in {chunk_id}"
                node.transcribe(*claim, text)
                self.seen.done[chunk_id] = text
                return
            self.seen.counts["another node was first"] += 1

    def _watch_pages(self) -> None:
        """Be a page: read all that comes, and open the socket again where it ends."""
        headers = {"Authorization": f"Bearer {self._key}"}
        url = self._url.replace("http", "ws", 1) + "/ws/dashboard"
        while not self._ends.is_set():
            try:
                with connect(
                    url, additional_headers=headers, compression=None, proxy=None
                ) as socket:
                    self.seen.counts["pages opened"] += 1
                    while not self._ends.is_set():
                        socket.recv(3 * _POLL_SECONDS)
                        self.seen.counts["messages to pages"] += 1
            except (OSError, TimeoutError, WebSocketException) as error:
                self.seen.errors[f"page: {type(error).__name__}"] += 1
                self._ends.wait(_REST_SECONDS)

    def _send_recordings(self, rate: float) -> None:
        while not self._uploads_end.is_set():
            number = next(self._numbers)
            body, content_type = _form(f"recording-{number}.wav", _recording(number))
            try:
                answer = requests.post(
                    f"{self._url}/upload",
                    data=_at_rate(body, rate),
                    headers={"Authorization": f"Bearer {self._key}", "Content-Type": content_type},
                    timeout=120,
                )
                answer.raise_for_status()
                self.seen.uploads += [upload["id"] for upload in answer.json()["uploads"]]
            except requests.RequestException as error:
                self.seen.errors[f"upload: {type(error).__name__}"] += 1
                self._uploads_end.wait(_REST_SECONDS)


@dataclass
class _Node:
    client: CoordinatorClient
    id: str
    errors: Counter[str]
    _was_empty: bool = False

    @property
    def worker(self) -> str:
        return f"{self.id}_1"

    def pending(self) -> list[str]:
        wait = _POLL_SECONDS if self._was_empty else 0
        page = self.client.ask(
            "GET",
            "/tasks/pending",
            query={"worker_id": self.worker, "limit": _PAGE, "wait": wait},
            timeout_seconds=_POLL_SECONDS + 20,
        )
        self._was_empty = not page["chunks"]
        return [chunk["id"] for chunk in page["chunks"]]

    def claim(self, chunk_id: str) -> tuple[dict[str, Any], str] | None:
        """Return the ids of a claim and the path of its audio; None if another was first."""
        held = {"worker_id": self.worker, "chunk_id": chunk_id, "claim_id": str(ObjectId())}
        answer = self._repeated("/tasks/claim", held)
        return None if answer is None else (held, answer["tasks"][0]["audio"])

    def transcribe(self, held: dict[str, Any], audio: str, text: str) -> None:
        self.client.audio(audio)
        time.sleep(CALL_SECONDS)
        transcript = Transcript((Segment(0.0, 0.5, text),), "en", 1.0, "stand-in")
        self._repeated("/tasks/complete", held | {"transcript": asdict(transcript)})

    def _repeated(self, path: str, body: dict[str, Any]) -> Any:
        """Ask until there is an answer, as nodes do while their claim lasts."""
        for _ in range(_TRIES):
            try:
                return self.client.ask("POST", path, body=body)
            except DatabaseUnavailable as error:
                self.errors[f"{path}: {reason(error)}"] += 1
                time.sleep(_REST_SECONDS)
        return self.client.ask("POST", path, body=body)


def reason(error: SttError) -> str:
    """Return the error without the coordinator's address."""
    return (str(error).partition(" (")[2] or str(error)).rstrip(")")


def _recording(number: int) -> bytes:
    """Return a WAV file of noise in bursts, another one for each number."""
    samples = np.random.default_rng(number).normal(0, 3_000, RECORDING_SECONDS * _RATE)
    samples *= np.sin(np.arange(len(samples)) * 2 * np.pi / _RATE / 3) > -0.5
    file = io.BytesIO()
    with wave.open(file, "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(_RATE)
        wav.writeframes(samples.astype("<i2").tobytes())
    return file.getvalue()


def _form(filename: str, data: bytes) -> tuple[bytes, str]:
    request = requests.Request("POST", "http://x", files={"file": (filename, data)}).prepare()
    assert isinstance(request.body, bytes)
    return request.body, request.headers["Content-Type"]


def _at_rate(body: bytes, rate: float) -> Iterator[bytes]:
    for start in range(0, len(body), _PIECE):
        yield body[start : start + _PIECE]
        time.sleep(_PIECE / rate)
