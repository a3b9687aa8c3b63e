"""Which whisper server gets the next call, and whether a failed call charges the chunk."""

import threading
import time
from collections.abc import Callable, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from stt import errors
from stt.domain.transcript import Transcript
from stt.settings import DEFAULT_SERVER_URL, Settings
from stt.whisper.canary import is_same_process
from stt.whisper.client import Upload, WhisperClient
from stt.whisper.health import ServerHealth
from stt.whisper.model_lookup import ModelLookup
from stt.whisper.model_names import described
from stt.whisper.server_state import ServerState

FIRST_CHECK_SECONDS = 2.0
"""A server that takes longer to say that it is ready counts as away at first, so that a person soon
knows; it is asked again, with more time."""
_WAIT_STEP_SECONDS = 0.5
_MAX_BROKEN_OFF = 3


@dataclass(slots=True)
class Call:
    """An upload to transcribe; busy servers are asked again for `seconds`.

    One request may take as long. `may_start` is called before each request, and while one waits to
    begin. Servers in `avoid` are asked only if there is no other. `isolated`: a server died with
    this audio before, so an unproven server must pass a canary first, or its death would prove
    nothing.
    """

    upload: Upload
    seconds: float
    may_start: Callable[[], bool]
    avoid: Set[str] = frozenset()
    isolated: bool = False
    broken_off: int = 0  # tries whose connection broke


