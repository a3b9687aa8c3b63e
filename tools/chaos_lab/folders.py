"""Where a run keeps what its processes write."""

from dataclasses import dataclass
from pathlib import Path

from tools.chaos_lab.history import Event, read_events


@dataclass(frozen=True)
class Folders:
    """Below `root`: what the database was asked, what coordinators were asked by nodes, what
    stand-in servers were called for, and everybody's log."""

    root: Path

    @property
    def history(self) -> Path:
        return self.root / "history"

    @property
    def node_history(self) -> Path:
        return self.root / "node-history"

    @property
    def calls(self) -> Path:
        return self.root / "calls"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def names(self) -> Path:
        """What the one who names speakers saw and did."""
        return self.root / "names.jsonl"

    def calls_of(self, name: str) -> Path:
        """The log of a stand-in."""
        return self.calls / f"{name}.jsonl"

    def read_calls(self) -> list[Event]:
        """What all stand-ins were called for. Raises ValueError as `history.load`."""
        return [event for file in sorted(self.calls.glob("*.jsonl")) for event in read_events(file)]

    def make(self) -> None:
        for folder in (self.history, self.node_history, self.calls, self.logs):
            folder.mkdir(parents=True, exist_ok=True)
