"""A file opened by FFmpeg, which may claim anything: memory is bounded, and nothing else opened."""

import contextlib
import ctypes
import logging

import av

from stt.errors import BadAudio
from stt.media.window import FileWindow

MAX_ALLOCATION_BYTES = 128 << 20
"""FFmpeg allocates as much at once as a header claims, up to 2 GB, and a WAV file of 3 KB can claim
that. The index of a day of m4a takes 90 MB."""

MAX_STREAMS = 250
"""Of all kinds, in one file; the rest is left out. A film with forty subtitles and a hundred fonts
has fewer; a small file that names a thousand takes 750 MB."""


def _audio_decoders() -> list[str]:
    found = []
    for name in sorted(av.codecs_available):
        with contextlib.suppress(ValueError):  # it can be encoded only
            codec = av.Codec(name, "r")
            if codec.type == "audio":
                found.append(codec.name)
    return found


_OPTIONS = {
    # Playlists are "audio" to FFmpeg too; with no protocol allowed they cannot make it open the
    # files and addresses that they name.
    "protocol_whitelist": "none",
    "max_streams": str(MAX_STREAMS),
    # FFmpeg decodes a picture of each video and each cover to see what it is like: twenty covers in
    # a file of 2 MB take 2 GB.
    "codec_whitelist": ",".join(_audio_decoders()),
}

RAW_FORMATS = {
    "gsm": ("gsm", {}),
    "g722": ("g722", {}),
    "g729": ("g729", {}),
    **dict.fromkeys(("al", "alaw"), ("alaw", {"sample_rate": "8000"})),
    **dict.fromkeys(("ul", "ulaw", "mulaw"), ("mulaw", {"sample_rate": "8000"})),
    "sln": ("s16le", {"sample_rate": "8000"}),
    **{
        f"sln{rate}": ("s16le", {"sample_rate": f"{rate}000" if rate != 44 else "44100"})
        for rate in (12, 16, 24, 32, 44, 48, 96, 192)
    },
}
"""Formats of telephone systems whose bytes say nothing about them: by the file's extension, as
Asterisk names them, FFmpeg's name of the format and its options."""

logger = logging.getLogger(__name__)


def _call_ffmpeg(name: str, argument: "ctypes.c_size_t | ctypes.c_int") -> None:
    """Call a function of FFmpeg that PyAV has no name for; PyAV is linked with it."""
    try:
        function = getattr(ctypes.CDLL(av.logging.__file__), name)
    except (OSError, AttributeError) as error:
        logger.warning("Forged files may take much memory for a moment: %s", error)
        return
    function.argtypes, function.restype = [type(argument)], None
    function(argument)


def use_one_thread() -> None:
    """Have FFmpeg start no threads: it starts one for each core, which do nothing for audio."""
    _call_ffmpeg("av_cpu_force_count", ctypes.c_int(1))


# For the whole process.
_call_ffmpeg("av_max_alloc", ctypes.c_size_t(MAX_ALLOCATION_BYTES))


def open_container(window: FileWindow, filename: str = "") -> av.container.InputContainer:
    """Raise BadAudio for what FFmpeg cannot open; `filename` tells RAW_FORMATS apart."""
    extension = filename.rpartition(".")[2].lower()
    format_name, options = RAW_FORMATS.get(extension, (None, {}))
    if window.read_at(0, 4) == b"RIFF":
        format_name, options = None, {}
    window.seek(0)
    try:
        return av.open(
            window,
            "r",
            format=format_name,
            options=options,
            metadata_errors="replace",
            container_options=_OPTIONS,
        )
    except (av.FFmpegError, ValueError) as error:
        # An MP4 keeps its index at its end, so a part of one is not even recognised.
        if window.read_at(4, 4) == b"ftyp":
            raise BadAudio("truncated or damaged: its index (moov) is missing") from error
        raise BadAudio("not audio, or not in a known format") from error
