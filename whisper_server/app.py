"""The ASGI application: routes, key, upload limit, and error → status."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.routing import Match

from whisper_server import __version__, api_docs
from whisper_server.auth import require_key
from whisper_server.errors import ApiError, InvalidRequest, ServerFault
from whisper_server.metrics import RequestCount
from whisper_server.routes import health, jobs, models, system, transcriptions
from whisper_server.schemas import ErrorOut
from whisper_server.service import Service
from whisper_server.upload_limit import UploadLimit


def create_app(service: Service, on_load_failure: Callable[[], None]) -> FastAPI:
    """Return the application; its start-up begins to load the model and returns at once."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.load_in_background(on_load_failure)
        yield
        await service.jobs.close()

    # The page and what it needs come from this machine: it may be far from any network.
    app = FastAPIOffline(
        redoc_url=None,
        static_url="/docs-files",
        title="stt whisper server",
        summary=api_docs.SUMMARY,
        description=api_docs.DESCRIPTION,
        openapi_tags=api_docs.TAGS,
        swagger_ui_parameters=api_docs.PAGE,
        version=__version__,
        lifespan=lifespan,
    )
    app.add_middleware(UploadLimit, max_bytes=service.settings.max_upload_bytes)
    app.add_middleware(RequestCount, metrics=service.metrics)
    app.state.metrics = service.metrics
    key = service.settings.api_key
    guard = [Depends(require_key(key))] if key else []
    keyed = api_docs.errors(401) if key else api_docs.errors()
    for module in (transcriptions, jobs, models, system):
        app.include_router(module.router(service), dependencies=guard, responses=keyed)
    app.include_router(health.router(service), responses=api_docs.errors())
    app.openapi = partial(_with_examples, app.openapi)  # type: ignore[method-assign]
    app.add_exception_handler(ApiError, _error_response)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(Exception, _unforeseen_error)
    return app


def _with_examples(plain: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    schema = plain()
    schema["components"]["examples"] = api_docs.EXAMPLES
    return schema


async def _error_response(request: Request, error: Exception) -> JSONResponse:
    """Return OpenAI's error object, counted by its code."""
    assert isinstance(error, ApiError)
    if error.code:  # a client that has left has none
        request.app.state.metrics.error(error.code)
    content = ErrorOut.of(error).model_dump()
    return JSONResponse(content, status_code=error.status, headers=error.headers)


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    """Answer 404, 405 and what Starlette finds wrong with a form."""
    assert isinstance(error, HTTPException)
    message, code, headers = str(error.detail), "invalid_request", error.headers or {}
    if error.status_code == 404:
        message, code = f"There is nothing at {request.url.path}.", "not_found"
    elif error.status_code == 405:
        message = f"{request.method} is not for {request.url.path}."
        code, headers = "method_not_allowed", {"Allow": _allowed_methods(request)}
    found = InvalidRequest(message, code=code)
    found.status, found.headers = error.status_code, headers
    return await _error_response(request, found)


def _allowed_methods(request: Request) -> str:
    """Return those of all routes with this path: Starlette names the first one's alone."""
    return ", ".join(
        method
        for method in ("DELETE", "GET", "HEAD", "POST")
        if any(
            route.matches({**request.scope, "method": method})[0] == Match.FULL
            for route in request.app.routes
        )
    )


async def _validation_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    name = str(first["loc"][-1])
    found = InvalidRequest(f"Invalid '{name}': {first['msg']}", param=name)
    return await _error_response(request, found)


async def _unforeseen_error(request: Request, _: Exception) -> JSONResponse:
    """Answer 500; Starlette raises the error on, and uvicorn logs the traceback."""
    found = ServerFault("The server failed; its log says why.")
    return await _error_response(request, found)
