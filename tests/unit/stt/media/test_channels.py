"""A mix loses no channel's voice, whatever the channels have to do with one another."""

from collections.abc import Sequence

import numpy as np
import pytest

from stt.media.channels import MAX_COMPARED, Mixer, OneChannel, Planes
from stt.media.samples import SAMPLE_RATE, Samples
from tests.support.recordings import babble

STEREO = ("FL", "FR")
SURROUND = ("FL", "FR", "FC", "LFE", "BL", "BR")


def mixed(channels: Sequence[Samples], names: Sequence[str], block: int = SAMPLE_RATE) -> Samples:
    planes: Planes = np.stack(channels)
    mixer = Mixer(names)
    starts = range(0, planes.shape[1], block)
    return np.concatenate([mixer(planes[:, start : start + block]) for start in starts])


def level_db(samples: Samples, against: Samples) -> float:
    """How much louder `samples` are."""
    energies = [np.mean(np.square(part.astype(float))) for part in (samples, against)]
    return float(10 * np.log10(max(energies[0], 1e-9) / energies[1]))


def likeness(samples: Samples, against: Samples) -> float:
    return float(abs(np.corrcoef(samples.astype(float), against.astype(float))[0, 1]))


def scaled(samples: Samples, gain: float) -> Samples:
    return np.asarray(np.rint(samples * gain), np.int16)


def test_one_channel_comes_out_untouched() -> None:
    said = babble(2)
    np.testing.assert_array_equal(mixed([said], ["FC"]), said)


def test_two_equal_channels_are_the_one() -> None:
    said = babble(2)
    np.testing.assert_array_equal(mixed([said, said], STEREO), said)


@pytest.mark.parametrize("gain", [1.0, 0.9, 0.5, 0.1])
def test_a_channel_that_is_the_inverse_of_another_takes_nothing_away(gain: float) -> None:
    said = babble(6)
    mono = mixed([said, scaled(said, -gain)], STEREO)
    assert level_db(mono, said) > -6.1
    assert likeness(mono, said) > 0.999


def test_the_fault_is_undone_from_the_first_sample_on() -> None:
    said = babble(3)
    mono = mixed([said, scaled(said, -1)], STEREO)
    assert level_db(mono[:1_000], said[:1_000]) == pytest.approx(0, abs=0.1)


def test_two_voices_are_both_kept() -> None:
    one, other = babble(6, seed=1), babble(6, seed=2)
    mono = mixed([one, other], STEREO)
    np.testing.assert_allclose(mono, (one.astype(float) + other) / 2, atol=1)


def test_a_dead_channel_costs_no_more_than_half_the_level() -> None:
    said = babble(3)
    mono = mixed([np.zeros_like(said), said], STEREO)
    assert level_db(mono, said) == pytest.approx(-6.02, abs=0.1)


def test_hum_with_the_opposite_sign_does_not_turn_speech_round() -> None:
    times = np.arange(6 * SAMPLE_RATE) / SAMPLE_RATE
    hum = (2_000 * np.sin(2 * np.pi * 50 * times)).astype(np.int16)
    said = scaled(babble(6), 0.5)
    mono = mixed([said + hum, said - hum], STEREO)
    assert likeness(mono, said) > 0.999


@pytest.mark.parametrize("live", range(6))
def test_each_channel_of_a_film_is_heard_when_it_is_the_only_one(live: int) -> None:
    said = babble(3)
    channels = [said if number == live else np.zeros_like(said) for number in range(6)]
    assert level_db(mixed(channels, SURROUND), said) > -20


def test_the_centre_of_a_film_outweighs_its_sides() -> None:
    voice, left, right = (babble(4, seed=seed) for seed in (1, 2, 3))
    quiet = np.zeros_like(voice)
    mono = mixed([left, right, voice, left, quiet, quiet], SURROUND)
    assert likeness(mono, voice) > 0.85


def test_inverse_channels_cancel_nothing_beside_a_louder_one() -> None:
    music, said = babble(4, seed=1), scaled(babble(4, seed=2), 0.2)
    mono = mixed([music, said, scaled(said, -1)], ("", "", ""))
    rest = mono.astype(float) * 3 - music
    assert likeness(np.asarray(rest, np.int16), said) > 0.99


@pytest.mark.parametrize("count", [12, MAX_COMPARED + 1])
def test_many_channels_without_places_are_mixed(count: int) -> None:
    said = babble(2)
    assert likeness(mixed([said] * count, ["NONE"] * count), said) > 0.999


def test_a_change_midway_is_faded_and_not_switched() -> None:
    """The second channel turns into the inverse of the first."""
    tone = (9_000 * np.sin(np.arange(20 * SAMPLE_RATE) * 2 * np.pi * 300 / SAMPLE_RATE)).astype(
        np.int16
    )
    other = tone.copy()
    other[5 * SAMPLE_RATE :] *= -1
    mono = mixed([tone, other], STEREO).astype(float)
    steepest = np.abs(np.diff(tone.astype(float))).max()
    after_the_cut = mono[5 * SAMPLE_RATE + 1 :]  # the file itself jumps there
    assert np.abs(np.diff(after_the_cut)).max() < 1.2 * steepest
    assert level_db(mono[-SAMPLE_RATE:].astype(np.int16), tone) > -1


def test_where_the_blocks_end_makes_no_difference_to_sound_channels() -> None:
    one, other = babble(4, seed=1), babble(4, seed=2)
    whole = mixed([one, other], STEREO, block=4 * SAMPLE_RATE)
    np.testing.assert_array_equal(whole, mixed([one, other], STEREO, block=777))


def test_one_channel_alone_is_taken_as_it_is() -> None:
    one, other = babble(2, seed=1), babble(2, seed=2)
    planes: Planes = np.stack([one, other])
    np.testing.assert_array_equal(OneChannel(1)(planes), other)
    assert not OneChannel(2)(planes).any()
