"""Hits of a search."""

from pydantic import Field

from stt.coordinator.schemas.base import AnyId, Schema
from stt.domain.fields import ForeignId


class HitOut(Schema):
    """A segment with a word in it; `start` and `end` in seconds of the recording."""

    source_id: ForeignId = Field(validation_alias="recording_id")
    filename: str
    chunk_id: AnyId
    start: float
    end: float
    text: str


class HitList(Schema):
    """Hits in the order of the recordings; `cursor` for the next page, null at the end."""

    hits: list[HitOut]
    cursor: str | None
