"""Every error of the package, by who has to act on it.

WhisperServerError           a sentence for the person
├── StartError               the operator: the server cannot start or go on (exit 3)
│   └── ModelUnavailable     the model cannot be found, fetched or loaded
├── EngineError              a transcription did not come to its end
│   ├── EngineStopped        because it was cancelled
│   └── EngineFailed         because the engine broke: the log knows why (500)
│       └── OutOfMemory      because the device has no room for so large a batch
└── ApiError                 the client: becomes OpenAI's error object
    ├── InvalidRequest       a parameter is missing or wrong (400)
    │   └── InvalidAudio     what was uploaded is not audio that can be decoded (400)
    ├── WrongKey             (401)
    ├── ForeignPage          a page of another site asks, of a server without key (403)
    ├── UnknownModel         (404)
    ├── UnknownJob           never there, forgotten, or of an earlier start (404)
    ├── UploadStalled        the rest of the upload does not come (408)
    ├── TooLarge             more bytes, or more seconds, than the server takes (413)
    ├── ForeignHost          a name that may be another site's, of a server without key (421)
    ├── TooManyWrongKeys     from this address; try again after a while (429)
    ├── ClientGone           the client has left (499, never sent)
    ├── ServerFault          (500)
    ├── RequestTimeout       it took longer than the operator allows (504)
    └── Unavailable          try again after `retry_after_seconds` (503)
        └── ShuttingDown     at another server, or once this one is back
"""

import re
from collections.abc import Mapping
from typing import ClassVar

EXIT_INTERRUPTED = 130


class WhisperServerError(Exception):
    """Base of all errors of the package; `str()` of it is one clear line."""


class StartError(WhisperServerError):
    """The server cannot start with these settings; the message says what to do next."""

    exit_code: ClassVar[int] = 3


class ModelUnavailable(StartError):
    pass


class EngineError(WhisperServerError):
    pass


class EngineStopped(EngineError):
    pass


class EngineFailed(EngineError):
    pass


class OutOfMemory(EngineFailed):
    pass


class ApiError(WhisperServerError):
    """An error response: a status and OpenAI's `{message, type, param, code}`."""

    status = 500
    type = "invalid_request_error"
    default_code: ClassVar[str | None] = None
    headers: Mapping[str, str] = {}

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code or self.default_code


class InvalidRequest(ApiError):
    status = 400
    default_code = "invalid_value"


class InvalidAudio(InvalidRequest):
    default_code = "invalid_audio"


class WrongKey(ApiError):
    status = 401
    default_code = "invalid_api_key"
    headers: Mapping[str, str] = {"WWW-Authenticate": "Bearer"}


class ForeignPage(ApiError):
    status = 403
    default_code = "foreign_page"

    def __init__(self) -> None:
        super().__init__(
            "A page of another site asked for this, and this server has no key: add the page's "
            "origin to CORS_ORIGINS at the server."
        )


class ForeignHost(ApiError):
    status = 421
    default_code = "foreign_host"

    def __init__(self, host: str) -> None:
        name = re.sub(r":\d*$", "", host[:100])
        name = "".join(sign for sign in name if sign.isascii() and sign.isprintable())
        super().__init__(
            f"This server has no key and does not know the name '{name}', which may be another "
            "site's: add it to ALLOWED_HOSTS at the server, or set API_KEY there."
        )


class UnknownModel(ApiError):
    status = 404
    default_code = "model_not_found"


class UnknownJob(ApiError):
    status = 404
    default_code = "job_not_found"


class UploadStalled(ApiError):
    status = 408
    default_code = "upload_stalled"


class TooLarge(ApiError):
    status = 413
    default_code = "file_too_large"


class TooManyWrongKeys(ApiError):
    status = 429
    default_code = "too_many_wrong_keys"

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__(
            f"Too many wrong keys from this address: try again in {retry_after_seconds} s."
        )
        self.headers = {"Retry-After": str(retry_after_seconds)}


class ClientGone(ApiError):
    status = 499


class ServerFault(ApiError):
    type = "server_error"
    default_code = "server_error"

    def __init__(self, message: str = "The server failed; its log says why.") -> None:
        super().__init__(message)


class RequestTimeout(ApiError):
    status = 504
    type = "server_error"
    default_code = "timeout"


class Unavailable(ApiError):
    """The request is right, but the server cannot take it now."""

    status = 503
    type = "server_error"
    default_code = "unavailable"

    def __init__(self, message: str, retry_after_seconds: int, *, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.headers = {"Retry-After": str(retry_after_seconds)}


class ShuttingDown(Unavailable):
    def __init__(self) -> None:
        super().__init__("The server is shutting down.", 5, code="shutting_down")
