"""The decoder's side of an `IsolatedReader`: it answers requests about one file after the other."""

from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from typing import Any, BinaryIO

from stt.errors import BadAudio
from stt.media.container import open_container
from stt.media.reader import AudioReader, NothingDecoded
from stt.media.samples import SAMPLE_RATE, Samples
from stt.media.track_reader import TrackReader
from stt.media.tracks import NoAudioTrack, NoSuchTrack, preferred_tracks
from stt.media.wholeness import trusted_seconds
from stt.media.window import FileWindow

PACKETS = 1_000
"""Packets whose lengths are answered with at once."""

KINDS = {kind.__name__: kind for kind in (BadAudio, NoAudioTrack, NoSuchTrack, NothingDecoded)}
"""The errors that an answer names."""

_PROBED_SECONDS = 1.0

Answer = tuple[dict[str, Any], bytes]


class DecoderSession:
    """Reads one file at a time: open it, ask for blocks or packets, close it.

    Files belong to the caller, who closes them once they are not read any more.
    """

    def __init__(self) -> None:
        self._reader: AudioReader | None = None
        self._blocks: Iterator[Samples] | None = None
        self._packets: Iterator[float] | None = None
        self._warnings = 0
        self.decoded_seconds = 0.0
        """Of the file that is open."""

    @property
    def is_open(self) -> bool:
        return self._reader is not None

    def answer(self, request: dict[str, Any], file: BinaryIO | None = None) -> Answer:
        """Return the fields and the bytes of the answer; errors are answers too."""
        try:
            return self.handle(request["do"], request, file)
        except BadAudio as error:
            return {"error": type(error).__name__, "text": str(error)}, b""
        except OSError as error:
            return {"error": "OSError", "errno": error.errno, "text": error.strerror}, b""
        except MemoryError:
            return {"error": "MemoryError"}, b""
        except Exception as error:  # of PyAV, over what FFmpeg has made of the file
            return {"error": type(error).__name__, "text": str(error)}, b""

    def handle(self, what: str, request: dict[str, Any], file: BinaryIO | None) -> Answer:
        """Return the answer; raise whatever the file leads to."""
        if what in ("open", "probe"):
            assert file is not None, "no file was sent"
            if what == "probe":
                return {"has_sound": _has_sound(file)}, b""
            return self._open(file, request["options"]), b""
        if what == "block":
            return self._block()
        if what == "packets":
            self._packets = self._packets or self._open_reader().packet_seconds()
            return {"seconds": list(islice(self._packets, PACKETS))}, b""
        if what == "close":
            self._close()
            return {}, b""
        raise ValueError(f"an unknown request: {what}")

    def _close(self) -> None:
        """Close the file that is open, if one is."""
        reader, self._reader = self._reader, None
        self._blocks = self._packets = None
        if reader is not None:
            reader.close()

    def _open(self, file: BinaryIO, options: dict[str, Any]) -> dict[str, Any]:
        self._warnings, self.decoded_seconds = 0, 0.0
        self._reader = reader = AudioReader(file, **options)
        header = reader.header
        return {
            "format": header.format,
            "track": reader.track,
            "track_count": reader.track_count,
            "channels": reader.channels,
            "track_seconds": header.track_seconds,
            "file_seconds": header.file_seconds,
            "trusted_seconds": trusted_seconds(header, has_frame_count=False),
            "creation_time": header.tags.get("creation_time"),
        }

    def _block(self) -> Answer:
        reader = self._open_reader()
        self._blocks = self._blocks or reader.blocks()
        block = next(self._blocks, None)
        warnings = reader.warnings[self._warnings :]
        self._warnings += len(warnings)
        if block is None:
            return {"is_end": True, "warnings": warnings}, b""
        self.decoded_seconds += len(block) / SAMPLE_RATE
        return {"warnings": warnings}, block.tobytes()

    def _open_reader(self) -> AudioReader:
        if self._reader is None:
            raise ValueError("no file is open")
        return self._reader


def _has_sound(file: BinaryIO) -> bool:
    """Return whether the file has an audio track whose beginning can be decoded."""
    window = FileWindow(file)
    try:
        container = open_container(window)
        with closing(container):
            track = TrackReader(window, preferred_tracks(container)[0], container)
            for _ in track.frames():
                if track.decoded_seconds >= _PROBED_SECONDS:
                    break
            return track.decoded_seconds > track.lost_seconds
    except BadAudio:
        return False
