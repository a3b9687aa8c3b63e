"""The ASGI application: routes, key, and error → status."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from threading import Thread
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.routing import Match

from whisper_server import __version__, api_docs
from whisper_server.auth import require_key
from whisper_server.errors import ApiError, InvalidRequest, ServerFault
from whisper_server.metrics import RequestCount
from whisper_server.model_service import Service
from whisper_server.page_access import add_page_access
from whisper_server.routes import health, jobs, models, system, transcriptions
from whisper_server.schemas import ErrorOut


def create_app(service: Service, on_load_failure: Callable[[], None]) -> FastAPI:
    """Return the application; its start-up begins to load the model and returns at once."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        # A daemon thread: a download must not keep the process alive.
        loading = Thread(
            target=service.load, args=(on_load_failure,), name="load-model", daemon=True
        )
        loading.start()
        yield
        await service.jobs.close()

    # The page is served with all its files, for machines without a network.
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
    add_page_access(app, service.settings, _respond)
    app.add_middleware(RequestCount, metrics=service.metrics)  # the outermost
    app.state.metrics = service.metrics
    key = service.settings.api_key
    guard = [Depends(require_key(key))] if key else []
    keyed = api_docs.errors(401) if key else api_docs.errors()
    for module in (transcriptions, jobs, models, system):
        app.include_router(module.router(service), dependencies=guard, responses=keyed)
    app.include_router(health.router(service), responses=api_docs.errors())
    app.openapi = partial(_with_examples, app.openapi)  # type: ignore[method-assign]
    for kind in (ApiError, HTTPException, RequestValidationError, Exception):
        app.add_exception_handler(kind, _error_response)
    return app


def _with_examples(plain: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    schema = plain()
    schema["components"]["examples"] = api_docs.EXAMPLES
    return schema


async def _error_response(request: Request, error: Exception) -> JSONResponse:
    """Return OpenAI's error object, and count it.

    Starlette raises what is unforeseen once more, and uvicorn logs the traceback.
    """
    return _respond(request, _api_error(request, error))


def _respond(connection: HTTPConnection, error: ApiError) -> JSONResponse:
    connection.app.state.metrics.error(error)
    content = ErrorOut.of(error).model_dump()
    return JSONResponse(content, status_code=error.status, headers=error.headers)


def _api_error(request: Request, error: Exception) -> ApiError:
    path = request.url.path
    match error:
        case ApiError():
            return error
        case RequestValidationError():
            first = error.errors()[0]
            name = str(first["loc"][-1])
            return InvalidRequest(f"Invalid '{name}': {first['msg']}", param=name)
        case HTTPException(status_code=404):
            found = InvalidRequest(f"There is nothing at {path}.", code="not_found")
        case HTTPException(status_code=405):
            found = InvalidRequest(
                f"{request.method} is not for {path}.", code="method_not_allowed"
            )
            found.headers = {"Allow": _allowed_methods(request)}
        case HTTPException():  # what Starlette finds wrong with a form
            found = InvalidRequest(str(error.detail), code="invalid_request")
            found.headers = error.headers or {}
        case _:
            return ServerFault()
    found.status = error.status_code
    return found


def _allowed_methods(request: Request) -> str:
    """Return the methods of all routes with this path; Starlette names the first route's only."""
    return ", ".join(
        method
        for method in ("DELETE", "GET", "HEAD", "POST")
        if any(
            route.matches({**request.scope, "method": method})[0] == Match.FULL
            for route in request.app.routes
        )
    )
