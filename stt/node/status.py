"""What a node shows of itself to the person at its machine."""

from dataclasses import dataclass
from typing import Literal

from stt.domain.node import Job

Phase = Literal["connecting", "starting", "working", "paused", "waiting", "stopping"]


@dataclass(frozen=True, slots=True)
class AgentStatus:
    """What a node is at, for its page and its terminal. Nothing in it is secret."""

    phase: Phase
    detail: str
    node_id: str
    name: str
    server_url: str
    is_reached: bool
    has_channel: bool
    priority: int
    model: str | None
    device: str | None
    whisper_server: str
    has_own_server: bool
    jobs: tuple[Job, ...]
    counts: dict[str, int]
    in_flight: int
