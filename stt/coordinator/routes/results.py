"""Transcripts as files."""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Annotated, Literal
from urllib.parse import quote

from bson import ObjectId
from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from stt.coordinator.answers import refusals
from stt.coordinator.context import PEOPLE_ONLY, InCoordinator
from stt.coordinator.errors import Unprocessable
from stt.errors import DatabaseUnavailable, SttError
from stt.remote.messages import Id
from stt.store.export import Export
from stt.store.recordings import MongoRecordings
from stt.transcripts.files import file_name

router = APIRouter(
    tags=["results"], dependencies=[PEOPLE_ONLY], responses=refusals(401, 403, 422, 503)
)

_BLOCK_CHARACTERS = 64 * 1024
_MEDIA_TYPES = {
    "json": "application/json",
    "txt": "text/plain; charset=utf-8",
    "srt": "application/x-subrip; charset=utf-8",
    "vtt": "text/vtt; charset=utf-8",
    "tsv": "text/tab-separated-values; charset=utf-8",
}


@router.get(
    "/results/{source_id}",
    summary="The transcript of a recording",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "The transcript; `X-Transcript-Partial` says whether any is missing.",
            "content": {media_type: {} for media_type in _MEDIA_TYPES.values()},
        },
        **refusals(404),
    },
)
def result(
    coordinator: InCoordinator,
    source_id: Id,
    format_name: Annotated[
        Literal["json", "txt", "srt", "vtt", "tsv"], Query(alias="format")
    ] = "txt",
    download: Annotated[bool, Query(description="To be saved rather than shown.")] = False,
) -> StreamingResponse:
    """A partial one says so in its own format, and in the header."""
    source = MongoRecordings(coordinator.database).get(ObjectId(source_id))
    export = Export(coordinator.database, source)
    blocks = _blocks(export.pieces(format_name))
    try:
        first = next(blocks, b"")  # what cannot be read shows here, not behind a 200
    except DatabaseUnavailable:
        raise
    except SttError as error:
        raise Unprocessable(str(error)) from error
    headers = {
        "X-Transcript-Partial": "true" if export.header.is_partial else "false",
        "Content-Disposition": _disposition(file_name(source, format_name), is_saved=download),
    }
    return StreamingResponse(
        chain([first], blocks), headers=headers, media_type=_MEDIA_TYPES[format_name]
    )


def _blocks(pieces: Iterable[str]) -> Iterator[bytes]:
    """The same in larger pieces: each costs a turn of a thread."""
    waiting: list[str] = []
    length = 0
    for piece in pieces:
        waiting.append(piece)
        length += len(piece)
        if length >= _BLOCK_CHARACTERS:
            yield "".join(waiting).encode("utf-8", "replace")
            waiting, length = [], 0
    yield "".join(waiting).encode("utf-8", "replace")


def _disposition(name: str, *, is_saved: bool) -> str:
    """RFC 6266: a plain name for those who read no other, and the real one."""
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\%' else "_" for c in name)
    kind = "attachment" if is_saved else "inline"
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
