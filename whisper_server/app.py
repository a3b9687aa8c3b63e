"""Puts the application together: routes, key, upload limit, and error → status."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from whisper_server import __version__
from whisper_server.auth import require_key
from whisper_server.errors import ApiError, InvalidRequest, ServerFault
from whisper_server.routes import health, models, openai, recordings
from whisper_server.schemas import ErrorDetail, ErrorOut
from whisper_server.service import Service
from whisper_server.upload_limit import UploadLimit

_ERRORS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": ErrorOut, "description": "What is wrong with the request"},
    "5XX": {"model": ErrorOut, "description": "What is wrong here; 503 carries Retry-After"},
}


def create_app(service: Service, on_load_failure: Callable[[], None]) -> FastAPI:
    """The ASGI application; its start-up begins to load the model and returns at once."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.load_in_background(on_load_failure)
        yield

    app = FastAPI(
        title="stt whisper server", version=__version__, lifespan=lifespan, responses=_ERRORS
    )
    app.add_middleware(UploadLimit, max_bytes=service.settings.max_upload_bytes)
    keyed = [Depends(require_key(service.settings.api_key))]
    app.include_router(openai.router(service), dependencies=keyed)
    app.include_router(recordings.router(service), dependencies=keyed)
    app.include_router(models.router(service), dependencies=keyed)
    app.include_router(health.router(service))
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(Exception, _unforeseen_error)
    return app


def error_response(error: ApiError) -> JSONResponse:
    """OpenAI's error object."""
    detail = ErrorDetail(message=str(error), type=error.type, param=error.param, code=error.code)
    return JSONResponse(
        ErrorOut(error=detail).model_dump(), status_code=error.status, headers=error.headers
    )


async def _api_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ApiError)
    return error_response(error)


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    """404, 405 and what Starlette finds wrong with a form."""
    assert isinstance(error, HTTPException)
    message, code = str(error.detail), "invalid_request"
    if error.status_code == 404:
        message, code = f"There is nothing at {request.url.path}.", "not_found"
    elif error.status_code == 405:
        message = f"{request.method} is not for {request.url.path}."
        code = "method_not_allowed"
    detail = ErrorDetail(message=message, type="invalid_request_error", param=None, code=code)
    return JSONResponse(
        ErrorOut(error=detail).model_dump(), status_code=error.status_code, headers=error.headers
    )


async def _validation_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    return error_response(InvalidRequest(first["msg"], param=str(first["loc"][-1])))


async def _unforeseen_error(_: Request, __: Exception) -> JSONResponse:
    """The traceback goes to the log: Starlette raises the error on, and uvicorn logs it."""
    return error_response(ServerFault("The server failed; its log says why."))
