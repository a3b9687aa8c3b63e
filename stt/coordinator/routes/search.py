"""Search over all transcripts, or over one."""

from typing import Annotated

from fastapi import APIRouter, Query

from stt.coordinator.context import PEOPLE_ONLY, InCoordinator
from stt.coordinator.openapi import error_responses
from stt.coordinator.recording_filter import WantedRecordings
from stt.domain.field_types import HexId
from stt.domain.speakers import MAX_NAME_CHARACTERS
from stt.store.recording_list import ANY
from stt.store.search import HitPage
from stt.store.search_query import MAX_QUERY_CHARACTERS, SearchQuery

router = APIRouter(tags=["search"], dependencies=[PEOPLE_ONLY], responses=error_responses(404))

_TIMEOUT_SECONDS = 15.0


@router.get("/api/search", summary="The places where words were said")
def search(
    coordinator: InCoordinator,
    wanted: WantedRecordings,
    q: Annotated[
        str,
        Query(
            max_length=MAX_QUERY_CHARACTERS,
            description="Up to ten words or phrases; may be left out with a speaker.",
        ),
    ] = "",
    speaker: Annotated[
        str,
        Query(
            max_length=MAX_NAME_CHARACTERS,
            description="Only what this one says: a name, or in a single recording an id.",
        ),
    ] = "",
    cursor: Annotated[str | None, Query(pattern="^[0-9a-f]{24}-[0-9]{1,9}$")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 30,
    source_id: HexId | None = None,
) -> HitPage:
    """Find chunks, of some 30 seconds, that contain every word, in recordings that match all else.

    With a speaker, words are those in his lines; without words all of his lines are found.

    Words are found whole and in any case; accents count. `word*` stands for all words that begin
    so, and `"words in quotes"` for a phrase. `matches` are the parts of `text` that match, each by
    the number of its first character (code point), and of the first one after it.
    """
    ids = None if wanted == ANY else coordinator.exact_lister.ids(wanted).ids
    if source_id is not None:
        ids = (source_id,) if ids is None or source_id in ids else ()
    return coordinator.search.find(
        SearchQuery(q) if q or not speaker.strip() else None,
        limit=limit,
        speaker=speaker,
        cursor=cursor,
        recording_ids=ids,
        timeout_seconds=_TIMEOUT_SECONDS,
    )
