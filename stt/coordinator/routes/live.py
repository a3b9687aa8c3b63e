"""The pages' WebSocket: sends what `live/dashboard.py` has, until the session ends."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.websockets import WebSocket, WebSocketDisconnect

from stt.coordinator.context import Coordinator, CurrentPrincipal, InCoordinator, Person
from stt.coordinator.live.dashboard import Dashboard
from stt.errors import SttError

router = APIRouter(tags=["live"])

# Codes of closing (RFC 6455, and 4000 to 4999 for applications).
SESSION_OVER = 4401
_GOING_AWAY = 1001
_POLICY_VIOLATION = 1008
_TRY_AGAIN_LATER = 1013

_CHECK_SECONDS = 1.0
_AUTHORIZATION_SECONDS = 5.0
_SEND_SECONDS = 10.0


@router.websocket("/ws/dashboard")
async def live(socket: WebSocket, coordinator: InCoordinator, principal: CurrentPrincipal) -> None:
    """Live state for the pages; for people."""
    if not isinstance(principal, Person):
        await socket.close(_POLICY_VIOLATION)  # before it is accepted: 403
        return
    await socket.accept()
    disconnection = asyncio.create_task(_wait_until_disconnected(socket))
    dashboard: Dashboard = socket.app.state.dashboard
    try:
        async with dashboard.subscription():
            code = await _serve(socket, coordinator, dashboard, disconnection)
        if code is not None:
            await asyncio.wait_for(socket.close(code), _CHECK_SECONDS)
    except (WebSocketDisconnect, TimeoutError, RuntimeError, OSError):
        return  # the client disconnected during a send
    finally:
        disconnection.cancel()
        with suppress(asyncio.CancelledError):
            await disconnection


async def _serve(
    socket: WebSocket,
    coordinator: Coordinator,
    dashboard: Dashboard,
    disconnection: "asyncio.Task[None]",
) -> int | None:
    """Send all messages; return the code to close with, None if the client disconnected."""
    number, checked_at = 0, time.monotonic()
    while not disconnection.done():
        for message in dashboard.messages_after(number):
            try:
                await asyncio.wait_for(socket.send_text(message.text), _SEND_SECONDS)
            except TimeoutError:
                return _TRY_AGAIN_LATER
            number = message.number
        if coordinator.closing.is_set():
            return _GOING_AWAY
        if time.monotonic() - checked_at >= _AUTHORIZATION_SECONDS:
            checked_at = time.monotonic()
            if not await _is_authorized(socket):
                return SESSION_OVER
        await dashboard.wait(_CHECK_SECONDS)
    return None


async def _is_authorized(socket: WebSocket) -> bool:
    """Check the key or session again; True also while the database does not answer."""
    is_authorized: Callable[[], bool] = socket.scope["state"]["is_authorized"]
    try:
        return await run_in_threadpool(is_authorized)
    except SttError:
        return True


async def _wait_until_disconnected(socket: WebSocket) -> None:
    """Drop what pages send: they have nothing to say."""
    with suppress(WebSocketDisconnect, RuntimeError):
        while (await socket.receive())["type"] != "websocket.disconnect":
            pass
