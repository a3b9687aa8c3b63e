"""The recordings of the harness, from made-up prompts: whose words, where, and how loud."""

from itertools import pairwise

import numpy as np
import pytest

from stt.media.audio import SAMPLE_RATE
from tests.support.speech import tone
from tools.fidelity_lab import no_speech
from tools.fidelity_lab.phone import CODECS, through_phone
from tools.fidelity_lab.prompts import Prompt, _is_spoken_so, corrected, read_texts, trimmed
from tools.fidelity_lab.sets import NO_SPEECH_SHARE, STRETCHES, SetMaker, patterns
from tools.fidelity_lab.tape import JOINED, NO_SPEECH, SWITCHING, SpeechSet

LANGUAGES = ("en", "es", "it")
PROMPTS = {
    language: [
        Prompt(language, str(n), f"{language} prompt number {n}", tone(1.0 + n % 3))
        for n in range(9)
    ]
    for language in LANGUAGES
}
MAKER = SetMaker(PROMPTS, minutes=0.2)


@pytest.fixture(scope="module")
def sets() -> list[SpeechSet]:
    return [one for one in MAKER.make() if one.name != "no speech: room"]


def test_the_same_seed_makes_the_same_recordings(sets: list[SpeechSet]) -> None:
    again = MAKER.switching(("en", "es"), 12)
    first = next(one for one in sets if one.name == again.name)
    assert np.array_equal(first.samples, again.samples)
    assert first.spoken == again.spoken
    other = SetMaker(PROMPTS, 0.2, seed=1).switching(("en", "es"), 12)
    assert other.spoken != first.spoken


def test_names_are_unique_and_each_kind_is_there(sets: list[SpeechSet]) -> None:
    assert len({one.name for one in sets}) == len(sets)
    assert len({one.kind for one in sets}) == 8


def test_prompts_are_where_the_set_says(sets: list[SpeechSet]) -> None:
    for one in sets:
        for before, after in pairwise(one.spoken):
            assert before.end <= after.start
            assert one.kind != JOINED or before.end == after.start
        for spoken in one.spoken:
            assert spoken.text.startswith(spoken.language)
            piece = one.samples[round(spoken.start * SAMPLE_RATE) : round(spoken.end * SAMPLE_RATE)]
            assert np.abs(piece).max() > 1000


def test_stretches_are_as_long_as_people_speak_one_language(sets: list[SpeechSet]) -> None:
    for one in sets:
        if one.kind == SWITCHING:
            assert len(one.languages) > 1
            for stretch in one.stretches:
                length = stretch.end - stretch.start
                assert STRETCHES[0] - 1 <= length <= STRETCHES[1] + 4


@pytest.mark.parametrize(
    ("languages", "counts"),
    [(("en",), []), (("en", "es"), [2]), (("en", "es", "fr", "it", "ru"), [2, 2, 3, 4])],
)
def test_recordings_switch_between_two_languages_and_more(
    languages: tuple[str, ...], counts: list[int]
) -> None:
    assert [len(set(pattern)) for pattern in patterns(languages)] == counts


def test_sounds_without_speech_have_no_words_and_their_length(sets: list[SpeechSet]) -> None:
    quiet = [one for one in sets if one.kind == NO_SPEECH]
    assert {one.name.partition(": ")[2] for one in quiet} == no_speech.SOUNDS.keys() - {"room"}
    for one in quiet:
        assert one.spoken == ()
        assert one.seconds == pytest.approx(NO_SPEECH_SHARE * 12)
        assert np.any(one.samples) == (one.name != "no speech: silence")


def test_the_room_is_quiet() -> None:
    wave = no_speech.SOUNDS["room"](np.random.default_rng(1), 20.0)
    assert 0 < np.sqrt(np.square(wave).mean()) < 0.02


@pytest.mark.parametrize(("decibels", "times"), [(20, 10.0), (5, 1.78)])
def test_noise_is_so_many_decibels_below_the_speech(decibels: float, times: float) -> None:
    noisy = MAKER.noisy("en", decibels, 10)
    clean = MAKER.one_language(noisy.name, noisy.kind, "en", 10)
    noise = noisy.samples.astype(float) - clean.samples
    speech = clean.samples[: round(clean.spoken[0].end * SAMPLE_RATE)].astype(float)
    ratio = np.sqrt(np.square(speech).mean() / np.square(noise).mean())
    assert ratio == pytest.approx(times, rel=0.05)


@pytest.mark.parametrize("codec", CODECS)
def test_a_phone_keeps_length_and_most_of_the_sound(codec: str) -> None:
    samples = tone(3.0)
    carried = through_phone(samples, codec)
    assert len(carried) == len(samples)
    assert np.abs(carried).max() == pytest.approx(np.abs(samples).max(), rel=0.5)
    assert not np.array_equal(carried, samples)


def test_sounds_lie_between_the_speech() -> None:
    one = MAKER.between("en", 60)
    gaps = [(before.end, after.start) for before, after in pairwise(one.spoken)]
    long = [(start, end) for start, end in gaps if end - start >= 3]
    assert len(long) >= 2
    assert any(
        np.any(one.samples[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)])
        for start, end in long
    )


def test_texts_that_describe_a_sound_or_lost_a_letter_are_left_out() -> None:
    lines = (
        "; a comment: no\nbeep: [this is a beep]\nhash: press (#)\n"
        "agent: Please log in: now.\nlost: Quella opzione ? invalida\n"
        "last: La chiamata non pu? essere completata\nquestion: Mailbox? Password?\n"
    )
    assert read_texts(lines.encode("utf-8-sig")) == {
        "agent": "Please log in: now.",
        "question": "Mailbox? Password?",
    }


@pytest.mark.parametrize(
    ("text", "language", "is_spoken_so"),
    [
        ("Press 1 now.", "en", True),
        ("Goodbye now", "en", False),
        ("m i s d n", "en", False),
        ("A new message", "en", True),
        ("Marque 1 para terminar", "es", False),
        ("Marque para terminar", "es", True),
    ],
)
def test_prompts_are_sentences_that_are_spoken_as_they_are_written(
    text: str, language: str, is_spoken_so: bool
) -> None:
    assert _is_spoken_so(text, language) == is_spoken_so


def test_known_misspellings_of_the_texts_are_corrected() -> None:
    assert corrected("Что бы выйти, нажмите", "ru") == "чтобы выйти, нажмите"
    assert corrected("Message d'acceuil", "fr") == "Message d'accueil"
    assert corrected("the connection", "en") == "the connection"


def test_quiet_ends_of_a_prompt_are_trimmed() -> None:
    silence = np.full(SAMPLE_RATE // 2, 5, np.int16)
    found = trimmed(np.concatenate([silence, tone(1.0), silence]))
    assert len(found) == pytest.approx(SAMPLE_RATE, abs=400)
    assert len(trimmed(np.zeros(100, np.int16))) == 100
