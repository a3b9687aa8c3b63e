"""The pages' WebSocket: sends what `live/dashboard.py` has, until the session ends."""

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.websockets import WebSocket

from stt.coordinator.authenticator import Person
from stt.coordinator.context import CurrentPrincipal, InCoordinator
from stt.coordinator.live.dashboard import Dashboard
from stt.coordinator.live.polling_monitor import run_until_one_ends
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
    dashboard: Dashboard = socket.app.state.dashboard
    # The client may disconnect during a send.
    with suppress(TimeoutError, RuntimeError, OSError):
        async with dashboard.subscription():
            await run_until_one_ends(
                _receive(socket), _send(socket, dashboard, coordinator.closing)
            )


async def _receive(socket: WebSocket) -> None:
    """Drop what pages send: they have nothing to say."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass


async def _send(socket: WebSocket, dashboard: Dashboard, closing: threading.Event) -> None:
    code = await _send_messages(socket, dashboard, closing)
    await asyncio.wait_for(socket.close(code), _CHECK_SECONDS)


async def _send_messages(socket: WebSocket, dashboard: Dashboard, closing: threading.Event) -> int:
    """Send all messages until something ends that; return the code to close with."""
    number, checked_at = 0, time.monotonic()
    while True:
        for message in dashboard.messages_after(number):
            try:
                await asyncio.wait_for(socket.send_text(message.text), _SEND_SECONDS)
            except TimeoutError:
                return _TRY_AGAIN_LATER
            number = message.number
        if closing.is_set():
            return _GOING_AWAY
        if time.monotonic() - checked_at >= _AUTHORIZATION_SECONDS:
            checked_at = time.monotonic()
            if not await _is_authorized(socket):
                return SESSION_OVER
        await dashboard.wait(_CHECK_SECONDS)


async def _is_authorized(socket: WebSocket) -> bool:
    """Check the key or session again; True also while the database does not answer."""
    is_authorized: Callable[[], bool] = socket.scope["state"]["is_authorized"]
    try:
        return await run_in_threadpool(is_authorized)
    except SttError:
        return True
