"""An audio track of a file that is decoded in another process."""

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from stt.errors import BadAudio
from stt.media.decoder_messages import Message
from stt.media.decoder_pool import Decoder, pool
from stt.media.decoder_session import KINDS
from stt.media.samples import Samples

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says about itself, by FFmpeg's name of the format; of joined files the first.

    `declared_seconds` may be FFmpeg's estimate, `trusted_seconds` is none.
    """

    format: str
    track_seconds: float | None
    file_seconds: float | None
    trusted_seconds: float | None
    creation_time: str | None

    @property
    def declared_seconds(self) -> float | None:
        return self.track_seconds or self.file_seconds


class IsolatedReader(AbstractContextManager["IsolatedReader"]):
    """An AudioReader in a process of its own: whatever a file makes FFmpeg do is a BadAudio.

    The options are those of AudioReader. Raise BadAudio also for a file that makes the decoder
    crash, or takes more memory or time than a decoder may have; DecoderUnavailable if none can be
    started. Use it by one thread at a time; read the file elsewhere only before or after.
    """

    def __init__(
        self,
        file: BinaryIO,
        track: int | None = None,
        channel: int | None = None,
        *,
        strict: bool = False,
        filename: str = "",
    ) -> None:
        self.warnings: list[str] = []
        """What is lost of the track, so far; a line for each kind of loss."""
        self._decoder = pool.take()
        self._is_closed = False
        options = {"track": track, "channel": channel, "strict": strict, "filename": filename}
        try:
            facts = _answer(self._decoder, {"do": "open", "options": options}, file).fields
        except BaseException:
            self.close()
            raise
        self.track: int = facts["track"]
        """The number of the track that is read, counted from 1."""
        self.track_count: int = facts["track_count"]
        self.channels: int = facts["channels"]
        """The number of channels of the track, at its start."""
        self.header = Header(**{name: facts[name] for name in Header.__slots__})

    def packet_seconds(self) -> Iterator[float]:
        """Yield how long each packet lasts by its own account; decode nothing.

        Ends where the file cannot be read on. In place of `blocks`, not beside it.
        """
        while seconds := self._ask("packets").fields["seconds"]:
            yield from seconds

    def blocks(self) -> Iterator[Samples]:
        """Yield the track from its start to its end, in blocks of a second or more. Once only."""
        while True:
            answer = self._ask("block")
            self.warnings += answer.fields["warnings"]
            if answer.fields.get("is_end"):
                return
            yield np.frombuffer(answer.data, dtype=np.int16)

    def close(self) -> None:
        """Give the decoder back; the file stays open."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            self._ask("close")
        except BadAudio as error:  # it has ended already, or does so now
            logger.debug("a decoder that ended: %s", error)
        finally:
            pool.give(self._decoder)

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, what: str) -> Message:
        return _answer(self._decoder, {"do": what})


def has_sound(file: BinaryIO) -> bool:
    """Return whether the file has an audio track whose beginning can be decoded."""
    decoder = pool.take()
    try:
        return bool(_answer(decoder, {"do": "probe"}, file).fields["has_sound"])
    except BadAudio:
        return False
    finally:
        pool.give(decoder)


def _answer(decoder: Decoder, request: dict[str, Any], file: BinaryIO | None = None) -> Message:
    """Ask a decoder, perhaps about a file. Raise what has gone wrong there."""
    answer = decoder.ask(request, file)
    name, text = answer.fields.get("error"), str(answer.fields.get("text"))
    if name is None:
        return answer
    if name == "OSError":
        raise OSError(answer.fields["errno"], text)
    if name == "MemoryError":
        raise BadAudio("it takes more memory than a decoder may have")
    if name not in KINDS:
        logger.warning("a decoder failed: %s: %s", name, text)
        raise BadAudio(f"the decoder failed over it ({name})")
    raise KINDS[name](text)
