"""Checks of texts: Whisper's own, with its ladder of temperatures, and what is no speech. Pure.

The numbers of Whisper's own checks are those of `transcribe.py` in openai-whisper.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace

from whisper_server.engines.base import AlignedWord, Options, WindowResult

LADDER = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""A window that fails the checks is decoded again, sampled more freely each time."""
SECOND_LADDER = (0.0, 0.4, 0.8)
"""For speech that gave no text at first."""

MAX_COMPRESSION = 2.4
"""Text that zlib compresses more than that repeats itself."""
MIN_AVG_LOGPROB = -1.0
MAX_NO_SPEECH = 0.6

MAX_LOOP_WORDS = 8
MAX_LOOPS = 4
"""So many times in a row the same words, up to so many of them, are a loop of the model."""

MIN_SOUND_SECONDS = 0.06
"""A segment with less sound than that in it is not spoken."""
MAX_LETTERS_PER_SECOND = 40.0
"""Of sound; the fastest speakers reach 30."""
MIN_WORD_PROBABILITY = 0.25
"""A segment whose words are less likely on average is a guess."""
UNSURE_WORD_PROBABILITY = 0.6
UNSURE_NO_SPEECH = 0.4
UNSURE_AVG_LOGPROB = -0.8

KNOWN_PHANTOMS = re.compile(
    r"(thank(s| you)( (so|very) much)?( for (watching|listening|your attention))?"
    r"|(please )?(like and )?subscribe( to (my|our|the) channel)?"
    r"|(i (ll|will) )?see you (in the )?next (time|video)|bye( bye)*|you|the end"
    r"|subtitles? by.*|.*amara org.*|transcri(bed|ption) by.*|copyright.*"
    r"|untertitel.*|vielen dank( fürs zuschauen)?|bis zum nächsten mal"
    r"|sous titr.*|merci( d avoir regardé.*)?|abonnez vous.*"
    r"|subtítulos.*|gracias( por ver.*)?|suscríbete.*"
    r"|sottotitoli.*|grazie( per (la visione|aver guardato).*)?"
    r"|редактор субтитров.*|субтитры.*|продолжение следует|спасибо( за (просмотр|внимание))?"
    r"|字幕.*|ご視聴ありがとうございました|謝謝(大家|觀看)?|谢谢(大家|观看)?"
    r"|시청해주셔서 감사합니다)"
)
"""What Whisper writes for silence, as it is said in films with subtitles; counts only where the
segment is unsure."""


def ladder_of(options: Options) -> tuple[float, ...]:
    """Return the temperatures to try: the given one alone, or for 0 all of Whisper's."""
    return (options.temperature,) if options.temperature else LADDER


def next_temperature(
    attempts: Sequence[WindowResult], ladder: Sequence[float], *, needs_text: bool = False
) -> float | None:
    """Return the temperature at which to try again, or None when the window is done.

    `needs_text`: an attempt without text is not acceptable.
    """
    if attempts and _is_acceptable(attempts[-1]) and (attempts[-1].words or not needs_text):
        return None
    return ladder[len(attempts)] if len(attempts) < len(ladder) else None


def best_of(attempts: Sequence[WindowResult]) -> WindowResult:
    """Return the best attempt; without words if the window counts as silence."""
    best = attempts[-1]
    if not _is_acceptable(best):
        not_repeating = [attempt for attempt in attempts if not repeats(attempt)]
        best = max(not_repeating or attempts, key=lambda attempt: attempt.avg_logprob)
    return replace(best, words=()) if is_silence(best) else best


def is_silence(attempt: WindowResult) -> bool:
    """Return whether there is no speech; a likely text is speech at any `no_speech_prob`."""
    return attempt.no_speech_prob > MAX_NO_SPEECH and attempt.avg_logprob < MIN_AVG_LOGPROB


def repeats(attempt: WindowResult) -> bool:
    """Return whether the text repeats itself: as a whole, or a few words in a loop."""
    if attempt.compression_ratio > MAX_COMPRESSION:
        return True
    words = [_plain(word.text) for word in attempt.words]
    for size in range(1, MAX_LOOP_WORDS + 1):
        same = 0
        for at in range(size, len(words)):
            same = same + 1 if words[at] == words[at - size] else 0
            if same >= size * MAX_LOOPS:
                return True
    return False


def is_phantom(words: Sequence[AlignedWord], result: WindowResult, sound_seconds: float) -> bool:
    """Return whether a segment cannot be speech.

    Its words are unlikely, and it has no sound, or more letters than can be said in it, or its
    window is unlikely as a whole; or one of these signs, and it is a well-known phrase.
    """
    letters = sum(len(_plain(word.text)) for word in words)
    probability = sum(word.probability for word in words) / len(words)
    if probability < UNSURE_WORD_PROBABILITY and (
        sound_seconds < MIN_SOUND_SECONDS or letters > MAX_LETTERS_PER_SECOND * sound_seconds
    ):
        return True
    is_quiet = result.no_speech_prob > UNSURE_NO_SPEECH
    least = UNSURE_WORD_PROBABILITY if is_quiet else MIN_WORD_PROBABILITY
    if probability < least and result.avg_logprob < UNSURE_AVG_LOGPROB:
        return True
    unsure = (
        probability < UNSURE_WORD_PROBABILITY or is_quiet or result.avg_logprob < UNSURE_AVG_LOGPROB
    )
    phrase = " ".join(_plain(word.text) for word in words).strip()
    return unsure and KNOWN_PHANTOMS.fullmatch(phrase) is not None


def _is_acceptable(attempt: WindowResult) -> bool:
    unlikely = attempt.avg_logprob < MIN_AVG_LOGPROB
    return is_silence(attempt) or not (repeats(attempt) or unlikely)


def _plain(text: str) -> str:
    """Return a word in lower case without marks."""
    kept = (c if unicodedata.category(c)[0] in "LMN" else " " for c in text.lower())
    return " ".join("".join(kept).split())
