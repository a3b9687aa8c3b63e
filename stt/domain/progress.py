"""How far a run of a worker is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """The chunks of a run, and the seconds of their audio; totals are None until they are known.

    `done` and `done_seconds`: what is finished, by other workers too (`elsewhere` chunks).
    `errors`: tries that failed. `is_ending`: nothing more is begun, and the run ends with the
    chunks in flight. `waits_for`: why nothing can be done at the moment.
    `is_growing`: the totals are those of what is read so far. `expected_seconds`: what the calls in
    flight have probably transcribed by now; nothing of it is known.
    """

    done: int = 0
    total: int | None = None
    errors: int = 0
    in_flight: int = 0
    is_ending: bool = False
    done_seconds: float = 0.0
    total_seconds: float | None = None
    elsewhere: int = 0
    waits_for: str = ""
    is_growing: bool = False
    expected_seconds: float = 0.0
