"""All errors of the package, by what the caller that catches them does next.

SttError                     its text is one line for the user; sets the command's exit code
├── ConfigError              stop: a setting is wrong, and the message says which (exit 3)
│   ├── WrongFlag            stop: a flag is wrong (exit 2)
│   ├── AudioStoreRefused    stop at once: S3 cannot be used as it is set up (exit 3)
│   └── KeyRejected          stop at once: the server refused our key (exit 3)
│       └── NodeRemoved      stop at once: the coordinator has removed this node (exit 3)
├── DatabaseUnavailable      the database or the coordinator does not answer: retry while the
│   │                        lease lasts, then give up (exit 4)
│   └── AudioStoreUnavailable  S3 does not answer: release the chunk, try others later (exit 4)
├── ServerUnavailable        the chunk is not at fault: use another server, or wait (exit 5)
│   ├── ServerBusy           call the same server again after `retry_after_seconds`
│   ├── UploadCutOff         the connection broke during the upload: retry, then send a canary
│   ├── AnswerCutOff         the connection broke after the upload: check whether the server died
│   ├── NoTranscript         the answer is no transcript: retry, then send a canary
│   ├── ModelMissing         no server has the recording's model: use another, or leave it pending
│   └── ServersBroken        all servers fail even on canaries: stop (exit 5)
├── ChunkError               this chunk failed: count an attempt, continue
│   ├── BadAudio             its audio cannot be read or decoded, or is missing
│   ├── RequestRefused       the server refused the request as wrong (4xx)
│   │   └── CannotTranslate  the server, or its model, does not translate: ask another one
│   ├── ServerFault          the server failed or took too long: send a canary to find out why
│   ├── ServerDied           the server's process ended during the call: isolate the chunk
│   └── DatabaseRefused      its document cannot be written: too large, or against a rule
├── AudioNotAllowed          its audio is where our settings allow no reading: leave it alone
├── ClaimLost                another worker holds the chunk now: drop the result, continue
├── RecordingError           this file cannot be ingested: report it, continue with the others
├── AudioRemoved             its audio is gone and its text is kept: do not transcribe it again
├── ChannelsSplit            its channels are its speakers: find no others in it
├── EditConflict             the text to edit was changed meanwhile: show what it is now
├── HasEdits                 edited text would be lost: ask first
└── NotFound                 nothing in the queue has this name (exit 1)
    └── Ambiguous            more than one thing has it
"""

from typing import ClassVar

EXIT_INTERRUPTED = 130
"""Exit code of a command that Ctrl-C or SIGTERM ended."""


class SttError(Exception):
    """Base of all errors of the package; its text is one line for the user."""

    exit_code: ClassVar[int] = 1
    is_logged = False
    """Whether it was logged already; the command does not print it again then."""


class ConfigError(SttError):
    exit_code = 3


class AudioStoreRefused(ConfigError):
    """The bucket, the credentials or their rights are wrong, or boto3 is not installed."""


class WrongFlag(ConfigError):
    exit_code = 2


class KeyRejected(ConfigError):
    pass


class NodeRemoved(KeyRejected):
    pass


class DatabaseUnavailable(SttError):
    exit_code = 4


class AudioStoreUnavailable(DatabaseUnavailable):
    pass


class ServerUnavailable(SttError):
    exit_code = 5


class ServerBusy(ServerUnavailable):
    """The server asked the client to wait (429 or 503); `reason` are its words, if it gave any."""

    def __init__(self, message: str, retry_after_seconds: float, reason: str = "") -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds
        self.reason = reason


class UploadCutOff(ServerUnavailable):
    pass


class AnswerCutOff(ServerUnavailable):
    """The connection broke after the whole upload, before the whole answer."""


class NoTranscript(ServerUnavailable):
    """The server answered 200 with a body that is no transcript."""


class ModelMissing(ServerUnavailable):
    """The server, or each that is well, lacks what the recording is to have: a model, by `name`."""

    def __init__(self, message: str, name: str) -> None:
        super().__init__(message)
        self.name = name


class ServersBroken(ServerUnavailable):
    """The servers fail even on canaries, most likely because of a broken GPU."""


class ChunkError(SttError):
    """A failure that counts as an attempt; `kind` is written to the chunk's `errors`.

    `server` is the URL of the server that was called, None if none was.
    """

    kind: ClassVar[str] = "error"

    def __init__(self, message: str, server: str | None = None) -> None:
        super().__init__(message)
        self.server = server


class BadAudio(ChunkError):
    kind = "bad_audio"


class RequestRefused(ChunkError):
    kind = "refused"


class CannotTranslate(RequestRefused):
    kind = "cannot_translate"


class ServerFault(ChunkError):
    kind = "server_fault"


class ServerDied(ChunkError):
    kind = "server_died"


class DatabaseRefused(ChunkError):
    kind = "database_refused"


class AudioNotAllowed(SttError):
    """The chunk's `audio_url` names a place that neither setting of audio in S3 names."""


class ClaimLost(SttError):
    pass


class RecordingError(SttError):
    pass


class AudioRemoved(SttError):
    """STT_KEEP_AUDIO has removed the audio."""


class ChannelsSplit(SttError):
    pass


class EditConflict(SttError):
    """The text that was to be edited is another one by now: `current`."""

    def __init__(self, message: str, current: str) -> None:
        super().__init__(message)
        self.current = current


class HasEdits(SttError):
    """Text that people have edited would be replaced."""


class NotFound(SttError):
    pass


class Ambiguous(NotFound):
    pass
