"""Segments for property tests: any words, in any script, with pauses between them."""

from hypothesis import strategies as st

from stt.domain.transcript import Segment, Word
from stt.transcripts.cue_splitting import CueLimits

WORD_TEXTS = st.text(st.sampled_from("abcdefg.,!漢字กำ’é"), min_size=1, max_size=12)
CUE_LIMITS = st.builds(
    CueLimits,
    st.integers(0, 50),
    st.integers(0, 3),
    st.sampled_from([0.0, 0.5, 3.0, 7.0]),
)


@st.composite
def spoken_segments(draw: st.DrawFn) -> Segment:
    """Return a segment whose words follow one another, each as long as a word can be."""
    at, words = draw(st.floats(0, 5)), []
    for text in draw(st.lists(WORD_TEXTS, min_size=1, max_size=40)):
        start = at + draw(st.floats(0, 3))
        at = start + draw(st.floats(0, 0.5))
        words.append(Word(start, at, f" {text}"))
    timed = tuple(words) if draw(st.booleans()) else ()
    return Segment(words[0].start, at, "".join(w.word for w in words).strip(), words=timed)
