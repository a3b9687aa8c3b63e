"""A window on its way through the server, and how recordings are prepared."""

import time
from collections.abc import Callable, Generator, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from whisper_server.audio_windows import Window
from whisper_server.engines.base import Features, Samples, WindowInput
from whisper_server.window_transcript import WindowTranscript

if TYPE_CHECKING:
    from whisper_server.transcription_task import TranscriptionTask

ENCODING = "encoding"
"""The key of windows to be encoded, so that their languages are known before they are decoded."""

Cut = Callable[[Iterable[Samples], bool], Generator[list[Window], None, None]]
"""Cuts blocks into lists of windows; the flag is whether to leave out what is no speech."""


@dataclass(frozen=True, eq=False)
class QueuedWindow:
    """A window of a recording that waits to be encoded or decoded, or is.

    Those of one `key` may share a batch; `alone` ones share none: they failed in one, or failed
    the quality checks. `text`: the window's text so far; None for one that is encoded first, and
    in sequential decoding. `probs`: of its languages, where they were found.
    """

    task: "TranscriptionTask"
    position: int
    window: Window
    input: WindowInput
    key: Hashable
    text: WindowTranscript | None = None
    probs: Mapping[str, float] = field(default_factory=dict)
    alone: bool = False
    queued_at: float = field(default_factory=time.monotonic)


@dataclass(frozen=True)
class PreparationConfig:
    """How recordings are cut and prepared: the same for all.

    At most `ahead()` windows of one recording are queued or decoded at a time, so that memory
    does not grow with its length; one alone when `sequential`.
    """

    cut: Cut
    features: Callable[[Samples], Features]
    batch_key: Callable[[WindowInput], Hashable]
    ahead: Callable[[], int]
    sequential: bool
    is_multilingual: bool
