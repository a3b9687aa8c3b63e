"""How far a transcript is from what was said: words, languages, inventions, times."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from itertools import groupby

import jiwer

from tools.fidelity_lab.tape import SpeechSet
from tools.fidelity_lab.words import words_of

PHANTOM_RUN = 3
"""So many inserted words in a row were never said."""
PHANTOM_MARGIN_SECONDS = 0.5
"""Of a segment to the nearest speech, from which on its inserted words were never said."""
SILENT_STRETCH_SECONDS = 3.0
SAME_LANGUAGE_RATIO = 0.5
"""So much of a prompt's letters must be there for it to count as written in its language."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment of a transcript; `language` is None where the contestant does not say it."""

    start: float
    end: float
    text: str
    language: str | None = None


@dataclass(slots=True)
class PromptErrors:
    """What became of one prompt; words that were inserted belong to the prompt before them."""

    words: int
    deleted: int = 0
    inserted: int = 0
    changed: int = 0
    is_in_its_language: bool = True
    reported_language: str | None = None
    """The `language` of most of its words' segments; None where they say none, or none is there."""

    @property
    def wrong(self) -> int:
        return self.deleted + self.inserted + self.changed


@dataclass(slots=True)
class Measured:
    """A transcript of one set. Times in seconds; cue errors are end − true end."""

    prompts: list[PromptErrors] = field(default_factory=list)
    phantoms: list[str] = field(default_factory=list)
    """Words that were written where nothing like them was said."""
    cue_end_errors: list[float] = field(default_factory=list)
    silent_stretches: list[tuple[float, float]] = field(default_factory=list)
    """Begin and end of speech of more than three seconds without any text."""
    mistakes: list[str] = field(default_factory=list)
    """Each run of wrong words, as `said → written`, with its time."""

    @property
    def words(self) -> int:
        return sum(prompt.words for prompt in self.prompts)

    @property
    def wrong(self) -> int:
        return sum(prompt.wrong for prompt in self.prompts)


@dataclass(frozen=True, slots=True)
class _Said:
    word: str
    prompt: int
    start: float
    end: float
    is_last: bool


@dataclass(frozen=True, slots=True)
class _Written:
    word: str
    segment: Segment
    is_last: bool


_Pair = tuple[int | None, int | None]
"""Indexes of a said and a written word that belong together; None: the other has none."""


def measure(of: SpeechSet, segments: Sequence[Segment]) -> Measured:
    """Compare a transcript with what was said, word by word."""
    said, written = list(_said(of)), list(_written(of, segments))
    if not said:
        return Measured(phantoms=[one.word for one in written])
    pairs = list(_aligned([one.word for one in said], [one.word for one in written]))
    found = Measured([PromptErrors(0) for _ in of.spoken])
    _count(found, said, written, pairs)
    found.phantoms = [written[index].word for index in _phantoms(of, written, pairs)]
    found.cue_end_errors = [
        written[index].segment.end - said[at].end
        for at, index in pairs
        if at is not None and index is not None
        if said[at].is_last and written[index].is_last
    ]
    found.silent_stretches = _silent_stretches(said, pairs)
    _find_languages(found, said, written, pairs)
    found.mistakes = list(_mistakes(said, written, pairs))
    return found


def _said(of: SpeechSet) -> Iterator[_Said]:
    """The words with times that are guessed from their length within the prompt."""
    for index, spoken in enumerate(of.spoken):
        words = words_of(spoken.text, spoken.language)
        letters, done = sum(map(len, words)), 0
        for at, word in enumerate(words):
            length = (spoken.end - spoken.start) / letters
            start = spoken.start + done * length
            done += len(word)
            end = spoken.start + done * length
            yield _Said(word, index, start, end, at == len(words) - 1)


def _written(of: SpeechSet, segments: Sequence[Segment]) -> Iterator[_Written]:
    for segment in sorted(segments, key=lambda one: one.start):
        language = of.language_at((segment.start + segment.end) / 2)
        words = words_of(segment.text, language)
        for at, word in enumerate(words):
            yield _Written(word, segment, at == len(words) - 1)


