"""What the coordinator refuses, as statuses: one body for all, `{"error": {"code", "message"}}`.

ApiError
├── BadRequest    400   ├── Unauthorized  401   ├── Forbidden  403   ├── Missing  404
├── Conflict      409   ├── Gone          410   ├── TooLarge   413   ├── TooMany  429
├── OutOfSpace    507   ├── Stalled       408   └── Unprocessable 422

Errors of the floors below become statuses too: ClaimLost 409, NotFound 404, NodeRemoved 410,
DatabaseUnavailable 503, DatabaseRefused and RecordingError 422.
"""

from collections.abc import Mapping
from typing import ClassVar

from fastapi.responses import JSONResponse

from stt.coordinator.store.options import OptionLocked
from stt.errors import (
    Ambiguous,
    ClaimLost,
    ConfigError,
    DatabaseRefused,
    DatabaseUnavailable,
    NodeRemoved,
    NotFound,
    RecordingError,
    SttError,
)


class ApiError(Exception):
    """A sentence for whoever asked, and the status that goes with it."""

    status: ClassVar[int] = 500
    code: str = "error"

    def __init__(
        self, message: str, headers: Mapping[str, str] | None = None, *, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.headers = dict(headers or {})
        if code is not None:
            self.code = code


class BadRequest(ApiError):
    status, code = 400, "bad_request"


class Unauthorized(ApiError):
    """Says which kind of key is wanted."""

    status, code = 401, "unauthorized"

    def __init__(self, message: str) -> None:
        super().__init__(message, {"WWW-Authenticate": "Bearer"})


class Forbidden(ApiError):
    status, code = 403, "forbidden"


class Missing(ApiError):
    status, code = 404, "not_found"


class Conflict(ApiError):
    status, code = 409, "conflict"


class Gone(ApiError):
    status, code = 410, "gone"


class TooLarge(ApiError):
    status, code = 413, "too_large"


class Unprocessable(ApiError):
    status, code = 422, "unprocessable"


class TooMany(ApiError):
    """Carries `Retry-After`."""

    status, code = 429, "too_many"


class Stalled(ApiError):
    status, code = 408, "stalled"


class OutOfSpace(ApiError):
    status, code = 507, "out_of_space"


_OF_FLOORS: tuple[tuple[type[SttError], int, str], ...] = (
    (ClaimLost, 409, "claim_lost"),
    (Ambiguous, 409, "ambiguous"),
    (NotFound, 404, "not_found"),
    (NodeRemoved, 410, "node_removed"),
    (DatabaseUnavailable, 503, "database_away"),
    (DatabaseRefused, 422, "database_refused"),
    (RecordingError, 422, "recording"),
    (OptionLocked, 409, "locked"),
    (ConfigError, 422, "configuration"),
)
_RETRY_AFTER_SECONDS = "2"


def error_response(error: ApiError | SttError) -> JSONResponse:
    """An error as its answer."""
    if isinstance(error, ApiError):
        return error_body(error.status, error.code, str(error), error.headers)
    for kind, status, code in _OF_FLOORS:
        if isinstance(error, kind):
            headers = {"Retry-After": _RETRY_AFTER_SECONDS} if status == 503 else None
            return error_body(status, code, str(error), headers)
    return error_body(500, "error", str(error))


def error_body(
    status: int, code: str, message: str, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """The one form that every error has."""
    content = {"error": {"code": code, "message": message}}
    return JSONResponse(content, status_code=status, headers=headers)
