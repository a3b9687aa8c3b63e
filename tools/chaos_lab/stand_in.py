"""A whisper server whose words name the chunk and the call, and which misbehaves when told to.

    python -m tools.chaos_lab.stand_in --port 8090 --name stand-in-1 --log calls.jsonl

Speaks just enough of the real server's HTTP: `/ready` and `/v1/audio/transcriptions`. It knows the
chunks by the barcodes that it hears in an upload, however many were joined. `PUT /mood` says how,
and how fast, it answers from now on, and tells how many answers its last mood was met by. What it
did is in its log before anybody can have got the answer.
"""

import argparse
import contextlib
import itertools
import json
import os
import random
import re
import threading
import time
import uuid
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from stt.errors import BadAudio
from stt.media.audio import decode
from tools.chaos_lab import barcode
from tools.chaos_lab.history import EventLog
from tools.chaos_lab.stand_in_words import MODEL, Call, transcript_of

GOOD_MOOD = "good"
_RETRY_AFTER_SECONDS = 1
_HANG_LOOK_SECONDS = 0.05
# The poisons of chunks, the strongest first, and the status that each is answered with.
_POISONS = ("killer", "fault", "refused")


@dataclass(frozen=True)
class Pace:
    """How long a call takes: mostly between `shortest` and `longest`, sometimes `slow` seconds."""

    shortest: float
    longest: float
    slow: float
    slow_share: float

    def draw(self, rng: random.Random) -> float:
        if rng.random() < self.slow_share:
            return self.slow
        return rng.uniform(self.shortest, self.longest)


@dataclass
class Mood:
    """How it answers, for at most `times` answers; `met` have got it so far."""

    name: str = GOOD_MOOD
    times: int | None = None
    met: int = 0


