"""The state of one server, as a pool knows it: speed, load, health."""

import random
import threading
import time
from dataclasses import dataclass, field

from stt.domain.transcript import Task
from stt.errors import CannotTranslate, SttError
from stt.whisper.client import WhisperClient

_FIRST_REST_SECONDS = 0.5
_MAX_REST_SECONDS = 5.0
_KEPT_SHARE = 0.7
_MEMORY_SECONDS = 300.0
_SET_ASIDE_SECONDS = 30.0
"""After so long a server that was set aside is asked again: it may have been restarted."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What servers say that they have: models that are loaded, and what finds speakers.

    No models if one of the servers does not say; None where it is unknown whether any finds
    speakers.
    """

    models: tuple[str, ...] = ()
    finds_speakers: bool | None = None


@dataclass(slots=True)
class Speed:
    """Seconds of audio that one call gets done per second, as a decaying average.

    Unknown again after five minutes without a call: a server that was slow once (it had just
    started) is measured anew.
    """

    _audio: float = 0.0
    _seconds: float = 0.0
    _measured_at: float = float("-inf")  # on time.monotonic()

    def measured(self, audio_seconds: float, call_seconds: float) -> None:
        self._audio = self._audio * _KEPT_SHARE + audio_seconds
        self._seconds = self._seconds * _KEPT_SHARE + call_seconds
        self._measured_at = time.monotonic()

    @property
    def rate(self) -> float | None:
        is_known = time.monotonic() - self._measured_at < _MEMORY_SECONDS
        return self._audio / max(self._seconds, 1e-6) if is_known else None


@dataclass(slots=True)
class ServerState:
    """One server. Its pool's lock guards every field but `client` and `canary_lock`."""

    client: WhisperClient
    capacity: int = 1  # calls that it works on at once
    instance: str | None = None  # the process that last said that it is ready
    speed: Speed = field(default_factory=Speed)
    in_flight: int = 0
    outstanding_seconds: float = 0.0  # audio of the calls in flight
    calls: int = 0  # ever made
    failures: int = 0  # in a row; it is probed before it gets work again
    failed_calls: int = 0  # since it last did one right
    error: SttError | None = None  # the latest; None once it has recovered
    is_down: bool = False
    is_set_aside: bool = False  # it refused the key or the model, or its address is wrong
    needs_canary: bool = False  # before it gets work again
    is_proven: bool = False  # it did a call or canary right since it last failed
    is_probed: bool = False
    retry_at: float = 0.0  # on time.monotonic()
    canary_lock: threading.Lock = field(default_factory=threading.Lock)
    tried_at: float = float("-inf")  # when its last canary ended
    verdict: bool | None = None  # of its last canary; None if it was busy or away
    models: dict[str, tuple[bool, float]] = field(default_factory=dict)
    """Whether it lacks a model, and until when, on time.monotonic(), that is known."""
    listed: Listing = field(default_factory=Listing)
    listed_until: float = float("-inf")
    refusal: CannotTranslate | None = None  # its last one
    refused_at: float = float("-inf")

    @property
    def url(self) -> str:
        return self.client.url

    @property
    def is_due(self) -> bool:
        return time.monotonic() >= self.retry_at

    @property
    def is_healthy(self) -> bool:
        return self.failures == 0

    def can(self, task: Task) -> bool:
        """Return False to translate for five minutes after it refused; it may get another model."""
        has_refused = time.monotonic() - self.refused_at < _MEMORY_SECONDS
        return task == "transcribe" or not has_refused

    def lacks(self, model: str) -> bool | None:
        """Return whether it cannot load a model; None if that is unknown."""
        is_lacking, until = self.models.get(model, (False, 0.0))
        return is_lacking if time.monotonic() < until else None

    def lacking(self) -> list[str]:
        """Return the models that it is known to lack."""
        return [model for model in self.models if self.lacks(model)]

    def learned(self, model: str, *, lacks: bool, until: float) -> None:
        self.models[model] = lacks, until

    def refused_model(self, model: str) -> None:
        """Note that a call was refused for its model, which it may get in some minutes."""
        self.learned(model, lacks=True, until=time.monotonic() + _MEMORY_SECONDS)

    def refused(self, refusal: CannotTranslate) -> None:
        self.refusal, self.refused_at = refusal, time.monotonic()

    def expected_seconds(self, audio_seconds: float, rate: float) -> float:
        """Return when it would have done this much more audio, at `rate` for each of its calls."""
        waiting = (self.outstanding_seconds + audio_seconds) / (rate * self.capacity)
        return max(audio_seconds / rate, waiting)

    @property
    def has_queue(self) -> bool:
        """True if one more call would have to wait for another."""
        return self.in_flight >= self.capacity

    def began(self, audio_seconds: float) -> None:
        self.calls += 1
        self.in_flight += 1
        self.outstanding_seconds += audio_seconds

    def ended(self, audio_seconds: float) -> None:
        self.in_flight -= 1
        self.outstanding_seconds -= audio_seconds

    def back_off(self, seconds: float) -> None:
        self.retry_at = time.monotonic() + seconds

    def failed(self, *, is_down: bool) -> None:
        """Back off, the longer the more often in a row it has failed."""
        self.is_down = is_down
        self.is_proven = False
        if self.failures and not self.is_due:
            return  # other calls failed for the same reason
        self.failures += 1
        if self.failed_calls > 1:  # it was ready again, and failed the next call as well
            self.needs_canary = True
        longest = min(_FIRST_REST_SECONDS * 2**self.failures, _MAX_REST_SECONDS)
        self.back_off(longest * random.uniform(0.5, 1.0))

    def set_aside(self) -> None:
        """Give it no work until it passes a canary, which it gets now and then."""
        self.is_down = self.is_set_aside = self.needs_canary = True
        self.is_proven = False
        self.failures += 1
        self.back_off(_SET_ASIDE_SECONDS)

    def recovered(self) -> None:
        """Let it get work again; if it was away, it may have other models now."""
        if self.failures:
            self.models.clear()
        self.failures = 0
        self.is_down = self.is_set_aside = False
        self.retry_at = 0.0

    def succeeded(self) -> None:
        """Record a call or a canary that it did right."""
        self.recovered()
        self.needs_canary = False
        self.is_proven = True
        self.failed_calls = 0
