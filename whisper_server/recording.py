"""One upload as it is read: its length, and its samples a block at a time."""

import contextlib
from collections.abc import Generator, Iterator, Sequence
from typing import BinaryIO

import numpy as np

from whisper_server import audio
from whisper_server.engines.base import SAMPLE_RATE, Samples
from whisper_server.errors import EngineStopped, InvalidAudio, TooLarge

CLEARLY = 1.01
"""Packets may claim a little more than they hold: an encoder's padding is cut off in decoding."""


class Recording:
    """`files`, one behind the other, as one recording. Used by one thread at a time.

    At most `limit_seconds` of it are decoded, so that the work stays bounded whatever a small file
    unpacks to. The files belong to the caller, who closes them after the recording.
    """

    def __init__(self, files: Sequence[BinaryIO], limit_seconds: float, param: str) -> None:
        self._files = files
        self._limit_seconds = limit_seconds
        self._param = param
        self._reading: Generator[Samples, None, None] | None = None
        self._closed = False

    def measure(self) -> float:
        """Seconds of audio by the packets' own durations, without decoding; 0 if they tell none.

        Raises `InvalidAudio`, or `TooLarge` when it is clearly past the limit. What a header
        claims counts for nothing: a WAV from a pipe claims 37 hours. An hour of mp3 takes 0.4 s.
        """
        seconds = 0.0
        for file, name in self._named_files():
            for length in audio.packet_seconds(file, name, self._param):
                seconds += length
                if seconds > self._limit_seconds * CLEARLY + 1:
                    raise self._too_long()
        return seconds

    def blocks(self) -> Iterator[Samples]:
        """Samples as they are decoded, a second or more at a time but for the last; once only.

        Raises `InvalidAudio` or `TooLarge`, both naming `param`; `EngineStopped` if the recording
        is closed midway.
        """
        self._reading = self._read()
        return self._reading

    def close(self) -> None:
        """Free the decoder now, not whenever the garbage is collected. The files stay open."""
        self._closed = True
        # ValueError: another thread is within the generator, which sees that it is closed.
        with contextlib.suppress(ValueError):
            if self._reading is not None:
                self._reading.close()

    def _read(self) -> Generator[Samples, None, None]:
        limit = int(self._limit_seconds * SAMPLE_RATE)
        waiting: list[Samples] = []
        held = total = 0
        for samples in self._decoded():
            if self._closed:
                raise EngineStopped("the recording was closed while it was decoded")
            waiting.append(samples)
            held += len(samples)
            total += len(samples)
            if total > limit:
                raise self._too_long()
            if held >= SAMPLE_RATE:
                yield np.concatenate(waiting)
                waiting, held = [], 0
        if held:
            yield np.concatenate(waiting)

    def _decoded(self) -> Iterator[Samples]:
        for file, name in self._named_files():
            is_heard = False
            for samples in audio.decoded(file, name, self._param):
                is_heard = is_heard or len(samples) > 0
                yield samples
            if not is_heard:
                raise InvalidAudio(f"{name} holds no audio that can be decoded.", param=self._param)

    def _named_files(self) -> Iterator[tuple[BinaryIO, str]]:
        for position, file in enumerate(self._files):
            many = len(self._files) > 1
            yield file, f"File {position + 1} of {len(self._files)}" if many else "The file"

    def _too_long(self) -> TooLarge:
        return TooLarge(
            f"The audio is longer than the {self._limit_seconds:g} seconds that this server "
            "takes in one request: send it in parts.",
            param=self._param,
            code="audio_too_long",
        )