def _aligned(said: Sequence[str], written: Sequence[str]) -> Iterator[_Pair]:
    """Pairs of words in order, with the fewest differences."""
    if not written:
        yield from ((index, None) for index in range(len(said)))
        return
    chunks = jiwer.process_words(" ".join(said), " ".join(written)).alignments[0]
    for chunk in chunks:
        theirs = range(chunk.ref_start_idx, chunk.ref_end_idx)
        ours = range(chunk.hyp_start_idx, chunk.hyp_end_idx)
        if chunk.type == "delete":
            yield from ((index, None) for index in theirs)
        elif chunk.type == "insert":
            yield from ((None, index) for index in ours)
        else:
            yield from zip(theirs, ours, strict=True)


def _is_wrong(said: Sequence[_Said], written: Sequence[_Written], pair: _Pair) -> bool:
    at, index = pair
    return at is None or index is None or said[at].word != written[index].word


def _count(
    found: Measured, said: Sequence[_Said], written: Sequence[_Written], pairs: Sequence[_Pair]
) -> None:
    prompt = found.prompts[0]
    for at, index in pairs:
        if at is None:
            prompt.inserted += 1
            continue
        prompt = found.prompts[said[at].prompt]
        prompt.words += 1
        if index is None:
            prompt.deleted += 1
        elif said[at].word != written[index].word:
            prompt.changed += 1


def _phantoms(of: SpeechSet, written: Sequence[_Written], pairs: Sequence[_Pair]) -> list[int]:
    """Indexes of inserted words that are many in a row, or far from any speech."""
    phantoms: list[int] = []
    for is_inserted, run in groupby(pairs, lambda pair: pair[0] is None):
        if not is_inserted:
            continue
        indexes = [index for _, index in run if index is not None]
        if len(indexes) < PHANTOM_RUN:
            indexes = [one for one in indexes if _is_far_from_speech(of, written[one].segment)]
        phantoms += indexes
    return phantoms


def _is_far_from_speech(of: SpeechSet, segment: Segment) -> bool:
    start, end = segment.start - PHANTOM_MARGIN_SECONDS, segment.end + PHANTOM_MARGIN_SECONDS
    return not any(spoken.start < end and spoken.end > start for spoken in of.spoken)


def _silent_stretches(said: Sequence[_Said], pairs: Sequence[_Pair]) -> list[tuple[float, float]]:
    """Begin and end of each run of deleted words with more than three seconds of speech."""
    stretches = []
    there = [pair for pair in pairs if pair[0] is not None]
    for is_deleted, run in groupby(there, lambda pair: pair[1] is None):
        words = [said[at] for at, _ in run if at is not None]
        if is_deleted and sum(one.end - one.start for one in words) > SILENT_STRETCH_SECONDS:
            stretches.append((words[0].start, words[-1].end))
    return stretches


def _find_languages(
    found: Measured, said: Sequence[_Said], written: Sequence[_Written], pairs: Sequence[_Pair]
) -> None:
    """Judge each prompt by its letters, and say which language its segments report."""
    theirs: dict[int, list[str]] = defaultdict(list)
    ours: dict[int, list[str]] = defaultdict(list)
    languages: dict[int, Counter[str]] = defaultdict(Counter)
    for at, index in pairs:
        if at is None:
            continue
        prompt = said[at].prompt
        theirs[prompt].append(said[at].word)
        if index is not None:
            ours[prompt].append(written[index].word)
            if language := written[index].segment.language:
                languages[prompt][language] += 1
    for prompt, errors in enumerate(found.prompts):
        letters = " ".join(theirs[prompt]), " ".join(ours[prompt])
        ratio = SequenceMatcher(None, *letters, autojunk=False).ratio()
        errors.is_in_its_language = ratio >= SAME_LANGUAGE_RATIO
        if languages[prompt]:
            errors.reported_language = languages[prompt].most_common(1)[0][0]


def _mistakes(
    said: Sequence[_Said], written: Sequence[_Written], pairs: Sequence[_Pair]
) -> Iterator[str]:
    for is_wrong, group in groupby(pairs, lambda pair: _is_wrong(said, written, pair)):
        if not is_wrong:
            continue
        run = list(group)
        theirs = [said[at] for at, _ in run if at is not None]
        ours = [written[index] for _, index in run if index is not None]
        start = theirs[0].start if theirs else ours[0].segment.start
        was = " ".join(one.word for one in theirs)
        yield f"{start:.1f} s: {was or '-'} → {' '.join(one.word for one in ours) or '-'}"
