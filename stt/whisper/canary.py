"""Find out whether a failed call is the fault of the server or of the chunk."""

import time
from importlib import resources

from stt import errors
from stt.whisper.client import Upload, WhisperClient

_CANARY_OGG = resources.files("stt.whisper").joinpath("canary.ogg").read_bytes()
_CANARY = Upload(_CANARY_OGG, "canary.ogg", seconds=2.0)
"""A few clear words, made by tools/make_samples.py."""

_TRIES = 3
_RETURN_SECONDS = 3.0
_CHECK_SECONDS = 0.25
_CHECK_TIMEOUT_SECONDS = 3.0


def canary_failure(client: WhisperClient, limit_seconds: float) -> errors.SttError | None:
    """Have the server transcribe a recording that any server can; return how it failed, or None.

    The text does not matter. A call that was cut off by a server that still runs may be the
    network's fault, and is repeated a few times. Raises ServerUnavailable if the server is busy or
    away; KeyRejected and ConfigError as any call.
    """
    failure: errors.SttError | None = None
    for _ in range(_TRIES):
        instance = client.ready().instance
        try:
            client.transcribe(_CANARY, limit_seconds)
        except (errors.UploadCutOff, errors.AnswerCutOff) as error:
            failure = error
            if not is_same_process(client, instance):
                break
        except (errors.ChunkError, errors.NoTranscript) as error:
            return error
        else:
            return None
    return failure


def canary_text(client: WhisperClient, limit_seconds: float) -> str:
    """Have the server transcribe the same recording once; return its text. Raises SttError."""
    return client.transcribe(_CANARY, limit_seconds).text


def is_same_process(client: WhisperClient, instance: str | None) -> bool:
    """Return whether the server whose answer broke off is still the same process.

    A server that does not name its process (`instance` is None) counts as the same if it answers
    right now. One that does is asked for a few seconds: a network that broke the call may break
    this request as well.
    """
    deadline = time.monotonic() + _RETURN_SECONDS
    while True:
        try:
            ready = client.ready(_CHECK_TIMEOUT_SECONDS)
        except errors.ServerUnavailable as error:
            if instance is None:
                return isinstance(error, errors.ServerBusy)
        else:
            return instance is None or ready.instance == instance
        if time.monotonic() >= deadline:
            return False
        time.sleep(_CHECK_SECONDS)
