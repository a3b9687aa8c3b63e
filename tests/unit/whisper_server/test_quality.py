"""Whisper's checks and its ladder, and what is no speech."""

from dataclasses import replace

import pytest

from whisper_server.engines.base import AlignedWord, Options, WindowResult
from whisper_server.quality import (
    LADDER,
    MAX_LOOPS,
    SECOND_LADDER,
    best_of,
    is_phantom,
    is_silence,
    ladder_of,
    next_temperature,
    repeats,
)


def words_of(text: str, probability: float = 0.9) -> tuple[AlignedWord, ...]:
    """Return the words of a text, three in each second."""
    return tuple(
        AlignedWord(f" {word}", (number,), number / 3, (number + 1) / 3, probability)
        for number, word in enumerate(text.split())
    )


WORDS = words_of("yes")


def attempt(
    avg_logprob: float = -0.2,
    compression_ratio: float = 1.1,
    no_speech_prob: float = 0.0,
    temperature: float = 0.0,
) -> WindowResult:
    return WindowResult("en", WORDS, temperature, avg_logprob, compression_ratio, no_speech_prob)


def saying(text: str) -> WindowResult:
    return replace(attempt(), words=words_of(text))


def test_temperature_0_stands_for_all_and_another_for_itself_alone() -> None:
    assert ladder_of(Options()) == LADDER
    assert ladder_of(Options(temperature=0.4)) == (0.4,)


def test_the_first_attempt_is_at_the_ladders_foot() -> None:
    assert next_temperature([], LADDER) == 0.0


def test_a_good_window_is_done_at_once() -> None:
    assert next_temperature([attempt()], LADDER) is None
    assert best_of([attempt()]) == attempt()


@pytest.mark.parametrize("bad", [attempt(compression_ratio=2.5), attempt(avg_logprob=-1.1)])
def test_a_bad_window_climbs_the_ladder_to_its_end(bad: WindowResult) -> None:
    attempts: list[WindowResult] = []
    taken = []
    while (temperature := next_temperature(attempts, LADDER)) is not None:
        taken.append(temperature)
        attempts.append(bad)
    assert tuple(taken) == LADDER


def test_the_climb_ends_with_the_first_good_attempt() -> None:
    good = attempt(temperature=0.2)
    assert next_temperature([attempt(avg_logprob=-2), good], LADDER) is None
    assert best_of([attempt(avg_logprob=-2), good]) == good


def test_a_given_temperature_is_the_only_one() -> None:
    assert next_temperature([], (0.7,)) == 0.7
    assert next_temperature([attempt(avg_logprob=-2, temperature=0.7)], (0.7,)) is None


def test_silence_is_not_tried_again_and_has_no_text() -> None:
    silence = attempt(avg_logprob=-1.5, no_speech_prob=0.9, compression_ratio=5.0)
    assert next_temperature([silence], LADDER) is None
    assert is_silence(silence)
    assert best_of([silence]).words == ()


def test_text_that_the_model_is_sure_of_stays_whatever_it_thinks_of_the_sound() -> None:
    sure = attempt(avg_logprob=-0.5, no_speech_prob=0.99)
    assert next_temperature([sure], LADDER) is None
    assert not is_silence(sure)
    assert best_of([sure]).words == WORDS


def test_of_all_failures_the_likeliest_that_does_not_repeat_itself_counts() -> None:
    circles = attempt(avg_logprob=-0.1, compression_ratio=9.0)
    likelier, less_likely = attempt(avg_logprob=-1.2), attempt(avg_logprob=-1.4)
    assert best_of([circles, likelier, less_likely]) == likelier


def test_if_all_repeat_themselves_the_likeliest_counts() -> None:
    first, second = (attempt(avg_logprob=p, compression_ratio=9.0) for p in (-0.6, -0.3))
    assert best_of([first, second, first]) == second


def test_a_window_without_text_is_done_unless_text_is_needed() -> None:
    empty = replace(attempt(avg_logprob=0.0, compression_ratio=0.0), words=())
    assert next_temperature([empty], LADDER) is None
    assert next_temperature([empty], SECOND_LADDER, needs_text=True) == SECOND_LADDER[1]
    assert next_temperature([empty] * 3, SECOND_LADDER, needs_text=True) is None
    assert next_temperature([attempt()], SECOND_LADDER, needs_text=True) is None


@pytest.mark.parametrize(
    "text",
    [
        "test " * 8,
        "so we said Test, test. TEST! test test test test test",
        "and then we went home " * 12,
        "one two three four five six seven eight " * 6,
    ],
    ids=["a word", "with marks and capitals", "a sentence", "eight words"],
)
def test_words_in_a_loop_are_a_fault(text: str) -> None:
    assert repeats(saying(text))
    assert next_temperature([saying(text)], LADDER) == LADDER[1]
    assert next_temperature([saying("test " * 8), attempt()], LADDER) is None


