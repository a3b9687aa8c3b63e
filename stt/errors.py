"""Every error of the package, classed by what the one who catches it does next.

SttError                     a sentence for the person; carries the command's exit code
├── ConfigError              stop: a setting is wrong, and the message says which (exit 3)
│   └── KeyRejected          stop at once: the server refused our key (exit 3)
│       └── NodeRemoved      so did the coordinator, whose person took this node out (exit 3)
├── DatabaseUnavailable      it, or the coordinator in front, is away: retry while the lease
│                            lasts, then give up (exit 4)
├── ServerUnavailable        the chunk is innocent: another server, or wait (exit 5)
│   ├── ServerBusy           the same server again, after `retry_after_seconds`
│   ├── UploadCutOff         it stopped taking the audio: again a few times, then look closer
│   ├── AnswerCutOff         the server had it all and did not answer: look whether it has died
│   ├── NoTranscript         it answered something else: again a few times, then look closer
│   └── ServersBroken        servers answer and do nothing right: stop (exit 5)
├── ChunkError               this chunk failed: charge an attempt, go on
│   ├── BadAudio             its audio cannot be decoded, or is not there
│   ├── RequestRefused       the server says that the request itself is wrong (4xx)
│   ├── ServerFault          the server broke on it, or outlasted its time: suspect both
│   ├── ServerDied           the server's process ended over it: from now on it travels alone
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
    is_logged = False
    """True once the log has said it: nobody needs to read it twice."""


class ConfigError(SttError):
    exit_code = 3


class KeyRejected(ConfigError):
    pass


class NodeRemoved(KeyRejected):
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


class UploadCutOff(ServerUnavailable):
    pass


class AnswerCutOff(ServerUnavailable):
    """The connection broke when the whole upload had been sent, before the whole answer came."""


class NoTranscript(ServerUnavailable):
    """The server says that all went well, but what it sends is no transcript."""


class ServersBroken(ServerUnavailable):
    """The servers fail even on a recording that any server can do: a broken GPU, most likely."""


class ChunkError(SttError):
    """A failure that counts against the chunk; `kind` is what the chunk's `errors` list shows.

    `server` is the URL of the server that had a part in it, None if none had.
    """

    kind: ClassVar[str] = "error"

    def __init__(self, message: str, server: str | None = None) -> None:
        super().__init__(message)
        self.server = server


class BadAudio(ChunkError):
    kind = "bad_audio"


class RequestRefused(ChunkError):
    kind = "refused"


class ServerFault(ChunkError):
    kind = "server_fault"


class ServerDied(ChunkError):
    kind = "server_died"


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
