"""The pages' WebSocket: what `live/dashboard.py` sends, until the session ends."""

import asyncio
import time
from contextlib import suppress

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.websockets import WebSocket, WebSocketDisconnect

from stt.coordinator.context import Person, coordinator_of, is_still_authorized, principal_of
from stt.coordinator.live.dashboard import Dashboard, dashboard_of
from stt.errors import SttError

router = APIRouter(tags=["live"])

SESSION_OVER = 4401
_GOING_AWAY = 1001
_NOT_FOR_YOU = 1008
_TOO_SLOW = 1013
_LOOK_SECONDS = 1.0
_WELCOME_SECONDS = 5.0
_SEND_SECONDS = 10.0


@router.websocket("/ws/dashboard")
async def live(socket: WebSocket) -> None:
    """Live state for the pages; for people."""
    if not isinstance(principal_of(socket), Person):
        await socket.close(_NOT_FOR_YOU)  # before it is accepted: 403
        return
    await socket.accept()
    gone = asyncio.create_task(_until_gone(socket))
    dashboard = dashboard_of(socket)
    try:
        async with dashboard.watching():
            code = await _serve(socket, dashboard, gone)
        if code is not None:
            await asyncio.wait_for(socket.close(code), _LOOK_SECONDS)
    except (WebSocketDisconnect, TimeoutError, RuntimeError, OSError):
        return  # it went while something was sent
    finally:
        gone.cancel()
        with suppress(asyncio.CancelledError):
            await gone


async def _serve(socket: WebSocket, dashboard: Dashboard, gone: "asyncio.Task[None]") -> int | None:
    """Tells all there is to tell; the code to close with, None if the other side has gone."""
    heard, checked_at = 0, time.monotonic()
    while not gone.done():
        for message in dashboard.since(heard):
            try:
                await asyncio.wait_for(socket.send_text(message.text), _SEND_SECONDS)
            except TimeoutError:
                return _TOO_SLOW
            heard = message.number
        if coordinator_of(socket).closing.is_set():
            return _GOING_AWAY
        if time.monotonic() - checked_at >= _WELCOME_SECONDS:
            checked_at = time.monotonic()
            if not await _is_authorized(socket):
                return SESSION_OVER
        await dashboard.wait(_LOOK_SECONDS)
    return None


async def _is_authorized(socket: WebSocket) -> bool:
    """True too while nobody can know."""
    try:
        return await run_in_threadpool(is_still_authorized, socket)
    except SttError:
        return True


async def _until_gone(socket: WebSocket) -> None:
    """Pages say nothing; whatever comes is dropped."""
    with suppress(WebSocketDisconnect, RuntimeError):
        while (await socket.receive())["type"] != "websocket.disconnect":
            pass
