"""What a node does at the moment, as its socket, its supervisor and its page see it."""

import time
from dataclasses import dataclass
from typing import Literal

from stt.domain.node import Job
from stt.errors import SttError
from stt.node.whisper_server import WhisperServer
from stt.worker.worker import Worker

Phase = Literal["connecting", "starting", "working", "paused", "waiting", "stopping"]


@dataclass(frozen=True, slots=True)
class Activity:
    """The phase of a node, why it is in it, and the server and worker that it has meanwhile."""

    phase: Phase
    detail: str = ""
    server: WhisperServer | None = None
    worker: Worker | None = None

    def jobs(self) -> tuple[Job, ...]:
        return self.worker.jobs() if self.worker else ()

    def check_claims(self) -> None:
        """Find out at once which claims are lost."""
        if self.worker is not None:
            self.worker.check_claims()

    def test(self, timeout_seconds: float) -> str:
        """Test the whisper server, and return how that went. Raises SttError if it failed."""
        if self.server is None:
            raise SttError(f"The node is {self.phase}" + (self.detail and f": {self.detail}"))
        began = time.monotonic()
        try:
            return self.server.test(timeout_seconds)
        except SttError:
            jobs = len(self.jobs())
            if jobs and time.monotonic() - began >= timeout_seconds:
                return f"At work on {jobs} recording(s): a test has to wait its turn behind them"
            raise
