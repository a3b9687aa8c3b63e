"""The claim protocol over HTTP: what a node asks for, and every transition, fenced by its claim."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Literal, TypeVar

from bson import ObjectId
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from stt.coordinator.answers import refusals
from stt.coordinator.context import (
    PEOPLE_ONLY,
    Coordinator,
    CurrentPrincipal,
    InCoordinator,
    check_worker,
)
from stt.coordinator.dispatch import Dispatcher
from stt.coordinator.store.listing import ChunkRow, list_chunks
from stt.domain.chunk import Chunk
from stt.domain.claim import Claim, Order, Page
from stt.remote.messages import (
    ClaimRequest,
    Completion,
    Failure,
    Held,
    Id,
    OptionsMessage,
    PageMessage,
    Release,
    TaskMessage,
    TasksMessage,
    WorkerId,
)
from stt.store.recordings import MongoRecordings
from stt.store.workers import MongoRoster

T = TypeVar("T")

router = APIRouter(prefix="/tasks", tags=["tasks"], responses=refusals(401, 403, 410, 422, 503))

_MAX_WAIT_SECONDS = 25.0
_LOOK_SECONDS = 1.0
_FORMAT = re.compile("[A-Za-z0-9]{1,20}")

Wait = Annotated[
    float, Query(ge=0, le=_MAX_WAIT_SECONDS, description="Seconds to wait for work, if none.")
]
Wanted = Annotated[list[Id] | None, Query(alias="source", max_length=1_000)]


class TaskList(BaseModel):
    """`cursor` for the next page; None at the end."""

    tasks: list[ChunkRow]
    cursor: str | None


class Counted(BaseModel):
    """How many chunks are pending, those at rest included."""

    pending: int


class Renewed(BaseModel):
    """The lease begins anew."""

    lease_seconds: float


class Done(BaseModel):
    """The transition was made, by this request or by an earlier one like it."""

    ok: Literal[True] = True


@router.get("", dependencies=[PEOPLE_ONLY], summary="The queue, page by page")
def tasks(
    coordinator: InCoordinator,
    state: Literal["pending", "processing", "transcribed", "failed"] | None = None,
    source: Id | None = None,
    cursor: Id | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> TaskList:
    found = list_chunks(
        coordinator.database,
        state=state,
        source_id=ObjectId(source) if source else None,
        after=ObjectId(cursor) if cursor else None,
        limit=limit,
    )
    last = str(found[-1].id) if len(found) == limit else None
    return TaskList(tasks=found, cursor=last)


@router.get(
    "/next",
    summary="Claims a sequence for a worker, or waits for one",
    response_model=TasksMessage,
    responses={204: {"description": "Nothing is pending."}},
)
async def next_tasks(
    request: Request,
    coordinator: InCoordinator,
    principal: CurrentPrincipal,
    worker_id: WorkerId,
    wait: Wait = _MAX_WAIT_SECONDS,
    claim_id: Annotated[
        Id | None, Query(description="Made by who asks: the same again gives the same again.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
) -> Response | TasksMessage:
    check_worker(principal, worker_id)
    dispatcher = Dispatcher(coordinator, principal, worker_id)
    wanted = ObjectId(claim_id) if claim_id else ObjectId()

    async def look(is_again: bool) -> list[Claim] | None:
        return await run_in_threadpool(dispatcher.take, wanted, limit, is_again=is_again) or None

    claims = await _soon(request, coordinator, look, wait)
    if claims is None:
        return Response(status_code=204)
    return await run_in_threadpool(_taken, coordinator, worker_id, claims)


@router.get("/pending", summary="Pending chunks in claim order, read only")
async def pending(
    request: Request,
    coordinator: InCoordinator,
    principal: CurrentPrincipal,
    worker_id: WorkerId,
    limit: Annotated[int, Query(ge=1, le=200_000)] = 500,
    newest_first: bool = False,
    source: Wanted = None,
    wait: Wait = 0.0,
) -> PageMessage:
    check_worker(principal, worker_id)
    dispatcher = Dispatcher(coordinator, principal, worker_id)
    order = Order(newest_first, tuple(map(ObjectId, source or ())))
    page = Page((), is_last=True)

    async def look(is_again: bool) -> Page | None:
        nonlocal page
        page = await run_in_threadpool(dispatcher.page, limit, order, is_again=is_again)
        return page if page.chunks else None

    await _soon(request, coordinator, look, wait)
    slots_alive = await run_in_threadpool(MongoRoster(coordinator.database).slots_alive)
    return PageMessage.of(page, slots_alive)


@router.get("/count", summary="How many chunks are pending")
def count(
    coordinator: InCoordinator, principal: CurrentPrincipal, source: Wanted = None
) -> Counted:
    order = Order(recordings=tuple(map(ObjectId, source or ())))
    dispatcher = Dispatcher(coordinator, principal, "")
    return Counted(pending=dispatcher.claims().count_pending(order) if dispatcher.is_open else 0)


@router.post(
    "/claim",
    summary="Claims one chunk",
    response_model=TasksMessage,
    responses={204: {"description": "Somebody else was first."}},
)
def claim(
    coordinator: InCoordinator, principal: CurrentPrincipal, request: ClaimRequest
) -> Response | TasksMessage:
    check_worker(principal, request.worker_id)
    dispatcher = Dispatcher(coordinator, principal, request.worker_id)
    wanted = Chunk(ObjectId(request.chunk_id), None, 0)
    claimed = (
        dispatcher.claims().claim(wanted, ObjectId(request.claim_id))
        if dispatcher.is_open
        else None
    )
    if claimed is None:
        return Response(status_code=204)
    return _taken(coordinator, request.worker_id, [claimed])


@router.post("/renew", summary="Starts the lease anew", responses=refusals(409))
def renew(coordinator: InCoordinator, principal: CurrentPrincipal, held: Held) -> Renewed:
    check_worker(principal, held.worker_id)
    Dispatcher(coordinator, principal, held.worker_id).claims().renew(_claim(held))
    return Renewed(lease_seconds=coordinator.settings.lease_seconds)


@router.post("/complete", summary="Writes the result", responses=refusals(409, 413))
def complete(coordinator: InCoordinator, principal: CurrentPrincipal, done: Completion) -> Done:
    check_worker(principal, done.worker_id)
    claims = Dispatcher(coordinator, principal, done.worker_id).claims()
    claims.complete(
        _claim(done, duration=done.duration), done.transcript.to_transcript(done.worker_id)
    )
    return Done()


@router.post("/release", summary="Gives the chunk back, nobody's fault", responses=refusals(409))
def release(coordinator: InCoordinator, principal: CurrentPrincipal, held: Release) -> Done:
    check_worker(principal, held.worker_id)
    claims = Dispatcher(coordinator, principal, held.worker_id).claims()
    claims.release(_claim(held), isolated=held.isolated)
    return Done()


@router.post("/fail", summary="Counts a failure of the chunk", responses=refusals(409))
def fail(coordinator: InCoordinator, principal: CurrentPrincipal, failure: Failure) -> Done:
    check_worker(principal, failure.worker_id)
    claims = Dispatcher(coordinator, principal, failure.worker_id).claims()
    claims.fail(
        _claim(failure, attempts=failure.attempts),
        failure.kind,
        failure.message,
        server=failure.server,
    )
    return Done()


async def _soon(
    request: Request,
    coordinator: Coordinator,
    look: Callable[[bool], Awaitable[T | None]],
    wait_seconds: float,
) -> T | None:
    """Looks every second until there is something, the time is over, or either side goes."""
    until = time.monotonic() + wait_seconds
    found = await look(False)
    while found is None:
        left = until - time.monotonic()
        if left <= 0 or coordinator.closing.is_set():
            return None
        await asyncio.sleep(min(_LOOK_SECONDS, left))
        if await request.is_disconnected():  # asked last: nobody is to be given a claim who is gone
            return None
        found = await look(True)
    return found


def _claim(held: Held, *, attempts: int = 0, duration: float | None = None) -> Claim:
    """What the fence needs; not trusted, so that the database is asked once: who wants to know
    asks again."""
    chunk = Chunk(ObjectId(held.chunk_id), None, 0, duration=duration, attempts=attempts)
    return Claim(ObjectId(held.claim_id), chunk, held.worker_id, trusted_until=0.0)


def _taken(coordinator: Coordinator, worker: str, claims: list[Claim]) -> TasksMessage:
    source = MongoRecordings(coordinator.database).of(claims[0].chunk)
    return TasksMessage(
        worker_id=worker,
        claim_id=claims[0].id,
        lease_seconds=coordinator.settings.lease_seconds,
        options=OptionsMessage.of(source),
        tasks=tuple(
            TaskMessage(chunk=claim.chunk, audio=audio_path(claim.chunk)) for claim in claims
        ),
    )


def audio_path(chunk: Chunk) -> str:
    """Where a chunk's audio is."""
    format_ = chunk.format or ""
    return f"/chunks/{chunk.id}.{format_ if _FORMAT.fullmatch(format_) else 'bin'}"