def test_a_loop_of_many_words_is_found_by_its_compression() -> None:
    loop = " ".join(f"word{number}" for number in range(50))
    assert repeats(replace(saying(f"{loop} {loop} {loop} {loop}"), compression_ratio=4.0))


@pytest.mark.parametrize(
    "text",
    [
        "he had had enough of that that day",
        "no no no no",
        "very very very good",
        "bye bye bye bye",
        "new york new york it is a wonderful town",
        "one two three one two four one two five one two six one two seven",
        "five five five oh one five five",
        "",
    ],
)
def test_words_that_people_double_are_none(text: str) -> None:
    assert not repeats(saying(text))
    assert next_temperature([saying(text)], LADDER) is None


@pytest.mark.parametrize("size", [1, 2, 5, 8])
def test_a_loop_is_the_same_words_once_and_so_many_times_more(size: int) -> None:
    loop = " ".join("abcdefgh"[:size]) + " "
    assert repeats(saying(loop * (1 + MAX_LOOPS)))
    assert not repeats(saying(loop * MAX_LOOPS))


def test_of_all_attempts_one_without_a_loop_counts() -> None:
    loop = replace(saying("test " * 20), avg_logprob=-0.05)
    unlikely = attempt(avg_logprob=-1.3)
    assert best_of([loop, unlikely, loop]) == unlikely


class TestPhantoms:
    SURE, UNSURE = attempt(), attempt(no_speech_prob=0.5)

    def test_likely_words_are_speech_at_any_sound(self) -> None:
        assert not is_phantom(words_of("we meet at noon"), self.SURE, 0.0)

    def test_unlikely_words_without_sound_are_none(self) -> None:
        assert is_phantom(words_of("we meet at noon", 0.5), self.SURE, 0.04)
        assert not is_phantom(words_of("we meet at noon", 0.5), self.SURE, 1.0)

    def test_neither_are_unlikely_ones_that_nobody_can_say_so_fast(self) -> None:
        long = words_of("incomprehensibilities " * 4, 0.5)
        assert is_phantom(long, self.SURE, 1.0)
        assert not is_phantom(long, self.SURE, 3.0)
        assert not is_phantom(words_of("incomprehensibilities " * 4, 0.9), self.SURE, 1.0)

    def test_guesses_are_none_where_the_window_is_unlikely_too(self) -> None:
        guessed = words_of("we meet at noon", 0.2)
        assert is_phantom(guessed, attempt(avg_logprob=-0.9), 2.0)
        assert not is_phantom(guessed, attempt(avg_logprob=-0.5), 2.0)

    def test_in_a_quiet_window_words_must_be_likelier(self) -> None:
        words = words_of("we meet at noon", 0.5)
        assert is_phantom(words, attempt(avg_logprob=-0.9, no_speech_prob=0.5), 2.0)
        assert not is_phantom(words, attempt(avg_logprob=-0.9, no_speech_prob=0.1), 2.0)
        assert not is_phantom(words, attempt(avg_logprob=-0.5, no_speech_prob=0.5), 2.0)

    @pytest.mark.parametrize(
        "text",
        [
            "Thank you.", "Thanks for watching!", "you", "Bye. Bye.", "The End",
            "Please like and subscribe to my channel.", "I'll see you next time.",
            "Untertitel der Amara.org-Community", "Merci d'avoir regardé cette vidéo !",
            "¡Gracias por ver el video!", "Субтитры создавал DimaTorzok",
            "Продолжение следует...", "ご視聴ありがとうございました", "谢谢观看",
            "Grazie per la visione!", "시청해주셔서 감사합니다",
        ],
    )  # fmt: skip
    @pytest.mark.parametrize(
        ("result", "probability"),
        [(UNSURE, 0.9), (attempt(avg_logprob=-0.9), 0.9), (SURE, 0.5)],
        ids=["no speech", "unlikely window", "unlikely words"],
    )
    def test_what_films_end_with_is_none_where_anything_is_unsure(
        self, text: str, result: WindowResult, probability: float
    ) -> None:
        assert is_phantom(words_of(text, probability), result, 1.5)
        assert not is_phantom(words_of(text), self.SURE, 1.5)

    @pytest.mark.parametrize(
        "text", ["Thank you for the coffee.", "I see you on Monday.", "You are late.", "Danke."]
    )
    def test_sentences_that_begin_so_are_speech(self, text: str) -> None:
        assert not is_phantom(words_of(text), self.UNSURE, 1.5)