class ServerPool:
    """Gives each call to the server that is expected to finish it first.

    So each server gets work in proportion to its speed, and one that fails backs off. At most
    `slots` calls are in flight at once. A chunk is charged with a failure only if the server
    passes a canary right after, or died although it had done something right just before; or if no
    server can translate what is to be. Safe between threads.
    """

    def __init__(self, settings: Settings) -> None:
        """Make the pool of the servers in the settings, or of the one on this machine."""
        key = settings.api_key.get_secret_value() if settings.api_key else None
        urls = settings.server_urls or (DEFAULT_SERVER_URL,)
        self.slots = 1
        self._slots = threading.BoundedSemaphore(1)
        self._servers = [ServerState(WhisperClient(url, key, settings.model)) for url in urls]
        self.urls = ", ".join(server.url for server in self._servers)
        self._health = ServerHealth(self._servers, settings)
        self.wait_until_available = self._health.wait_until_available
        self.start_probes = self._health.start_probes
        models = ModelLookup(self._servers, self._health.lock)
        self.missing_models, self.listed = models.missing, models.listed

    @property
    def last_error(self) -> errors.SttError | None:
        """The latest error of any server, which it may have recovered from."""
        return self._health.last_error

    def tune(self, limit: int) -> int:
        """Set the calls at once to what the servers can take, within 1 and `limit`.

        A server that does not say, or does not answer yet, counts as able to take `limit`.
        """

        def check(server: ServerState) -> errors.ServerUnavailable | None:
            server.capacity = limit
            try:
                self._health.check_ready(server, FIRST_CHECK_SECONDS)
            except errors.ServerUnavailable as error:
                return error
            return None

        with ThreadPoolExecutor(len(self._servers)) as threads:
            failures = list(threads.map(check, self._servers))
        for server, error in zip(self._servers, failures, strict=True):
            if error is not None:
                self._health.failed(server, error)
        total = sum(server.capacity for server in self._servers)
        self.slots = max(1, min(limit, total))
        self._slots = threading.BoundedSemaphore(self.slots)
        return self.slots

    def transcribe(self, call: Call) -> Transcript | None:
        """Return the transcript from the best server; None once `may_start` returns False.

        Raises ServerUnavailable when no server is left to ask; CannotTranslate, or ModelMissing,
        when none of those that are well does, or has it; RequestRefused, ServerFault or ServerDied
        when the audio was the cause, as far as can be known; KeyRejected or ConfigError when the
        last server is set aside.
        """
        deadline: float | None = None
        ask_again_at = 0.0
        while call.may_start():
            if (back_off := ask_again_at - time.monotonic()) > 0:
                time.sleep(min(back_off, _WAIT_STEP_SECONDS))
                continue
            if not self._slots.acquire(timeout=_WAIT_STEP_SECONDS):
                continue
            try:
                deadline = deadline or time.monotonic() + call.seconds
                answer = self._call_any(call)
            finally:
                self._slots.release()
            if isinstance(answer, Transcript):
                return answer
            ask_again_at = time.monotonic() + answer
            if ask_again_at >= deadline:
                raise errors.ServerUnavailable(f"every whisper server stays busy: {self.urls}")
        return None

    def _call_any(self, call: Call) -> Transcript | float:
        """Return a transcript, or the seconds until a busy server may be asked again."""
        last_error: errors.SttError | None = None
        while call.may_start() and (server := self._take(call)):
            try:
                if not call.isolated or server.is_proven or self._health.run_canary(server):
                    return self._ask(server, call)
                last_error = errors.ServerUnavailable(f"{server.url} has not passed a canary")
            except (errors.ServerUnavailable, errors.CannotTranslate) as error:
                last_error = error
            finally:
                with self._health.lock:
                    server.ended(call.upload.seconds)
        needs, task = call.upload.needs, call.upload.task
        with self._health.lock:
            healthy = [server for server in self._servers if server.is_healthy]
            fitting = [server for server in healthy if not any(map(server.lacks, needs))]
            resting = [server.retry_at for server in fitting if server.can(task)]
            refusals = [server.refusal for server in fitting if not server.can(task)]
        if not resting:
            if last_error is None and healthy and not fitting:
                last_error = errors.ModelMissing(
                    f"no whisper server has {' and '.join(map(described, needs))}: {self.urls}",
                    needs[0],
                )
            unavailable = errors.ServerUnavailable(f"no whisper server answers: {self.urls}")
            raise next(filter(None, refusals), last_error or unavailable)
        return max(0.05, min(resting) - time.monotonic())

    def _take(self, call: Call) -> ServerState | None:
        """Return the server that is expected to finish this call first, by measured speed.

        One that was not measured yet counts as fast as the fastest, and so gets measured.
        """
        seconds = call.upload.seconds
        with self._health.lock:
            ready = [server for server in self._servers if server.is_healthy and server.is_due]
            ready = [server for server in ready if server.can(call.upload.task)]
            ready = [s for s in ready if not any(map(s.lacks, call.upload.needs))]
            ready = [server for server in ready if server.url not in call.avoid] or ready
            if not ready:
                return None
            rates = {server.url: server.speed.rate for server in self._servers}
            fastest = max((rate for rate in rates.values() if rate is not None), default=1.0)

            def cost(server: ServerState) -> tuple[bool, float, int]:
                rate = rates[server.url] or fastest
                return server.has_queue, server.expected_seconds(seconds, rate), server.calls

            server = min(ready, key=cost)
            server.began(seconds)
            return server

    def _ask(self, server: ServerState, call: Call) -> Transcript:
        """Make the call. Raises ServerUnavailable, CannotTranslate if it may be tried elsewhere."""
        instance, started = server.instance, time.monotonic()
        failure: errors.SttError
        try:
            transcript = server.client.transcribe(call.upload, call.seconds)
        except (errors.UploadCutOff, errors.AnswerCutOff, errors.NoTranscript) as error:
            failure = self._failure_of_break(server, instance, call, error)
        except errors.ModelMissing as error:
            with self._health.lock:
                server.refused_model(error.name)
            failure = error
        except errors.ServerUnavailable as error:
            self._health.failed(server, error, is_call=True)
            failure = error
        except errors.ConfigError as error:
            self._health.set_aside(server, error)
            failure = errors.ServerUnavailable(str(error))
        except errors.CannotTranslate as error:
            with self._health.lock:
                server.refused(error)
            failure = error
        except errors.ChunkError as error:
            failure = self._failure_to_charge(server, call, error)
        else:
            with self._health.lock:
                server.speed.measured(call.upload.seconds, time.monotonic() - started)
            self._health.succeeded(server)
            return transcript
        try:
            raise failure
        finally:
            del failure  # else it and this frame, with the upload, keep each other alive

    def _failure_of_break(
        self,
        server: ServerState,
        instance: str | None,
        call: Call,
        error: errors.UploadCutOff | errors.AnswerCutOff | errors.NoTranscript,
    ) -> errors.SttError:
        """Return what a connection that broke after the upload began means."""
        if not is_same_process(server.client, instance):
            with self._health.lock:
                server.needs_canary = True  # it may die of any upload
            self._health.failed(server, error)
            if isinstance(error, errors.UploadCutOff):  # it did not have all of it
                return error
            return errors.ServerDied(f"the server died over it: {error}", server.url)
        call.broken_off += 1
        if call.broken_off < _MAX_BROKEN_OFF:
            return error
        if isinstance(error, errors.AnswerCutOff):
            died = errors.ServerDied(f"every answer broke off, at last: {error}", server.url)
            return self._failure_to_charge(server, call, died)
        return self._failure_to_charge(server, call, errors.ServerFault(str(error), server.url))

    def _failure_to_charge(
        self, server: ServerState, call: Call, error: errors.ChunkError
    ) -> errors.SttError:
        """Return the error if the server passes a canary, else one that charges no chunk."""
        if not call.may_start():
            return errors.ServerUnavailable(f"the worker stops: {error}")
        passed = self._health.run_canary(server)
        if passed:
            return error
        reason = "the cause is unknown" if passed is None else "the server fails on anything"
        return errors.ServerUnavailable(f"{reason}: {error}")
