"""Transcripts as plain text, SubRip and WebVTT. Pure."""

from collections.abc import Sequence

from whisper_server.engines.base import Segment, Transcription


def as_text(transcription: Transcription) -> str:
    return transcription.text + "\n"


def as_srt(segments: Sequence[Segment]) -> str:
    """SubRip: numbered cues, comma before the milliseconds."""
    return "".join(
        f"{number}\n{_clock(segment.start, ',')} --> {_clock(segment.end, ',')}\n"
        f"{_cue_text(segment)}\n\n"
        for number, segment in enumerate(segments, start=1)
    )


def as_vtt(segments: Sequence[Segment]) -> str:
    """WebVTT (w3.org/TR/webvtt1): `&`, `<` and `>` escaped."""
    return "WEBVTT\n\n" + "".join(
        f"{_clock(segment.start, '.')} --> {_clock(segment.end, '.')}\n"
        f"{_escaped(_cue_text(segment))}\n\n"
        for segment in segments
    )


def _cue_text(segment: Segment) -> str:
    """One line: an arrow or an empty line in it would break the cue."""
    return " ".join(segment.text.split()).replace("-->", "->")


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _clock(seconds: float, decimal_mark: str) -> str:
    milliseconds = round(seconds * 1000)
    hours, milliseconds = divmod(milliseconds, 3_600_000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    whole, milliseconds = divmod(milliseconds, 1000)
    return f"{hours:02d}:{minutes:02d}:{whole:02d}{decimal_mark}{milliseconds:03d}"
