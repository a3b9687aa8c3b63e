"""Search over all transcripts, or over one."""

from typing import Annotated

from bson import ObjectId
from fastapi import APIRouter, Query
from pydantic import BaseModel

from stt.coordinator.answers import refusals
from stt.coordinator.context import PEOPLE_ONLY, InCoordinator
from stt.coordinator.errors import ApiError, Unprocessable
from stt.remote.messages import Id
from stt.store.search import Hit, SearchTooSlow
from stt.store.search_query import MAX_QUERY_CHARACTERS, BadQuery, SearchQuery

router = APIRouter(tags=["search"], dependencies=[PEOPLE_ONLY], responses=refusals(404, 422, 503))

_TIMEOUT_SECONDS = 15.0


class TooSlow(ApiError):
    status, code = 503, "too_slow"


class HitOut(BaseModel):
    """A segment with a word in it; `start` and `end` in seconds of the recording."""

    source_id: str | None
    filename: str
    chunk_id: str
    start: float
    end: float
    text: str

    @classmethod
    def of(cls, hit: Hit) -> "HitOut":
        return cls(
            source_id=hit.recording_id,
            filename=hit.filename,
            chunk_id=str(hit.chunk_id),
            start=hit.start,
            end=hit.end,
            text=hit.text,
        )


class HitsOut(BaseModel):
    """In the order of the recordings; `cursor` for the next page, null at the end."""

    hits: list[HitOut]
    cursor: str | None


@router.get("/api/search", summary="The places where words were said")
def search(
    coordinator: InCoordinator,
    q: Annotated[str, Query(max_length=MAX_QUERY_CHARACTERS, description="Up to ten words.")],
    cursor: Annotated[str | None, Query(pattern="^[0-9a-f]{24}-[0-9]{1,9}$")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 30,
    source_id: Id | None = None,
) -> HitsOut:
    """Every word must occur in one chunk of some 30 seconds, whole and in any case; accents count.
    `word*` stands for all words that begin so."""
    try:
        page = coordinator.search.find(
            SearchQuery(q),
            limit=limit,
            cursor=cursor,
            recording_id=ObjectId(source_id) if source_id else None,
            timeout_seconds=_TIMEOUT_SECONDS,
        )
    except BadQuery as error:
        raise Unprocessable(str(error)) from error
    except SearchTooSlow as error:
        raise TooSlow(str(error)) from error
    return HitsOut(hits=[HitOut.of(hit) for hit in page.hits], cursor=page.cursor)
