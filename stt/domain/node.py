"""Nodes: their names and ids, their states, their jobs, and the slots reserved for them."""

import re
import secrets
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from stt.domain.chunk import Chunk
from stt.domain.field_types import IdText, Seconds
from stt.domain.visible_text import is_visible, visible

NodeState = Literal["online", "busy", "offline"]

TEST_SECONDS = 15.0
"""How long a node has to answer a test; an older one is not sent to it any more."""

_JOBS_SECONDS = 30.0  # what is shown as a node's current work is no older
_MAX_JOB_CHUNKS = 1_000
_MAX_FILENAME = 200
_MAX_NAME = 100
_MAX_SLUG = 55


def clean_text(text: str) -> str:
    """Return a machine's text on one line, without characters that could disguise it."""
    return visible(text, "?").strip()


@dataclass(frozen=True, slots=True)
class Job:
    """A call in flight: `seconds` of audio, sent to a server `elapsed_seconds` ago.

    The bounds are for pydantic, which checks the jobs that a node sends.
    """

    chunk_ids: Annotated[tuple[IdText, ...], Field(max_length=_MAX_JOB_CHUNKS)]
    filename: Annotated[str, StringConstraints(max_length=1_000), AfterValidator(clean_text)] = ""
    seconds: Seconds = 0.0
    elapsed_seconds: Seconds = 0.0

    @classmethod
    def of(cls, chunks: Sequence[Chunk], filename: str, elapsed_seconds: float) -> "Job":
        """Return a job within the bounds."""
        return cls(
            tuple(str(chunk.id) for chunk in chunks[:_MAX_JOB_CHUNKS]),
            clean_text(filename[:_MAX_FILENAME]),
            round(sum(chunk.planned_seconds for chunk in chunks), 1),
            round(elapsed_seconds, 1),
        )

    def after(self, seconds: float) -> "Job":
        """Return the job as it is so many seconds later."""
        return replace(self, elapsed_seconds=self.elapsed_seconds + seconds)


@dataclass(frozen=True, slots=True)
class NodeTest:
    """How a test ended; `milliseconds` from the request to the node's answer, None without one."""

    ok: bool
    detail: str
    milliseconds: float | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class AskedTest:
    """A test that a person has requested and that has no answer yet."""

    id: str
    asked_at: datetime


@dataclass(frozen=True, slots=True)
class Node:
    """A machine that may work for this fleet over HTTP.

    `id` never changes and begins the ids of its workers (`ID_RUN`); `name` is for people.
    Higher `priority` is served first while work is scarce; `model` is the one that it is to use,
    None for its own choice. `seen_at`: its last heartbeat, which reported `worker_state`, `slots`
    (calls at once) and `reported_chunks` in work. `jobs`: those that its WebSocket
    reported at `jobs_at`.
    """

    id: str
    name: str
    platform: str = ""
    priority: int = 0
    model: str | None = None
    is_enabled: bool = True
    created_at: datetime | None = None
    seen_at: datetime | None = None
    worker_state: str = ""
    slots: int = 0
    reported_chunks: int = 0
    jobs: tuple[Job, ...] = ()
    jobs_at: datetime | None = None
    asked_test: AskedTest | None = None
    last_test: NodeTest | None = None

    @property
    def chunks_in_work(self) -> int:
        """How many it has in work, by the later of its heartbeat and its WebSocket's message."""
        seen_at, jobs_at = self.seen_at, self.jobs_at
        if jobs_at is not None and (seen_at is None or seen_at < jobs_at):
            return sum(len(job.chunk_ids) for job in self.jobs)
        return self.reported_chunks

    def state(self, now: datetime, offline_seconds: float) -> NodeState:
        """Return its state at `now`.

        Offline: without a heartbeat for so long, or its worker has stopped. Busy: it has chunks in
        work.
        """
        is_silent = self.seen_at is None or now - self.seen_at >= timedelta(seconds=offline_seconds)
        if is_silent or self.worker_state == "stopped":
            return "offline"
        return "busy" if self.chunks_in_work else "online"

    def current_jobs(self, now: datetime) -> tuple[Job, ...]:
        """Return its jobs as of `now`; none if the last report of them is too old."""
        if self.jobs_at is None or now - self.jobs_at > timedelta(seconds=_JOBS_SECONDS):
            return ()
        since = max(0.0, (now - self.jobs_at).total_seconds())
        return tuple(job.after(since) for job in self.jobs)

    def test_to_put(self, now: datetime) -> str | None:
        """Return the id of a test that still waits for its answer."""
        test = self.asked_test
        if test is None or now - test.asked_at >= timedelta(seconds=TEST_SECONDS):
            return None
        return test.id


def reserved_slots(node: Node, nodes: Iterable[Node], now: datetime, offline_seconds: float) -> int:
    """Return how many calls nodes of a higher priority have free, to reserve as many chunks.

    Nodes that are disabled, offline, draining or stopped take no chunks, and are not counted.
    """
    return sum(
        max(0, other.slots - other.chunks_in_work)
        for other in nodes
        if other.id != node.id
        and other.priority > node.priority
        and other.is_enabled
        and other.worker_state == "working"
        and other.state(now, offline_seconds) != "offline"
    )


def clean_name(text: str) -> str:
    """Return a node's name without the spaces around it. Raises ValueError with the reason."""
    name = unicodedata.normalize("NFC", text).strip()
    if not 1 <= len(name) <= _MAX_NAME:
        raise ValueError(f"a name has 1 to {_MAX_NAME} characters")
    if not is_visible(name):
        raise ValueError("a name has no control characters, nor others that do not show")
    return name


def new_node_id(name: str) -> str:
    """Return an id like `m4-macbook-pro-3fa2`, for logs and workers' ids; its end is random."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain)[:_MAX_SLUG].strip("-") or "node"
    return f"{slug}-{secrets.token_hex(2)}"
