"""One upload as it is read: its length, and its samples a block at a time."""

import contextlib
import logging
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import BinaryIO

import numpy as np

from stt.media.audio import (
    BadAudio,
    DecoderUnavailable,
    IsolatedReader,
    NoAudioTrack,
    NoSuchTrack,
    NothingDecoded,
)
from stt.media.samples import Samples as Pcm
from whisper_server.engines.base import SAMPLE_RATE, Samples
from whisper_server.errors import EngineStopped, InvalidAudio, TooLarge, Unavailable

MEASURED_SLACK = 1.01
"""Packets may claim a little more than they hold: an encoder's padding is cut off in decoding."""

_DECODER_RETRY_SECONDS = 10
_FULL_SCALE = np.float32(32_768)

logger = logging.getLogger(__name__)


class Recording:
    """`files`, one after the other, as one recording. Used by one thread at a time.

    At most `limit_seconds` of it are decoded, so that the work is bounded whatever a small file
    unpacks to. `track` is the number of the audio track to read, None for each file's default one;
    `filenames` tell formats apart whose bytes say nothing about them. `on_block` is called with
    each block before it is returned, and with None after the last.
    The files belong to the caller, who closes them after the recording.
    """

    def __init__(
        self,
        files: Sequence[BinaryIO],
        limit_seconds: float,
        param: str,
        track: int | None = None,
        filenames: Sequence[str] = (),
        on_block: Callable[[Pcm | None], None] | None = None,
    ) -> None:
        self._files = files
        self._limit_seconds = limit_seconds
        self._param = param
        self._reading: Generator[Samples, None, None] | None = None
        self._closed = False
        self._tracks = [track] * len(files)
        self._filenames = filenames or [""] * len(files)
        self._on_block = on_block
        self.warnings: list[str] = []
        """What is lost of the files that were read, and which of several tracks were taken."""

    def measure(self) -> float:
        """Return the seconds of audio by the packets' own durations; 0 if they have none.

        Decodes nothing: an hour of mp3 takes 0.4 s. What a header claims is ignored: a WAV
        from a pipe claims 37 hours. Raises InvalidAudio, or TooLarge when it is clearly past the
        limit.
        """
        seconds = 0.0
        for index, name in enumerate(self._names()):
            with self._opened(index, name) as reader:
                for length in reader.packet_seconds():
                    seconds += length
                    if seconds > self._limit_seconds * MEASURED_SLACK + 1:
                        raise self._too_long()
        return seconds

    def blocks(self) -> Iterator[Samples]:
        """Return the samples as they are decoded, in blocks of a second or more; once only.

        Raises InvalidAudio or TooLarge, both naming `param`; EngineStopped if the recording is
        closed midway; Unavailable if no decoder can be started.
        """
        self._reading = self._read()
        return self._reading

    def close(self) -> None:
        """Free the decoder now, not at the next garbage collection. The files stay open."""
        self._closed = True
        # ValueError: another thread is within the generator, which sees that it is closed.
        with contextlib.suppress(ValueError):
            if self._reading is not None:
                self._reading.close()

    def _read(self) -> Generator[Samples, None, None]:
        limit = int(self._limit_seconds * SAMPLE_RATE)
        total = 0
        for index, name in enumerate(self._names()):
            with self._opened(index, name) as reader:
                for block in reader.blocks():
                    if self._closed:
                        raise EngineStopped("the recording was closed while it was decoded")
                    total += len(block)
                    if total > limit:
                        raise self._too_long()
                    if self._on_block is not None:
                        self._on_block(block)
                    yield block.astype(np.float32) / _FULL_SCALE
                self._warn(reader, name)
        if self._on_block is not None:
            self._on_block(None)

    def _warn(self, reader: IsolatedReader, name: str) -> None:
        lines = list(reader.warnings)
        if reader.track_count > 1:
            lines.insert(0, f"audio track {reader.track} of {reader.track_count} was taken")
        self.warnings.extend(f"{name}: {line}" for line in lines)
        for line in reader.warnings:
            logger.warning("An upload is not whole: %s", line)

    @contextlib.contextmanager
    def _opened(self, index: int, name: str) -> Iterator[IsolatedReader]:
        """Open one of the files; messages call it `name`."""
        file = self._files[index]
        file.seek(0)
        if not file.read(1):
            raise InvalidAudio(f"{name} is empty.", param=self._param, code="empty_file")
        try:
            filename = self._filenames[index]
            with IsolatedReader(file, self._tracks[index], filename=filename) as reader:
                self._tracks[index] = reader.track  # seeking the default one may take seconds
                yield reader
        except NoAudioTrack as error:
            raise InvalidAudio(f"{name} has no audio track.", param=self._param) from error
        except NoSuchTrack as error:
            raise InvalidAudio(
                f"{name} has {error}.", param="track", code="no_such_track"
            ) from error
        except NothingDecoded as error:
            message = f"{name} holds no audio that can be decoded."
            raise InvalidAudio(message, param=self._param) from error
        except BadAudio as error:
            message = f"{name} cannot be decoded: {error}."
            raise InvalidAudio(message, param=self._param) from error
        except DecoderUnavailable as error:
            raise Unavailable(f"{error}.", _DECODER_RETRY_SECONDS) from error
        except OSError as error:
            message = f"{name} cannot be read."
            raise InvalidAudio(message, param=self._param) from error

    def _names(self) -> Iterator[str]:
        count = len(self._files)
        return (f"File {n} of {count}" if count > 1 else "The file" for n in range(1, count + 1))

    def _too_long(self) -> TooLarge:
        return TooLarge(
            f"The audio is longer than the {self._limit_seconds:g} seconds that this server "
            "takes in one request: send it in parts.",
            param=self._param,
            code="audio_too_long",
        )
