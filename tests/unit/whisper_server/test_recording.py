"""Uploads: how long they are, how they are read, and that nothing of them stays."""

import gc
import io
import threading
import time
import tracemalloc
from typing import Any

import numpy as np
import pytest

from stt.media import isolated_reader, track_reader
from stt.media.audio import AudioReader
from stt.media.decoder_pool import DecoderPool
from stt.media.samples import Samples as Pcm
from tests.support.damage import tones
from tests.support.decoders import decode_here, dying_decoders
from tests.support.dying_decoder import deadly
from tests.support.uploads import (
    decode,
    film_without_sound,
    flac_bomb,
    tone_file,
    wav_that_claims,
    with_hole,
)
from whisper_server.errors import EngineStopped, InvalidAudio, TooLarge, Unavailable
from whisper_server.recording import Recording

SECOND = 16_000


def measure(*files: io.BytesIO, limit_seconds: float = 3600) -> float:
    return Recording(files, limit_seconds, "file").measure()


class TestLength:
    @pytest.mark.parametrize(
        ("container", "codec", "rate"),
        [
            ("wav", "pcm_s16le", 16_000),
            ("flac", "flac", 48_000),
            ("ogg", "libopus", 48_000),
            ("webm", "libopus", 48_000),
            ("mp3", "libmp3lame", 22_050),
            ("mp4", "aac", 44_100),
            ("adts", "aac", 44_100),
        ],
    )
    def test_it_is_known_before_anything_is_decoded(
        self, container: str, codec: str, rate: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = tone_file(20, container, codec, rate)
        decode_here(monkeypatch)
        monkeypatch.setattr(AudioReader, "blocks", None)
        assert measure(file) == pytest.approx(20, abs=0.1)

    def test_files_add_up(self) -> None:
        assert measure(tone_file(3), tone_file(4, rate=48_000)) == pytest.approx(7)

    def test_it_is_what_is_there_and_not_what_the_header_claims(self) -> None:
        claims_37_hours = io.BytesIO(wav_that_claims())
        assert measure(claims_37_hours, limit_seconds=60) == pytest.approx(2)

    def test_a_file_past_the_limit_is_refused_before_anything_is_decoded(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = tone_file(20, "flac", "flac", level=0)
        decode_here(monkeypatch)
        monkeypatch.setattr(AudioReader, "blocks", None)
        with pytest.raises(TooLarge, match="longer than the 10 seconds") as caught:
            measure(file, limit_seconds=10)
        assert (caught.value.code, caught.value.param) == ("audio_too_long", "file")

    def test_a_file_at_the_limit_is_measured_and_read(self) -> None:
        file = tone_file(20, "mp3", "libmp3lame", 22_050)
        recording = Recording([file], 20, "file")
        assert recording.measure() > 20  # with the encoder's padding
        assert sum(len(block) for block in recording.blocks()) == 20 * SECOND

    def test_measuring_ends_after_many_packets(self, monkeypatch: pytest.MonkeyPatch) -> None:
        decode_here(monkeypatch)
        monkeypatch.setattr(track_reader, "MAX_MEASURED_PACKETS", 10)
        assert measure(tone_file(20)) < 5

    @pytest.mark.parametrize("part", [0.1, 0.5, 0.99])
    def test_of_a_broken_off_file_what_is_there_counts(self, part: float) -> None:
        whole = tone_file(20, "mp3", "libmp3lame", 22_050).getvalue()
        broken_off = io.BytesIO(whole[: int(len(whole) * part)])
        assert measure(broken_off) == pytest.approx(20 * part, abs=0.3)

    def test_what_is_no_audio_is_refused(self) -> None:
        with pytest.raises(InvalidAudio, match="The file cannot be decoded: not audio, or not in"):
            measure(io.BytesIO(b"no audio at all " * 99))

    def test_what_is_wrong_with_a_truncated_file_is_said(self) -> None:
        whole = tones("mp4")
        with pytest.raises(InvalidAudio, match=r"cannot be decoded: truncated .* \(moov\) is miss"):
            measure(io.BytesIO(whole[: len(whole) * 7 // 10]))


class TestReading:
    def test_blocks_last_a_second_or_more(self) -> None:
        blocks = list(Recording([tone_file(30.5, rate=48_000)], 60, "file").blocks())
        assert all(SECOND <= len(block) < 4 * SECOND for block in blocks[:-1])
        assert sum(map(len, blocks)) == pytest.approx(30.5 * SECOND, abs=9)

    def test_others_get_the_samples_too_and_learn_of_the_end(self) -> None:
        taken: list[int | None] = []

        def take(block: Pcm | None) -> None:
            taken.append(None if block is None else len(block))

        files = [tone_file(1.0), tone_file(0.5)]
        blocks = Recording(files, 60, "file", on_block=take).blocks()
        assert [*map(len, blocks), None] == taken

    def test_several_files_follow_each_other(self) -> None:
        samples = decode(tone_file(1.0), tone_file(0.5, rate=48_000))
        assert len(samples) / SECOND == pytest.approx(1.5, abs=0.02)

    def test_samples_are_floats_of_full_scale_one(self) -> None:
        samples = decode(tone_file(2.0, rate=48_000))
        assert samples.dtype == np.float32
        assert np.abs(samples).max() == pytest.approx(0.5, abs=0.01)

    def test_a_film_without_sound_has_no_audio_track(self) -> None:
        with pytest.raises(InvalidAudio, match="The file has no audio track"):
            decode(film_without_sound())

    def test_a_header_without_samples_is_no_audio(self) -> None:
        with pytest.raises(InvalidAudio, match="holds no audio that can be decoded"):
            decode(io.BytesIO(wav_that_claims(data=b"")))

    @pytest.mark.parametrize("rate", [0, 1, 999, 2_000_000, 2_000_000_000])
    def test_a_sample_rate_that_would_fill_the_memory_is_refused(self, rate: int) -> None:
        with pytest.raises(InvalidAudio, match="cannot be decoded"):
            decode(io.BytesIO(wav_that_claims(rate)), limit_seconds=1e6)

    def test_what_is_no_number_is_silence_and_what_is_too_loud_is_clipped(self) -> None:
        data = np.array([np.nan, np.inf, -np.inf, 1e30, 0.25] * 5_000, "<f4").tobytes()
        samples = decode(io.BytesIO(wav_that_claims(bits=32, data=data, form=3)))
        assert np.isfinite(samples).all()
        assert np.abs(samples).max() <= 1

    def test_silence_in_place_of_a_hole_counts_for_the_limit(self) -> None:
        with pytest.raises(TooLarge):
            decode(with_hole("matroska", "aac", 44_100, hole_seconds=60), limit_seconds=30)

    def test_an_empty_file_is_called_empty(self) -> None:
        with pytest.raises(InvalidAudio, match="empty") as caught:
            decode(io.BytesIO())
        assert (caught.value.code, caught.value.param) == ("empty_file", "file")

    def test_the_broken_one_of_several_files_is_named(self) -> None:
        files = [tone_file(1), io.BytesIO(b"no audio at all " * 99)]
        with pytest.raises(InvalidAudio, match="File 2 of 2") as caught:
            list(Recording(files, 60, "files").blocks())
        assert caught.value.param == "files"

    def test_it_ends_at_the_limit_and_not_at_the_end_of_the_file(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        decode_here(monkeypatch)
        file = tone_file(300)
        with pytest.raises(TooLarge, match="longer than the 2 seconds") as caught:
            decode(file, limit_seconds=2)
        assert caught.value.code == "audio_too_long"
        assert file.tell() < 10 * 2 * SECOND

    def test_the_limit_counts_all_files_together(self) -> None:
        with pytest.raises(TooLarge):
            decode(tone_file(1.5), tone_file(1.5), limit_seconds=2)

    def test_threads_may_take_turns(self) -> None:
        blocks = Recording([tone_file(30)], 60, "file").blocks()
        taken: list[Any] = []
        while (before := len(taken)) == 0 or taken[-1] is not None:
            thread = threading.Thread(target=lambda: taken.append(next(blocks, None)))
            thread.start()
            thread.join()
            assert len(taken) == before + 1
        assert sum(len(block) for block in taken[:-1]) == 30 * SECOND


class TestClosing:
    def test_a_recording_closed_midway_lets_go_of_the_decoder_and_leaves_the_file_open(
        self,
    ) -> None:
        file = tone_file(60)
        recording = Recording([file], 60, "file")
        blocks = recording.blocks()
        next(blocks)
        recording.close()
        assert next(blocks, None) is None
        assert not file.closed

    def test_one_that_was_never_read_closes_too(self) -> None:
        recording = Recording([tone_file(1)], 60, "file")
        recording.close()
        recording.close()
        with pytest.raises(EngineStopped):
            next(recording.blocks())

    def test_closing_while_another_thread_reads_ends_the_reading(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        decode_here(monkeypatch)
        reached, go_on = threading.Event(), threading.Event()

        class Slow(io.BytesIO):
            def read(self, size: int | None = -1) -> bytes:
                if self.tell() > 1_000_000:
                    reached.set()
                    go_on.wait(60)
                return super().read(size)

        recording = Recording([Slow(tone_file(60).getvalue())], 60, "file")
        ends: list[BaseException | None] = []

        def read() -> None:
            try:
                list(recording.blocks())
                ends.append(None)
            except EngineStopped as error:
                ends.append(error)

        thread = threading.Thread(target=read)
        thread.start()
        assert reached.wait(60)
        recording.close()
        go_on.set()
        thread.join(60)
        assert isinstance(ends[0], EngineStopped)

    def test_nothing_stays_of_two_hundred_uploads(self) -> None:
        whole = tone_file(3, "flac", "flac").getvalue()
        upload_kinds = [whole, whole[: len(whole) // 2], b"no audio", b"", wav_that_claims(1)]

        def take(data: bytes) -> None:
            recording = Recording([io.BytesIO(data)], 2.5, "file")
            try:
                recording.measure()
                next(recording.blocks())
            except (InvalidAudio, TooLarge):
                pass
            finally:
                recording.close()

        for data in upload_kinds * 4:
            take(data)
        gc.collect()
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            for data in upload_kinds * 40:
                take(data)
            gc.collect()
            after, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert after - before < 100_000


def test_a_bomb_is_refused_before_it_goes_off() -> None:
    two_days = flac_bomb(48)
    assert len(two_days) < 1_000_000
    started = time.monotonic()
    with pytest.raises(TooLarge):
        measure(io.BytesIO(two_days), limit_seconds=4 * 3600)
    assert time.monotonic() - started < 2


def test_a_bomb_that_hides_its_length_goes_no_further_than_the_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    decode_here(monkeypatch)
    monkeypatch.setattr(track_reader, "MAX_MEASURED_PACKETS", 10)
    bomb = io.BytesIO(flac_bomb(12))
    assert measure(bomb, limit_seconds=3600) < 60
    read = 0
    with pytest.raises(TooLarge):  # noqa: PT012
        for block in Recording([bomb], 3600, "file").blocks():
            read += len(block)
    assert 3500 * SECOND < read <= 3600 * SECOND


def test_a_small_bomb_is_as_long_as_it_says() -> None:
    assert len(decode(io.BytesIO(flac_bomb(0.1)))) == pytest.approx(360 * SECOND, rel=0.01)


def test_a_file_that_crashes_its_decoder_is_refused_and_the_next_one_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sound = tone_file(4).getvalue()
    with dying_decoders(monkeypatch):
        for after_blocks in (0, 1):
            recording = Recording([io.BytesIO(sound + deadly("SIGSEGV", after_blocks))], 60, "file")
            with pytest.raises(
                InvalidAudio, match=r"cannot be decoded: it crashes the decoder \(SIGSEGV\).$"
            ) as caught:
                list(recording.blocks())
            assert caught.value.param == "file"
            assert len(decode(io.BytesIO(sound))) == 4 * SECOND


def test_a_request_may_be_sent_again_when_no_decoder_can_be_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(isolated_reader, "pool", DecoderPool(("/no/such/program",)))
    with pytest.raises(Unavailable, match="The decoder cannot be started") as caught:
        measure(tone_file(1))
    assert int(caught.value.headers["Retry-After"]) > 0
