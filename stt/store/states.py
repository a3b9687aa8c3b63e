"""The states of a chunk: which document fields stand for which state.

`transcribed_at` decides before `failed_at`, and that before `processing_by`. A query for None also
matches a document without the field, so other programs may leave fields out.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from bson import ObjectId

State = Literal["pending", "processing", "transcribed", "failed"]
Query = dict[str, Any]

UNFINISHED: Query = {"transcribed_at": None, "failed_at": None}
"""Pending or processing."""

PENDING: Query = {**UNFINISHED, "processing_by": None}
PROCESSING: Query = {**UNFINISHED, "processing_by": {"$ne": None}}
TRANSCRIBED: Query = {"transcribed_at": {"$ne": None}}
FAILED: Query = {"transcribed_at": None, "failed_at": {"$ne": None}}

IN_QUARANTINE: Query = {**FAILED, "dismissed_at": None}
"""Failed, and not dismissed by a person: see `dismissal.py`."""

DISMISSED: Query = {**FAILED, "dismissed_at": {"$ne": None}}

_DECIDING: tuple[tuple[str, State], ...] = (
    ("transcribed_at", "transcribed"), ("failed_at", "failed"), ("processing_by", "processing"),
)  # fmt: skip
"""The first of these fields that is set decides the state."""

QUERIES: Mapping[State, Query] = {
    "pending": PENDING,
    "processing": PROCESSING,
    "transcribed": TRANSCRIBED,
    "failed": FAILED,
}

ANY_TIME: Query = {"$gte": datetime(1970, 1, 1, tzinfo=UTC)}
"""Matches every date in a field. An index answers this range, but not `{"$ne": None}`."""

ANY_TEXT: Query = {"$gt": ""}
"""Matches every text in a field, such as a worker's id in `processing_by`; see ANY_TIME."""

STATE_EXPRESSION: Any = "pending"
"""The state of a chunk, as an expression for `$group`."""

for _field, _state in reversed(_DECIDING):
    _is_set = {"$ne": [{"$ifNull": [f"${_field}", None]}, None]}
    STATE_EXPRESSION = {"$cond": [_is_set, _state, STATE_EXPRESSION]}

_NO_CLAIM: Mapping[str, Any] = {"processing_by": None, "claimed_at": None}

UNCLAIMED: Mapping[str, Any] = {**_NO_CLAIM, "lease_seconds": None, "holder_process": None}
"""Fields of a chunk without a claim."""

WITHOUT_FAILURES: Mapping[str, Any] = {
    "failed_at": None, "attempts": 0, "expirations": 0, "not_before": None,
}  # fmt: skip
"""Fields of a chunk that has not failed since it was ingested or retried."""

_UNTRIED: Mapping[str, Any] = {
    "claim_id": None, **WITHOUT_FAILURES, "transcribed_at": None, "errors": [],
}  # fmt: skip

RETRIED: Mapping[str, Any] = {**WITHOUT_FAILURES, "solo": False, "dismissed_at": None}
"""Fields of a failed chunk that is to be tried again."""

RESET: Mapping[str, Any] = {**UNCLAIMED, **_UNTRIED, "solo": False, "dismissed_at": None}
"""Fields of a chunk that is to be transcribed again: its earlier transcript stays."""

NEW: Mapping[str, Any] = {**_NO_CLAIM, **_UNTRIED, "transcript": None}
"""Fields of a chunk that was just ingested; it has no `solo`, and was never claimed."""


WITH_AUDIO: Query = {"audio_removed_at": None}
"""Matches chunks whose audio was not removed by STT_KEEP_AUDIO."""

EDITED: Query = {"transcript.segments.model_text": {"$exists": True}}
"""Matches chunks with a segment whose text a person has changed, see `edits.py`."""

WITHOUT_EDITS: Query = {"transcript.segments.model_text": {"$exists": False}}

WITH_TEXT: Query = {"transcript.segments.0": {"$exists": True}}

WITHOUT_SPEAKERS: Query = {
    **TRANSCRIBED, **WITH_TEXT, **WITH_AUDIO, "transcript.speakers": None,
}  # fmt: skip
"""Matches chunks with text in which speakers can be found, and were not."""


def chosen(chunk_ids: Iterable[ObjectId], recording_id: ObjectId | None) -> Query:
    """Return a query for these chunks, or a recording's; empty if neither is given."""
    ids = list(chunk_ids)
    query: Query = {"_id": {"$in": ids}} if ids else {}
    return query if recording_id is None else {**query, "original_id": recording_id}


def to_retry(chunk_ids: Iterable[ObjectId], recording_id: ObjectId | None) -> Query:
    """Return a query for failed chunks: these, a recording's, or all that are not dismissed."""
    named = chosen(chunk_ids, recording_id)
    return {**FAILED, **named} if named else IN_QUARANTINE


def state_of(document: Mapping[str, Any]) -> State:
    """Return the state of a chunk that was read with the three fields that decide it."""
    set_fields = (state for field, state in _DECIDING if document.get(field) is not None)
    return next(set_fields, "pending")
