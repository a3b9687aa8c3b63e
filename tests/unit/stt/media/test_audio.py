"""The codec: what goes in comes out, of the same length and at the same time."""

import io
import wave
from pathlib import Path

import av
import numpy as np
import pytest

from stt.errors import BadAudio
from stt.media import audio
from stt.media.audio import SAMPLE_RATE, decode, encode_flac, encode_opus
from tests.support.recordings import CODECS, babble, best_lag, write_recording


class TestOpus:
    @pytest.mark.parametrize("count", [1, 2, 104, 159, 160, 319, 320, 321, 16_001, 100_003])
    def test_every_length_comes_back_exactly(self, count: int) -> None:
        assert len(decode(encode_opus(babble(8)[:count]))) == count

    def test_what_comes_back_is_neither_early_nor_late(self) -> None:
        said = babble(4)
        assert best_lag(decode(encode_opus(said)), said) == 0

    def test_what_comes_back_sounds_like_what_went_in(self) -> None:
        said = babble(4).astype(float)
        decoded = decode(encode_opus(babble(4))).astype(float)
        assert np.corrcoef(said, decoded)[0, 1] > 0.8

    def test_the_length_is_in_the_file_for_other_decoders_too(self) -> None:
        """At Opus' own 48 kHz, where no resampler can hide a wrong pre-skip or end trim."""
        data = io.BytesIO(encode_opus(babble(1)[:12_345]))
        with av.open(data, "r") as container:
            frames = container.decode(container.streams.audio[0])
            assert sum(frame.samples for frame in frames) == 3 * 12_345

    def test_a_chunk_of_speech_is_small(self) -> None:
        assert len(encode_opus(babble(30))) < 30 * 48_000 / 8

    def test_a_higher_bit_rate_makes_a_bigger_file(self) -> None:
        said = babble(5)
        assert len(encode_opus(said, bit_rate=64_000)) > 1.2 * len(encode_opus(said))

    def test_nothing_cannot_be_encoded(self) -> None:
        with pytest.raises(ValueError, match="no samples"):
            encode_opus(np.zeros(0, np.int16))


class TestFlac:
    @pytest.mark.parametrize("count", [1, 160, 16_001])
    def test_nothing_is_lost(self, count: int) -> None:
        said = babble(2)[:count]
        np.testing.assert_array_equal(decode(encode_flac(said)), said)

    def test_pieces_that_are_not_contiguous_are_fine(self) -> None:
        said = babble(2)[::2]
        np.testing.assert_array_equal(decode(encode_flac(said)), said)


class TestLongAudio:
    """Encoded in parts, since FFmpeg may not allocate all of it at once."""

    @pytest.mark.parametrize("count", [16_000, 16_001, 45_678])
    def test_the_parts_join_without_a_seam(
        self, count: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        said = babble(3)[:count]
        whole = encode_opus(said)
        monkeypatch.setattr(audio, "_ENCODED_SAMPLES", SAMPLE_RATE)
        np.testing.assert_array_equal(decode(encode_flac(said)), said)
        assert len(decode(encode_opus(said))) == count
        np.testing.assert_array_equal(decode(encode_opus(said)), decode(whole))


class TestDecode:
    @pytest.mark.parametrize("extension", CODECS)
    def test_other_programs_chunks_may_have_any_format(
        self, extension: str, tmp_path: Path
    ) -> None:
        decoded = decode(write_recording(tmp_path / f"chunk.{extension}").read_bytes())
        assert decoded.dtype == np.int16
        assert len(decoded) == pytest.approx(3 * SAMPLE_RATE, abs=0.06 * SAMPLE_RATE)
        assert abs(best_lag(decoded, babble(3))) <= 8
        assert np.abs(decoded).max() > 1_000

    @pytest.mark.parametrize("rate", [8_000, 11_025, 44_100, 96_000])
    def test_every_sample_rate_gives_the_full_length(self, rate: int) -> None:
        decoded = decode(wav(np.zeros(rate + 1, np.int16), rate))
        assert len(decoded) == round((rate + 1) * SAMPLE_RATE / rate)

    @pytest.mark.parametrize("channels", [2, 3, 6, 12])
    def test_channels_are_mixed_to_one(self, channels: int) -> None:
        tone = np.full(SAMPLE_RATE, 1_000, np.int16)
        decoded = decode(wav(np.repeat(tone, channels), SAMPLE_RATE, channels))
        assert len(decoded) == SAMPLE_RATE
        assert decoded[100:-100].mean() > 100

    @pytest.mark.parametrize(
        "data",
        [b"good morning\n" * 100, bytes(5_000), b"\x89PNG\r\n\x1a\n" + bytes(100), b"RIFF"],
        ids=["text", "zeros", "picture", "stub"],
    )
    def test_what_is_not_audio_is_refused(self, data: bytes) -> None:
        with pytest.raises(BadAudio):
            decode(data)

    def test_no_bytes_are_refused_as_empty(self) -> None:
        with pytest.raises(BadAudio, match="empty"):
            decode(b"")

    def test_a_file_with_a_header_and_no_sample_is_refused(self) -> None:
        with pytest.raises(BadAudio):
            decode(wav(np.zeros(0, np.int16), SAMPLE_RATE))

    def test_a_little_file_that_unfolds_without_end_is_refused(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(audio, "MAX_CHUNK_SECONDS", 36)
        silence = np.zeros(60 * SAMPLE_RATE, np.int16)
        with pytest.raises(BadAudio, match=r"longer than 0\.01 hours"):
            decode(encode_flac(silence))

    def test_a_sample_rate_that_would_blow_up_the_audio_is_refused(self) -> None:
        with pytest.raises(BadAudio, match="sample rate"):
            decode(wav(np.zeros(4_000, np.int16), 1))

    def test_a_playlist_cannot_make_us_open_other_files(self, tmp_path: Path) -> None:
        secret = write_recording(tmp_path / "secret.wav")
        playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{secret}\n#EXT-X-ENDLIST\n"
        with pytest.raises(BadAudio):
            decode(playlist.encode())

    def test_the_result_can_be_changed_in_place(self) -> None:
        decoded = decode(encode_flac(babble(1)))
        decoded[0] = 7
        assert decoded[0] == 7


def wav(samples: audio.Samples, rate: int, channels: int = 1) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as output:
        output.setnchannels(channels)
        output.setsampwidth(2)
        output.setframerate(rate)
        output.writeframes(samples.tobytes())
    return file.getvalue()
