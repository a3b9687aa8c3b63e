"""The options of a recording, checked."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from stt.domain.chunk import Channels
from stt.domain.transcript import TASKS, Task
from stt.domain.visible_text import quoted
from stt.errors import ConfigError
from stt.settings import Settings
from stt.transcripts.languages import language_code

_MIN_CHUNK_SECONDS, _MAX_CHUNK_SECONDS = 1.0, 600.0
MAX_PRIORITY = 10**9
MAX_TRACK, MAX_SPEAKERS = 10_000, 50
_MAX_PROMPT_CHARACTERS = 10_000
SPEAKER_OPTIONS = ("speakers", "max_speakers")
"""Who speaks, as far as it was asked for; not stored with a new recording for which it was not."""
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}")


@dataclass(frozen=True, slots=True)
class IngestOptions:
    """Options of a recording; `chunk_seconds` is the longest that a chunk may be.

    `language`: its code, made of any form that `language_code` takes; None to detect it. `model`:
    the model to transcribe it with, None for the one that each worker uses. `track`: the number of
    the audio track to take, from 1, None for the file's default one. `strict`: refuse a file that
    is truncated or damaged, in place of taking what can be decoded. `channels`: split to transcribe
    each channel by itself. `speakers`: how many to tell apart, 0 if that is not known;
    `max_speakers`: how many there can be, which asks for them too.

    Raise ConfigError for chunks shorter than 1 s or longer than 600 s, for an unknown language, for
    text that cannot be a model name, for an unknown task, for a priority or track out of bounds,
    and for a prompt or hotwords of more than 10,000 characters: every call sends them.
    """

    language: str | None = None
    prompt: str | None = None
    priority: int = 0
    chunk_seconds: float = 30.0
    model: str | None = None
    hotwords: str | None = None
    task: Task = "transcribe"
    channels: Channels = "mix"
    track: int | None = None
    strict: bool = False
    speakers: int | None = None
    max_speakers: int | None = None

    def __post_init__(self) -> None:
        if not _MIN_CHUNK_SECONDS <= self.chunk_seconds <= _MAX_CHUNK_SECONDS:
            raise ConfigError(
                f"A chunk of {self.chunk_seconds:g} s is not possible: choose a length from"
                f" {_MIN_CHUNK_SECONDS:g} to {_MAX_CHUNK_SECONDS:g} s."
            )
        if not -MAX_PRIORITY <= self.priority <= MAX_PRIORITY:
            raise ConfigError(f"The priority is from {-MAX_PRIORITY} to {MAX_PRIORITY}.")
        if self.track is not None and not 1 <= self.track <= MAX_TRACK:
            raise ConfigError(f"The number of a track is from 1 to {MAX_TRACK}.")
        if self.model is not None and not _MODEL.fullmatch(self.model):
            advice = ""
            if self.model.startswith(("/", ".", "~")):
                advice = (
                    " A recording names a model that the servers know; a folder is named by"
                    " STT_MODEL or `stt transcribe --model`."
                )
            raise ConfigError(
                f"{quoted(self.model)} is no model's name, such as `large-v3-turbo`.{advice}"
            )
        if self.channels not in get_args(Channels):
            raise ConfigError(
                f"{quoted(self.channels)} is nothing to do with channels: mix or split."
            )
        try:
            object.__setattr__(self, "language", language_code(self.language))
        except ValueError as error:
            raise ConfigError(f"{quoted(self.language or '')} is {error}.") from error
        self._check_speakers()
        if self.task not in TASKS:
            raise ConfigError(f"{quoted(self.task)} is no task: choose {' or '.join(TASKS)}.")
        for name, text in (("prompt", self.prompt), ("hotwords", self.hotwords)):
            if text is not None and len(text) > _MAX_PROMPT_CHARACTERS:
                raise ConfigError(
                    f"The {name} may have {_MAX_PROMPT_CHARACTERS} characters and not {len(text)}:"
                    " Whisper reads 200 words or so."
                )

    def _check_speakers(self) -> None:
        if self.max_speakers is not None:
            if not 1 <= self.max_speakers <= MAX_SPEAKERS:
                raise ConfigError(f"The most speakers are from 1 to {MAX_SPEAKERS}.")
            if self.speakers:
                raise ConfigError(
                    "A given number of speakers needs no maximum: leave out one of the two."
                )
            object.__setattr__(self, "speakers", 0)
        if self.speakers is not None:
            if not 0 <= self.speakers <= MAX_SPEAKERS:
                raise ConfigError(f"The number of speakers is auto, or from 1 to {MAX_SPEAKERS}.")
            if self.channels == "split":
                raise ConfigError("Split channels are speakers already: leave out one of the two.")

    @classmethod
    def of_uploads(cls, settings: Settings) -> "IngestOptions":
        """Return the options of uploads for which none are given. Raise ConfigError."""
        try:
            return cls(
                language=settings.default_language,
                priority=settings.default_priority,
                chunk_seconds=settings.chunk_seconds,
                model=settings.default_model,
                task=settings.default_task,
                prompt=settings.default_prompt,
                hotwords=settings.default_hotwords,
            )
        except ConfigError as error:
            raise ConfigError(f"The options for uploads are wrong: {error}") from error


def changed_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what to set of a stored recording for these options, checked. Raise ConfigError.

    Speakers are set with their maximum, so that none stays of an earlier wish.
    """
    if given.get("speakers", 0) is None and given.get("max_speakers") is not None:
        raise ConfigError("No speakers (null) have no maximum: leave out max_speakers.")
    options = IngestOptions(**{k: value for k, value in given.items() if value not in (None, "")})
    names = set(given)
    if "speakers" in names or options.speakers is not None:
        names.update(SPEAKER_OPTIONS)
    return {name: getattr(options, name) for name in sorted(names)}
