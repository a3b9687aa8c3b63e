"""Errors as HTTP statuses, with one body for all: `{"error": {"code", "message"}}`.

ApiError
├── BadRequest    400   ├── Unauthorized  401   ├── Forbidden  403   ├── Stalled       408
├── Conflict      409   ├── Gone          410   ├── TooLarge   413   ├── Unprocessable 422
├── Locked        423   ├── TooMany       429  └── OutOfSpace    507

Errors of the layers below have their statuses in `_STATUSES`.
"""

from collections.abc import Mapping
from typing import ClassVar

from fastapi.responses import JSONResponse

from stt import errors
from stt.coordinator.store.options import OptionLocked
from stt.store.search import SearchTooSlow
from stt.store.search_query import BadQuery


class ApiError(Exception):
    """A sentence for the caller, and the status that goes with it."""

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
    """Names the kind of key that is needed."""

    status, code = 401, "unauthorized"

    def __init__(self, message: str) -> None:
        super().__init__(message, {"WWW-Authenticate": "Bearer"})


class Forbidden(ApiError):
    status, code = 403, "forbidden"


class Stalled(ApiError):
    status, code = 408, "stalled"


class Conflict(ApiError):
    status, code = 409, "conflict"


class Gone(ApiError):
    status, code = 410, "gone"


class TooLarge(ApiError):
    status, code = 413, "too_large"


class Unprocessable(ApiError):
    status, code = 422, "unprocessable"


class Locked(ApiError):
    status, code = 423, "locked"


class TooMany(ApiError):
    """Carries `Retry-After`."""

    status, code = 429, "too_many"


class OutOfSpace(ApiError):
    status, code = 507, "out_of_space"


_STATUSES: tuple[tuple[type[errors.SttError], int, str, Mapping[str, str]], ...] = (
    (errors.ClaimLost, 409, "claim_lost", {}),
    (errors.Ambiguous, 409, "ambiguous", {}),
    (errors.NotFound, 404, "not_found", {}),
    (errors.BadAudio, 404, "not_found", {}),
    (errors.NodeRemoved, 410, "node_removed", {}),
    (SearchTooSlow, 503, "too_slow", {}),
    (errors.EditConflict, 409, "edit_conflict", {}),
    (errors.HasEdits, 409, "has_edits", {}),
    (errors.AudioRemoved, 409, "audio_removed", {}),
    (errors.ChannelsSplit, 409, "channels_split", {}),
    (errors.AudioNotAllowed, 409, "audio_not_allowed", {}),
    (errors.AudioStoreUnavailable, 503, "audio_store", {"Retry-After": "5"}),
    (errors.AudioStoreRefused, 503, "audio_store", {"Retry-After": "60"}),
    (errors.DatabaseUnavailable, 503, "database_away", {"Retry-After": "2"}),
    (errors.DatabaseRefused, 422, "database_refused", {}),
    (errors.RecordingError, 422, "recording", {}),
    (OptionLocked, 409, "locked", {}),
    (errors.ConfigError, 422, "configuration", {}),
    (BadQuery, 422, "unprocessable", {}),
)


def error_response(error: ApiError | errors.SttError) -> JSONResponse:
    """Return the response for an error."""
    if isinstance(error, ApiError):
        return error_body(error.status, error.code, str(error), error.headers)
    status, code, headers = _status_of(error)
    return error_body(status, code, str(error), headers)


def code_of(error: errors.SttError) -> str:
    """Return the code that the response for an error has."""
    return _status_of(error)[1]


def _status_of(error: errors.SttError) -> tuple[int, str, Mapping[str, str]]:
    for kind, status, code, headers in _STATUSES:
        if isinstance(error, kind):
            return status, code, headers
    return 500, "error", {}


def error_body(
    status: int, code: str, message: str, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Return the one form that every error has."""
    content = {"error": {"code": code, "message": message}}
    return JSONResponse(content, status_code=status, headers=headers)
