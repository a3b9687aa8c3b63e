"""Every error of the package, classed by what the one who catches it does next.

SttError                     a sentence for the person; carries the command's exit code
├── ConfigError              stop: a setting is wrong, and the message says which (exit 3)
│   └── KeyRejected          stop at once: the server refused our key (exit 3)
├── DatabaseUnavailable      retry while the lease lasts, then give up (exit 4)
├── ServerUnavailable        the chunk is innocent: another server, or wait (exit 5)
│   └── ServerBusy           the same server again, after `retry_after_seconds`
├── ChunkError               this chunk failed: charge an attempt, go on
│   ├── BadAudio             its audio cannot be decoded, or is not there
│   ├── RequestRefused       the server says that the request itself is wrong (4xx)
│   ├── ServerFault          the server broke on it, or outlasted its time: suspect both
│   └── DatabaseRefused      its document cannot be written: too large, or against a rule there
├── ClaimLost                somebody else holds the chunk now: drop the result, go on
├── RecordingError           this file cannot be ingested: name it, go on with the others
└── NotFound                 nothing in the queue answers to that name (exit 1)
    └── Ambiguous            or more than one thing does
"""

from typing import ClassVar


class SttError(Exception):
    """Base of all errors of the package; `str()` of it is one clear line for the person."""

    exit_code: ClassVar[int] = 1


class ConfigError(SttError):
    exit_code = 3


class KeyRejected(ConfigError):
    pass


class DatabaseUnavailable(SttError):
    exit_code = 4


class ServerUnavailable(SttError):
    exit_code = 5


class ServerBusy(ServerUnavailable):
    """The server asked for patience (429 or 503)."""

    def __init__(self, message: str, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class ChunkError(SttError):
    """A failure that counts against the chunk; `kind` is what the chunk's `errors` list shows."""

    kind: ClassVar[str] = "error"


class BadAudio(ChunkError):
    kind = "bad_audio"


class RequestRefused(ChunkError):
    kind = "refused"


class ServerFault(ChunkError):
    kind = "server_fault"


class DatabaseRefused(ChunkError):
    kind = "database_refused"


class ClaimLost(SttError):
    pass


class RecordingError(SttError):
    pass


class NotFound(SttError):
    pass


class Ambiguous(NotFound):
    pass
