"""Cut the audio of a file into pieces, encode them and store them, all three at the same time."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing

import numpy as np
from numpy.typing import NDArray

from stt.errors import RecordingError
from stt.media.audio import SAMPLE_RATE, Samples, encode_opus
from stt.media.recording import RecordingFile
from stt.media.splitting import pieces
from stt.store.chunk_writer import WRITE_BATCH, ChunkWriter, Piece

MAX_CHANNELS = 32
"""Files with more channels are not split."""

# Encoding takes about as long as decoding, which runs in the calling thread: two keep up with it.
_ENCODERS = 2
# Up to this value, -80 dB of full scale, a sound is rounding errors only.
_INAUDIBLE = 3
# Codecs leave a difference of -40 dB or less of two channels with the same sound.
_SAME_SHARE = 0.001

ONE_CHANNEL = "it has one channel: there is nothing to split"
SAME_SOUND = "its channels hold the same sound: there is nothing to split"

Progress = Callable[[float, float | None], None]
"""Takes the seconds stored so far and all seconds of the file, None if it does not say."""


def nothing_to_split(file: RecordingFile, progress: Callable[[], None]) -> str | None:
    """Return why the channels of a file need not be cut one by one, None if they must be.

    Read it up to the first difference of its channels; call `progress` now and then.
    """
    if file.channels == 1:
        return ONE_CHANNEL
    if file.channels > MAX_CHANNELS:
        return None
    with ExitStack() as closing:
        files = [closing.enter_context(file.of_channel(n)) for n in range(file.channels)]
        for first, *others in zip(*(each.blocks() for each in files), strict=False):
            if not all(_is_same_sound(first, other) for other in others):
                return None
            progress()
    return SAME_SOUND


def cut_mixed(writer: ChunkWriter, file: RecordingFile, progress: Progress) -> None:
    """Store the rest of a file, its channels mixed, behind what the writer has of it."""
    _cut(writer, file, progress)
    progress(writer.samples / SAMPLE_RATE, writer.samples / SAMPLE_RATE)


def cut_channels(writer: ChunkWriter, file: RecordingFile, progress: Progress) -> None:
    """Store the rest of a file, one channel after the other; read the file once for each.

    Raise RecordingError if it has more than MAX_CHANNELS.
    """
    count = file.channels
    if count > MAX_CHANNELS:
        raise RecordingError(
            f"{file.filename}: {count} channels, and at most {MAX_CHANNELS} can be split"
        )
    for channel in range(writer.channel or 1, count + 1):
        writer.begin_channel(channel, count)

        def progress_of_all(seconds: float, total: float | None, before: int = channel - 1) -> None:
            whole = max(total or 0.0, seconds)
            progress((before * whole + seconds) / count, total)

        with file.of_channel(channel - 1) as one:
            _cut(writer, one, progress_of_all)
    progress(writer.samples / SAMPLE_RATE, writer.samples / SAMPLE_RATE)


def _cut(writer: ChunkWriter, file: RecordingFile, progress: Progress) -> None:
    total_seconds = writer.declared_seconds = file.declared_seconds
    batch: list[Piece] = []
    progress(writer.samples / SAMPLE_RATE, total_seconds)
    rest = pieces(_without_first(file.blocks(), writer.samples), writer.chunk_seconds)
    with closing(_encoded(rest, writer)) as encoded:
        for piece in encoded:
            batch.append(piece)
            # Store the first one at once: a worker may be waiting for it.
            if piece.index == 0 or len(batch) == WRITE_BATCH:
                writer.add(batch)
                batch = []
                progress(writer.samples / SAMPLE_RATE, total_seconds)
    writer.add(batch)


def _without_first(blocks: Iterable[Samples], count: int) -> Iterator[Samples]:
    for block in blocks:
        if count < len(block):
            yield block[count:]
        count = max(0, count - len(block))


def _encoded(cut: Iterator[Samples], writer: ChunkWriter) -> Generator[Piece, None, None]:
    """Encode pieces in threads while the next ones are cut; yield them in order."""
    index, first, is_channel = writer.chunks, writer.samples, writer.channel is not None
    waiting: deque[Future[Piece]] = deque()
    pool = ThreadPoolExecutor(_ENCODERS, thread_name_prefix="opus")
    try:
        for samples in cut:
            waiting.append(pool.submit(_encode, samples, index, first, is_channel))
            index, first = index + 1, first + len(samples)
            while waiting and (len(waiting) > _ENCODERS or waiting[0].done()):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _encode(samples: Samples, index: int, first: int, is_channel: bool) -> Piece:
    # The channel of a speaker who does not speak: models write sentences into such silence.
    is_silent = is_channel and _loudest(samples.astype(np.int32)) <= _INAUDIBLE
    return Piece(index, first, len(samples), encode_opus(samples), is_silent)


def _is_same_sound(first: Samples, second: Samples) -> bool:
    """Return whether two blocks hold the same sound, or one its inverse."""
    most = _SAME_SHARE * max(_energy(first), _energy(second))
    wide = first.astype(np.int32)
    differences = (wide - second, wide + second)
    return any(_loudest(d) <= _INAUDIBLE or _energy(d) <= most for d in differences)


def _energy(samples: NDArray[np.int16] | NDArray[np.int32]) -> float:
    return float(np.square(samples, dtype=np.float64).sum())


def _loudest(samples: NDArray[np.int32]) -> int:
    return int(np.abs(samples).max(initial=0))
