"""The recordings of claimed chunks at the database, in the form that a worker takes."""

from stt.domain.chunk import Recording
from stt.domain.claim import Claim, Step
from stt.store.recordings import MongoRecordings


class ClaimedRecordings:
    """What `MongoRecordings` knows of the chunk of a claim. Safe between threads."""

    def __init__(self, recordings: MongoRecordings) -> None:
        self._recordings = recordings

    def of(self, claim: Claim) -> Recording | None:
        return self._recordings.of(claim.chunk)

    def audio(self, claim: Claim) -> bytes:
        return self._recordings.audio(claim.chunk)

    def neighbour_audio(self, claim: Claim, step: Step) -> bytes | None:
        return self._recordings.neighbour_audio(claim.chunk, step)
