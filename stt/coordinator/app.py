"""The application: routes, middleware, and statuses for errors."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match

from stt import __version__
from stt.coordinator import openapi
from stt.coordinator.audio_retention import start_audio_retention
from stt.coordinator.context import Coordinator
from stt.coordinator.errors import ApiError, error_body, error_response
from stt.coordinator.fault_texts import fault_text
from stt.coordinator.lease_reaper import start_lease_reaper
from stt.coordinator.live.dashboard import Dashboard
from stt.coordinator.live.node_monitor import NodeMonitor
from stt.coordinator.middleware.access_log import AccessLog
from stt.coordinator.middleware.authentication import OPEN, Authentication, is_navigation
from stt.coordinator.middleware.body_limit import BodyLimit
from stt.coordinator.middleware.security_headers import HEADERS, SecurityHeaders
from stt.coordinator.middleware.shutdown import Shutdown
from stt.coordinator.routes import (
    bulk,
    chunks,
    health,
    live,
    login,
    nodes,
    options,
    pages,
    quarantine,
    recording_audio,
    recordings,
    resumable_uploads,
    search,
    speakers,
    status,
    tasks,
    transcripts,
    uploads,
)
from stt.errors import SttError

_UNKEYED = (health, login)
_KEYED = (
    tasks, chunks, status, quarantine, nodes, uploads, resumable_uploads, recordings, bulk,
    recording_audio, transcripts, speakers, search, options, live, pages,
)  # fmt: skip
_REAPER_STOP_SECONDS = 1.0
_HTTP_CODES = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    412: "version",
    413: "too_large",
    415: "media_type",
    416: "range",
}


def create_app(coordinator: Coordinator) -> FastAPI:
    """Return the ASGI application."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        reaper = start_lease_reaper(coordinator)
        start_audio_retention(coordinator)
        yield
        coordinator.closing.set()
        reaper.join(_REAPER_STOP_SECONDS)

    # The API page's files come from this machine: it may be far from any network. The page has a
    # route of its own in openapi.py, since its one inline script must be allowed.
    app = FastAPIOffline(
        docs_url=None,
        redoc_url=None,
        static_url="/docs-files",
        title="stt coordinator",
        summary=openapi.SUMMARY,
        description=openapi.DESCRIPTION,
        version=__version__,
        lifespan=lifespan,
    )
    app.state.coordinator = coordinator
    app.state.dashboard = Dashboard(coordinator)
    app.state.node_monitor = NodeMonitor(coordinator)
    for module in _UNKEYED:
        app.include_router(module.router, responses=openapi.error_responses(400, 422))
    keyed_errors = openapi.error_responses(400, 401, 403, 410, 422, 429, 503)
    for module in _KEYED:
        app.include_router(module.router, responses=keyed_errors)
    app.include_router(openapi.router)
    openapi.describe_access(app, OPEN)
    # The last one added is the outermost.
    app.add_middleware(BodyLimit)
    app.add_middleware(Authentication, authenticator=coordinator.authenticator)
    app.add_middleware(Shutdown, closing=coordinator.closing)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(AccessLog, metrics=coordinator.metrics)
    app.add_exception_handler(ApiError, _known_error)
    app.add_exception_handler(SttError, _known_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(ClientDisconnect, _disconnected)
    app.add_exception_handler(Exception, _unexpected_error)
    return app


async def _known_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError | SttError)
    return _or_page(request, error_response(error))


def _or_page(request: Request, response: JSONResponse) -> Response:
    """Return a response, or for a browser that opens an address where nothing is, a page."""
    if response.status_code == 404 and is_navigation(request):
        return FileResponse(pages.SHELL, status_code=404)
    return response


async def _http_error(request: Request, error: Exception) -> Response:
    """Answer 404, 405 and Starlette's own errors."""
    assert isinstance(error, HTTPException)
    message, headers = str(error.detail), error.headers
    if error.status_code == 404 and message == "Not Found":
        message = "There is nothing at this address."
    elif error.status_code == 405:
        message = f"{request.method} is not for this address."
        headers = {"Allow": _allowed_methods(request)}
    code = _HTTP_CODES.get(error.status_code, "http")
    return _or_page(request, error_body(error.status_code, code, message, headers))


def _allowed_methods(request: Request) -> str:
    """Return those of all routes with this path: Starlette names the first route's alone."""
    return ", ".join(
        method
        for method in ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST")
        if any(
            route.matches({**request.scope, "method": method})[0] == Match.FULL
            for route in request.app.routes
        )
    )


async def _validation_error(_: Request, error: Exception) -> JSONResponse:
    """Say what is wrong, and never repeat a value: it may be a key."""
    assert isinstance(error, RequestValidationError)
    errors = "; ".join(
        f"{'.'.join(map(str, fault['loc'][1:])) or fault['loc'][0]}: {fault_text(fault)}"
        for fault in error.errors()[:5]
    )
    return error_body(422, "invalid", errors[:1_000] or "The request is not valid.")


async def _disconnected(_: Request, __: Exception) -> JSONResponse:
    """Answer a client that has left before its body's end, without a traceback in the log."""
    return error_body(400, "bad_request", "The connection broke off.")


async def _unexpected_error(request: Request, _: Exception) -> JSONResponse:
    """Answer outside of all middleware; Starlette raises the error on, and uvicorn logs it."""
    request_id = request.scope.get("state", {}).get("request_id", "")
    message = f"The coordinator failed; its log says why, at request {request_id}."
    headers = {**HEADERS, "Cache-Control": "no-store", "X-Request-ID": request_id}
    return error_body(500, "internal", message, headers)
