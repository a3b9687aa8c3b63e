"""The claim protocol over HTTP: work for nodes, and every transition, fenced by its claim."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Annotated, TypeVar

from bson import ObjectId
from fastapi import APIRouter, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from stt.coordinator.completion_route import CompletionRoute
from stt.coordinator.context import (
    KEY_ONLY,
    PEOPLE_ONLY,
    Coordinator,
    CurrentPrincipal,
    InCoordinator,
)
from stt.coordinator.dispatch import Dispatcher
from stt.coordinator.openapi import error_responses
from stt.coordinator.schemas.base import Acknowledgement
from stt.coordinator.schemas.queue import ChunkList, LeaseRenewal, PendingCount
from stt.coordinator.store.listing import list_chunks
from stt.domain.chunk import Chunk
from stt.domain.claim import Claim, Order, Page
from stt.domain.field_types import HexId, Name
from stt.remote import messages
from stt.store import model_routing
from stt.store.chunk_key import recordings_of
from stt.store.states import State

T = TypeVar("T")

router = APIRouter(prefix="/tasks", tags=["tasks"])
_completions = APIRouter(route_class=CompletionRoute)

_MAX_WAIT_SECONDS = 25.0
_POLL_SECONDS = 1.0
_MAX_PAGE = 20_000
"""Chunks of a page at most: 6 MB. To write more of them would block all other requests."""

Wait = Annotated[
    float, Query(ge=0, le=_MAX_WAIT_SECONDS, description="Seconds to wait for work, if none.")
]
RecordingIds = Annotated[list[HexId] | None, Query(alias="source", max_length=1_000)]
Models = Annotated[
    list[Name] | None,
    Query(alias="model", max_length=1_000, description="Of recordings that want one of these."),
]
WithoutModels = Annotated[
    list[Name] | None,
    Query(
        alias="without_model",
        max_length=1_000,
        description="None of recordings that want one of these, which the caller does not have.",
    ),
]


@router.get("", dependencies=[PEOPLE_ONLY], summary="The queue, page by page")
def tasks(
    coordinator: InCoordinator,
    state: State | None = None,
    source: HexId | None = None,
    cursor: HexId | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> ChunkList:
    found = list_chunks(
        coordinator.database, state=state, recording_id=source, after=cursor, limit=limit
    )
    return ChunkList(tasks=found, cursor=found[-1].id if len(found) == limit else None)


@router.get(
    "/next",
    dependencies=[KEY_ONLY],
    summary="Claims a sequence for a worker, or waits for one",
    response_model=messages.TasksMessage,
    responses={204: {"description": "Nothing is pending."}},
)
async def next_tasks(
    request: Request,
    coordinator: InCoordinator,
    principal: CurrentPrincipal,
    worker_id: messages.WorkerId,
    wait: Wait = _MAX_WAIT_SECONDS,
    claim_id: Annotated[
        HexId | None,
        Query(description="Made by the caller: the same again returns the same claims again."),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
    without_models: WithoutModels = None,
) -> Response | messages.TasksMessage:
    dispatcher = Dispatcher(coordinator, principal, worker_id)
    new_claim_id = claim_id or ObjectId()
    order = Order(without_models=tuple(without_models or ()))

    async def take(is_repeat: bool) -> list[Claim] | None:
        taken = await run_in_threadpool(
            dispatcher.take, new_claim_id, limit, order, is_repeat=is_repeat
        )
        return taken or None

    claims = await _poll(request, coordinator, take, wait)
    return await run_in_threadpool(_tasks_response, coordinator, worker_id, claims or [])


@router.get("/pending", summary="Pending chunks in claim order, read only")
async def pending(
    request: Request,
    coordinator: InCoordinator,
    principal: CurrentPrincipal,
    worker_id: messages.WorkerId,
    limit: Annotated[int, Query(ge=1, le=200_000)] = 500,
    newest_first: bool = False,
    source: RecordingIds = None,
    without_models: WithoutModels = None,
    wait: Wait = 0.0,
) -> messages.PageMessage:
    dispatcher = Dispatcher(coordinator, principal, worker_id)
    order = Order(newest_first, tuple(source or ()), without_models=tuple(without_models or ()))
    page = Page((), is_last=True)

    async def read(is_repeat: bool) -> Page | None:
        nonlocal page
        most = min(limit, _MAX_PAGE)
        page = await run_in_threadpool(
            dispatcher.page, most, order, is_repeat=is_repeat, is_waiting=wait > 0
        )
        return page if page.chunks else None

    await _poll(request, coordinator, read, wait)
    slots_alive = await run_in_threadpool(coordinator.roster.slots_alive)
    return messages.PageMessage(
        page.chunks, page.is_last, page.next_due_seconds, page.models, page.growing, slots_alive
    )


@router.get("/count", summary="How many chunks are pending")
def count(
    coordinator: InCoordinator,
    principal: CurrentPrincipal,
    source: RecordingIds = None,
    models: Models = None,
) -> PendingCount:
    dispatcher = Dispatcher(coordinator, principal)
    order = Order(recordings=tuple(source or ()), models=tuple(models or ()))
    if not dispatcher.is_open:
        return PendingCount(pending=0)
    count = model_routing.count_pending(coordinator.database, order)
    found = model_routing.with_length(coordinator.database, order, count)
    return PendingCount(pending=found.chunks, audio_seconds=found.seconds or 0.0)


@router.post(
    "/claim",
    summary="Claims one chunk",
    response_model=messages.TasksMessage,
    responses={204: {"description": "Another worker was first."}},
)
def claim(
    coordinator: InCoordinator, principal: CurrentPrincipal, request: messages.ClaimRequest
) -> Response | messages.TasksMessage:
    dispatcher = Dispatcher(coordinator, principal, request.worker_id)
    chunk = _claim(coordinator, request).chunk
    claims = dispatcher.claims(request.lease_seconds)
    claimed = dispatcher.is_open and claims.claim(chunk, request.claim_id)
    return _tasks_response(coordinator, request.worker_id, [claimed] if claimed else [])


@router.post("/renew", summary="Starts leases anew", responses=error_responses(409))
def renew(
    coordinator: InCoordinator, principal: CurrentPrincipal, renewal: messages.Renewal
) -> LeaseRenewal:
    lease_seconds = renewal.lease_seconds or coordinator.settings.lease_seconds
    claims = Dispatcher(coordinator, principal, renewal.worker_id).claims(lease_seconds)
    if renewal.others is None:
        claims.renew(_claim(coordinator, renewal))
        return LeaseRenewal(lease_seconds=lease_seconds)
    recordings = recordings_of(coordinator.database, (held.chunk_id for held in renewal.others))
    others = (
        Claim(
            held.claim_id,
            Chunk(held.chunk_id, recordings.get(held.chunk_id), 0),
            renewal.worker_id,
            trusted_until=0.0,
        )
        for held in renewal.others
    )
    lost = claims.renew_all([_claim(coordinator, renewal), *others])
    return LeaseRenewal(lease_seconds=lease_seconds, lost=[claim.chunk.id for claim in lost])


@_completions.post("/complete", summary="Writes the result", responses=error_responses(409, 413))
def complete(
    coordinator: InCoordinator, principal: CurrentPrincipal, done: messages.Completion
) -> Acknowledgement:
    claims = Dispatcher(coordinator, principal, done.worker_id).claims()
    transcript = replace(done.transcript, worker=done.worker_id)
    claims.complete(_claim(coordinator, done, duration=done.duration), transcript)
    return Acknowledgement()


router.include_router(_completions)


@router.post(
    "/release",
    summary="Gives the chunk back, uncharged",
    responses=error_responses(409),
)
def release(
    coordinator: InCoordinator, principal: CurrentPrincipal, held: messages.Release
) -> Acknowledgement:
    claims = Dispatcher(coordinator, principal, held.worker_id).claims()
    claims.release(_claim(coordinator, held), isolated=held.isolated)
    return Acknowledgement()


@router.post("/fail", summary="Counts a failure of the chunk", responses=error_responses(409))
def fail(
    coordinator: InCoordinator, principal: CurrentPrincipal, failure: messages.Failure
) -> Acknowledgement:
    claims = Dispatcher(coordinator, principal, failure.worker_id).claims()
    claim = _claim(coordinator, failure, attempts=failure.attempts)
    claims.fail(claim, failure.kind, failure.message, server=failure.server)
    return Acknowledgement()


async def _poll(
    request: Request,
    coordinator: Coordinator,
    attempt: Callable[[bool], Awaitable[T | None]],
    wait_seconds: float,
) -> T | None:
    """Attempt every second until there is a result, the time is over, or either side ends.

    `attempt` is passed False at first, then True.
    """
    deadline = time.monotonic() + wait_seconds
    found = await attempt(False)
    while found is None:
        left = deadline - time.monotonic()
        if left <= 0 or coordinator.closing.is_set():
            return None
        await asyncio.sleep(min(_POLL_SECONDS, left))
        if await request.is_disconnected():  # just before, so that no claim goes to a lost client
            return None
        found = await attempt(True)
    return found


def _claim(
    coordinator: Coordinator,
    held: messages.Held,
    *,
    attempts: int = 0,
    duration: float | None = None,
) -> Claim:
    """Return what the fence needs, and the recording, by which the collection may be sharded.

    Not trusted, so that the database is asked once: the worker itself retries.
    """
    recording_id = recordings_of(coordinator.database, [held.chunk_id]).get(held.chunk_id)
    chunk = Chunk(held.chunk_id, recording_id, 0, duration=duration, attempts=attempts)
    return Claim(held.claim_id, chunk, held.worker_id, trusted_until=0.0)


def _tasks_response(
    coordinator: Coordinator, worker_id: str, claims: list[Claim]
) -> Response | messages.TasksMessage:
    if not claims:
        return Response(status_code=204)
    recording = coordinator.recordings.of(claims[0].chunk)
    return messages.TasksMessage(
        worker_id=worker_id,
        claim_id=claims[0].id,
        lease_seconds=coordinator.settings.lease_seconds,
        options=messages.OptionsMessage.of(recording),
        tasks=tuple(
            messages.TaskMessage(
                chunk=claim.chunk,
                audio=f"/chunks/{claim.chunk.id}.{claim.chunk.extension}",
            )
            for claim in claims
        ),
    )
