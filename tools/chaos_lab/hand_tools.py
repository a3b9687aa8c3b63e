"""What people run beside a busy fleet: tools/cleanup.py, and the Mongo shell guide's query."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import threading
import time
from datetime import timedelta
from typing import Any

from bson import ObjectId

from stt.errors import DatabaseUnavailable
from stt.store.database import translated
from tools.chaos_lab.history import EventLog
from tools.chaos_lab.lab import Lab
from tools.chaos_lab.processes import DATABASE_NAME, ROOT, close, mongo_url, spawn

_TEN_MINUTES = "10 * 60 * 1000"
_OWN_LEASE = {"$multiply": [1000, {"$ifNull": ["$lease_seconds", 0]}]}
_GUIDE = ROOT / "docs" / "guides" / "mongo-shell.md"
_SHELL_SECONDS = 20.0
_DATABASE_SECONDS = 30.0

Held = dict[str, str]
"""The claims in work: claim ids by chunk ids, both as hex digits."""


class Cleanup:
    """`tools/cleanup.py --older-than`, as a process."""

    def __init__(self, lab: Lab, actor: str, threshold_seconds: float) -> None:
        self.actor = actor
        flags = ["--tool", "cleanup", "--actor", actor]
        flags += ["--history", str(lab.folders.history / f"{actor}.jsonl")]
        flags += ["--", "--older-than", f"{threshold_seconds:.1f}s"]
        environment = lab.settings() | {"MONGO_URL": lab.mongo_url}
        log = lab.folders.logs / f"{actor}.log"
        self._process = spawn("tools.chaos_lab.worker", flags, log, environment)

    def is_over(self) -> bool:
        return self._process.poll() is not None

    def end(self) -> int:
        """1 if it did its work."""
        has_ended = self.is_over()
        close(self._process)
        return int(has_ended and self._process.returncode == 0)


class ShellReset:
    """The Mongo shell guide's query for what is stuck, for another time than ten minutes.

    It does not say which claims it ended; the history gets those that it may have ended.
    """

    def __init__(self, lab: Lab, actor: str, threshold_seconds: float) -> None:
        self.actor = actor
        self._lab = lab
        self._threshold_seconds = threshold_seconds
        self._has_worked = False
        self._thread = threading.Thread(target=self._run, name=actor, daemon=True)
        self._thread.start()

    def is_over(self) -> bool:
        return not self._thread.is_alive()

    def end(self) -> int:
        """1 if the query was answered."""
        self._thread.join(_SHELL_SECONDS + _DATABASE_SECONDS)
        return int(self._has_worked)

    def _run(self) -> None:
        asked = time.monotonic()
        held = self._by_shell() if has_shell() else self._by_driver()
        lost = self._lost_of(held)
        EventLog(self._lab.folders.history / f"{self.actor}.jsonl", self.actor).write(
            phase="told",
            op="hand_reset",
            asked=asked,
            chunks=[ObjectId(chunk) for chunk in lost],
            threshold_seconds=self._threshold_seconds,
            worked=self._has_worked,
        )

    def _by_shell(self) -> Held:
        """What was in work right before; nothing if it did not get as far as the query."""
        url = mongo_url(self._lab.database_server.port).replace("/?", f"/{DATABASE_NAME}?")
        script = _SCRIPT.replace("RESET", reset_query(self._threshold_seconds))
        # A file: what it printed is wanted also if it has to be ended. It keeps a log at home.
        with (self._lab.folders.logs / f"{self.actor}.log").open("w+b") as printed:
            with contextlib.suppress(subprocess.TimeoutExpired):
                ended = subprocess.run(
                    ["mongosh", "--quiet", "--norc", url, "--eval", script],
                    stdin=subprocess.DEVNULL,
                    stdout=printed,
                    stderr=subprocess.STDOUT,
                    timeout=_SHELL_SECONDS,
                    env={**os.environ, "HOME": str(self._lab.folders.logs)},
                    check=False,
                )
                self._has_worked = ended.returncode == 0
            printed.seek(0)
            found = re.search(rb"^held (\{.*\})$", printed.read(), re.MULTILINE)
        held: Held = json.loads(found[1]) if found else {}
        return held

    def _by_driver(self) -> Held:
        chunks = self._lab.database.chunks
        held: Held = {}
        with contextlib.suppress(DatabaseUnavailable), translated():
            found = chunks.find({"processing_by": {"$ne": None}}, ["claim_id"])
            held = {str(d["_id"]): str(d["claim_id"]) for d in found}
            now = self._lab.database.server_time()
            oldest = now - timedelta(seconds=self._threshold_seconds)
            chunks.update_many(
                {
                    "processing_by": {"$ne": None},
                    "claimed_at": {"$lt": oldest},
                    "$expr": {"$gt": [{"$subtract": [now, "$claimed_at"]}, _OWN_LEASE]},
                },
                {"$set": {"processing_by": None, "claimed_at": None}},
            )
            self._has_worked = True
        return held

    def _lost_of(self, held: Held) -> list[str]:
        """Of these chunks, those whose claim is gone and did not end them.

        All of them if the query was not answered: the database may still be at it.
        """
        if not self._has_worked:
            return list(held)
        after: dict[str, Any] | None = None
        deadline = time.monotonic() + _DATABASE_SECONDS
        while after is None and time.monotonic() < deadline:
            with contextlib.suppress(DatabaseUnavailable), translated():
                ids = [ObjectId(chunk) for chunk in held]
                found = self._lab.database.chunks.find({"_id": {"$in": ids}})
                after = {str(document["_id"]): document for document in found}
        return [
            chunk
            for chunk, claim in held.items()
            if after is None or not _is_kept(after[chunk], claim)
        ]


def _is_kept(document: dict[str, Any], claim: str) -> bool:
    """True if the claim still holds the chunk, or has ended it."""
    has_ended = document["transcribed_at"] is not None or document["failed_at"] is not None
    is_held = document["processing_by"] is not None
    return str(document["claim_id"]) == claim and (is_held or has_ended)


def has_shell() -> bool:
    return shutil.which("mongosh") is not None


def reset_query(seconds: float) -> str:
    """Return the query of the Mongo shell guide, for another time than its ten minutes."""
    queries = re.findall(r"(?ms)^```js\n(.*?)^```", _GUIDE.read_text("utf-8"))
    (query,) = [query for query in queries if _TEN_MINUTES in query]
    return str(query).replace(_TEN_MINUTES, f"{seconds * 1000:.0f}")


_SCRIPT = """
const held = {};
db.audio_chunks.find({processing_by: {$ne: null}}, {claim_id: 1})
  .forEach(chunk => { held[chunk._id.toString()] = chunk.claim_id.toString(); });
print("held " + JSON.stringify(held));
RESET
"""
