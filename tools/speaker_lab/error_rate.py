"""The diarization error rate, by pyannote.metrics."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

COLLAR_SECONDS = 0.25
"""Left out at each side of a border."""

Spans = Iterable[tuple[float, float, object]]
"""Start and end in seconds, and who speaks."""


@dataclass(frozen=True)
class ErrorRate:
    """In % of the speech: missed, false alarm and confusion together, and confusion alone."""

    error: float
    error_with_collar: float
    confusion: float


def error_rate(true: Sequence[tuple[float, float, str]], found: Spans) -> ErrorRate:
    """Compare who speaks with who was found to."""
    from pyannote.core import Segment, Timeline
    from pyannote.metrics.diarization import DiarizationErrorRate

    reference, hypothesis = _annotation(true), _annotation(found)
    whole = Timeline([Segment(0.0, max(end for _, end, _ in true))])
    plain = DiarizationErrorRate()(reference, hypothesis, uem=whole, detailed=True)
    with_collar = DiarizationErrorRate(collar=2 * COLLAR_SECONDS)
    return ErrorRate(
        error=100 * plain["diarization error rate"],
        error_with_collar=100 * with_collar(reference, hypothesis, uem=whole),
        confusion=100 * plain["confusion"] / plain["total"],
    )


def _annotation(spans: Spans) -> Any:
    from pyannote.core import Annotation, Segment

    annotation = Annotation()
    for number, (start, end, who) in enumerate(spans):
        annotation[Segment(start, end), number] = who
    return annotation
