"""The filter of recordings as requests have it, in their query."""

from typing import Annotated

from fastapi import Depends, Query
from pydantic import AwareDatetime

from stt.domain.field_types import HexId
from stt.store.recording_list import ListState, RecordingFilter

_MAX_TEXT = 500

_Seconds = Annotated[float | None, Query(ge=0, le=1e9, allow_inf_nan=False)]


def _recording_filter(
    search: Annotated[
        str, Query(max_length=_MAX_TEXT, description="A part of the file's name or path.")
    ] = "",
    state: Annotated[
        ListState, Query(description="open: more to do; failed: a chunk is in quarantine.")
    ] = "all",
    ids: Annotated[
        list[HexId] | None,
        Query(
            alias="id", max_length=200, description="Only these; those that are gone are left out."
        ),
    ] = None,
    folder: Annotated[
        str, Query(max_length=2_000, description="A folder, with all that is below it.")
    ] = "",
    language: Annotated[
        str, Query(max_length=_MAX_TEXT, description="A code: that of most of the text.")
    ] = "",
    model: Annotated[
        str, Query(max_length=_MAX_TEXT, description="One that made some of the text.")
    ] = "",
    recorded_from: Annotated[
        AwareDatetime | None, Query(description="Recorded then or later.")
    ] = None,
    recorded_to: Annotated[AwareDatetime | None, Query(description="Recorded earlier.")] = None,
    added_from: Annotated[AwareDatetime | None, Query(description="Added then or later.")] = None,
    added_to: Annotated[AwareDatetime | None, Query(description="Added earlier.")] = None,
    min_seconds: Annotated[_Seconds, Query(description="At least so long.")] = None,
    max_seconds: Annotated[_Seconds, Query(description="At most so long.")] = None,
) -> RecordingFilter:
    return RecordingFilter(
        search=search,
        state=state,
        ids=ids,
        folder=folder,
        language=language,
        model=model,
        recorded=(recorded_from, recorded_to),
        added=(added_from, added_to),
        seconds=(min_seconds, max_seconds),
    )


WantedRecordings = Annotated[RecordingFilter, Depends(_recording_filter)]
"""The recordings that a request means; all if it names nothing."""