class StandIn(ThreadingHTTPServer):
    """The server; each instance has an id of its own, as the real one has."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, name: str, log: EventLog, poisons: dict[int, str]) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.instance = uuid.uuid4().hex[:8]
        self.capacity = 4
        self.pace = Pace(0.0, 0.0, 0.0, 0.0)
        self.rng = random.Random(0)
        self._name = name
        self._log = log
        self._poisons = poisons
        self._mood = Mood()
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)

    def next_call(self, worker: str, upload: bytes) -> Call:
        try:
            numbers = barcode.decode(decode(upload))
        except BadAudio:
            numbers = [None]
        return Call(f"{self.instance}-{next(self._numbers)}", worker, tuple(numbers))

    def turn(self, mood: Mood) -> Mood:
        """Takes on another mood; returns the one before."""
        with self._lock:
            self._mood, before = mood, self._mood
            return before

    def mood(self) -> str:
        """The mood that an answer of this moment has to show."""
        with self._lock:
            mood = self._mood
            if mood.name == GOOD_MOOD or mood.met == mood.times:
                return GOOD_MOOD
            mood.met += 1
            return mood.name

    def wait_while_it_hangs(self) -> None:
        while self._mood.name == "hang":
            time.sleep(_HANG_LOOK_SECONDS)

    def poison_of(self, call: Call) -> str | None:
        found = {self._poisons.get(number) for number in call.numbers if number is not None}
        return next((poison for poison in _POISONS if poison in found), None)

    def work(self) -> None:
        with self._lock:
            seconds = self.pace.draw(self.rng)
        time.sleep(seconds)

    def note_hanging(self) -> None:
        """An event of no chunk and no call, which will have one of their own when it ends."""
        self._log.write(server=self._name, call=None, chunk=None, outcome="hang")

    def note(self, call: Call, outcome: str) -> None:
        """One event for each chunk of the call."""
        for number in call.numbers:
            self._log.write(
                t=call.asked,
                until=time.monotonic(),
                server=self._name,
                instance=self.instance,
                call=call.id,
                chunk=number,
                worker=call.worker,
                outcome=outcome,
            )


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: StandIn

    def do_GET(self) -> None:
        ready = {"status": "ready", "capacity": self.server.capacity, "model": MODEL}
        self._answer(200, ready | {"instance": self.server.instance})

    def do_PUT(self) -> None:
        told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if "pace" in told:
            self.server.pace = Pace(*told["pace"])
        before = self.server.turn(Mood(told.get("mood", GOOD_MOOD), told.get("times")))
        self._answer(200, {"mood": before.name, "met": before.met})

    def do_POST(self) -> None:
        form = self.rfile.read(int(self.headers["Content-Length"]))
        worker = self.headers.get("Authorization", "").removeprefix("Bearer ")
        call = self.server.next_call(worker, _field_in(form, "file"))
        call = replace(call, wants_speakers=_field_in(form, "speakers") == b"true")
        mood = self.server.mood()
        if mood == GOOD_MOOD:
            self._transcribe(call)
        elif mood == "hang":
            self.server.note_hanging()
            self.server.wait_while_it_hangs()
            self._transcribe(call)
        else:
            self._misbehave(call, mood)

    def _transcribe(self, call: Call) -> None:
        poison = self.server.poison_of(call)
        if poison == "killer":
            self.server.note(call, poison)
            os._exit(1)
        self.server.work()
        if poison == "fault":
            self.server.note(call, poison)
            self._answer(500, _error("CUDA error: an illegal memory access was encountered"))
        elif poison == "refused":
            self.server.note(call, poison)
            self._answer(400, _error("this audio is refused"))
        else:
            self.server.note(call, "heard")
            self._answer(200, transcript_of(call))

    def _misbehave(self, call: Call, mood: str) -> None:
        self.server.note(call, mood)
        whole = json.dumps(transcript_of(call)).encode()
        match mood:
            case "500":
                self._answer(500, _error("out of memory"))
            case "503":
                headers = {"Retry-After": str(_RETRY_AFTER_SECONDS)}
                self._answer(503, _error("all slots are in use"), headers)
            case "half":
                self._answer(200, whole[: len(whole) // 2])
            case "html":
                page = b"<html><body><h1>It works!</h1></body></html>"
                self._answer(200, page, {"Content-Type": "text/html"})
            case "key":
                self._answer(401, _error("wrong key"))
            case "dies":
                self._send_head(200, len(whole), {})
                self.wfile.write(whole[: len(whole) // 2])
                self.wfile.flush()
                os._exit(1)

    def _answer(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        with contextlib.suppress(ConnectionError):  # who asked may be gone
            self._send_head(status, len(data), headers or {})
            self.wfile.write(data)

    def _send_head(self, status: int, length: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in ({"Content-Type": "application/json"} | headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def _error(message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "server_error", "param": None, "code": None}}


def _field_in(form: bytes, name: str) -> bytes:
    """A field of a multipart form; empty if there is none."""
    boundary = re.escape(form.partition(b"\r\n")[0])
    field_ = f'name="{name}"'.encode()
    found = re.search(field_ + rb".*?\r\n\r\n(.*?)\r\n" + boundary, form, re.DOTALL | re.IGNORECASE)
    return found[1] if found else b""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--port", type=int, default=8090)
    parser.add_argument("--name", default="stand-in")
    parser.add_argument("--log", type=Path, required=True, help="what it was asked, JSON lines")
    parser.add_argument("--poisons", type=Path, help='JSON: {"<number>": "refused", …}')
    parser.add_argument("--capacity", type=int, default=4, help="calls at once, as it says")
    parser.add_argument("--pace", type=float, nargs=4, default=(0.2, 2.0, 5.0, 0.05),
                        metavar=("SHORTEST", "LONGEST", "SLOW", "SLOW_SHARE"))  # fmt: skip
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    known = json.loads(arguments.poisons.read_text()) if arguments.poisons else {}
    poisons = {int(number): poison for number, poison in known.items()}
    log = EventLog(arguments.log, arguments.name)
    with StandIn(arguments.port, arguments.name, log, poisons) as server:
        server.capacity = arguments.capacity
        server.pace = Pace(*arguments.pace)
        server.rng = random.Random(arguments.seed)
        print(f"listening on http://127.0.0.1:{server.server_address[1]}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever(poll_interval=0.1)


if __name__ == "__main__":
    main()
