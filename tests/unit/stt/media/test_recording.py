"""Recordings are read whole, or refused with one line that names the file and says why."""

import os
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from stt.errors import RecordingError
from stt.media import recording as recording_module
from stt.media.audio import SAMPLE_RATE, encode_flac
from stt.media.recording import RecordingFile
from tests.support.recordings import (
    CODECS,
    babble,
    best_lag,
    write_recording,
    write_video_without_sound,
    write_wav,
)

DATA = Path(__file__).parents[3] / "data"


def read(path: Path) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    with RecordingFile(path) as recording:
        return np.concatenate(list(recording.blocks()))


def refusal(path: Path, *, strict: bool = False) -> str:
    """The line that a person sees instead of a transcript."""
    with (
        pytest.raises(RecordingError) as caught,
        RecordingFile(path, strict=strict) as recording,
    ):
        list(recording.blocks())
    line = str(caught.value)
    assert line.startswith(f"{path}: ")
    assert "\n" not in line
    return line.removeprefix(f"{path}: ")


def cut_short(path: Path, share: float) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


class TestReading:
    @pytest.mark.parametrize("extension", CODECS)
    def test_every_format_is_read_whole(self, extension: str, tmp_path: Path) -> None:
        decoded = read(write_recording(tmp_path / f"talk.{extension}", 6.0))
        assert len(decoded) == pytest.approx(6 * SAMPLE_RATE, abs=0.06 * SAMPLE_RATE)
        assert abs(best_lag(decoded, babble(6))) <= 8

    def test_samples_in_our_own_form_come_out_untouched(self, tmp_path: Path) -> None:
        said = babble(7.3)
        np.testing.assert_array_equal(read(write_wav(tmp_path / "talk.wav", said)), said)

    def test_a_name_that_looks_like_an_address_is_a_file(self, tmp_path: Path) -> None:
        assert len(read(write_wav(tmp_path / "concat:a%03d.wav", babble(1)))) == SAMPLE_RATE

    def test_a_name_that_is_not_utf8_is_a_file(self, tmp_path: Path) -> None:
        path = tmp_path / os.fsdecode(b"caf\xe9.wav")
        with RecordingFile(write_wav(path, babble(1))) as recording:
            assert recording.filename == "caf\N{REPLACEMENT CHARACTER}.wav"

    def test_a_broken_packet_is_replaced_and_told(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        path = write_recording(tmp_path / "talk.m4a", 10.0)
        data = bytearray(path.read_bytes())
        data[len(data) // 2 : len(data) // 2 + 40] = b"\xff" * 40
        path.write_bytes(data)
        assert len(read(path)) == pytest.approx(10 * SAMPLE_RATE, abs=0.06 * SAMPLE_RATE)
        assert "silence stands in" in caplog.text

    def test_an_mp3_without_a_frame_count_is_whole_wherever_it_ends(self, tmp_path: Path) -> None:
        path = write_recording(tmp_path / "talk.mp3", 10.0, flags={"write_xing": "0"})
        assert len(read(cut_short(path, 0.7))) == pytest.approx(7 * SAMPLE_RATE, rel=0.03)

    def test_a_live_recording_without_a_length_is_whole_wherever_it_ends(
        self, tmp_path: Path
    ) -> None:
        path = write_recording(tmp_path / "talk.webm", 12.0, flags={"live": "1"})
        assert len(read(cut_short(path, 0.7))) > 7 * SAMPLE_RATE

    def test_a_wav_header_of_a_pipe_says_nothing_about_the_length(self, tmp_path: Path) -> None:
        path = write_wav(tmp_path / "talk.wav", babble(2))
        data = bytearray(path.read_bytes())
        data[4:8] = data[40:44] = b"\xff\xff\xff\xff"
        path.write_bytes(data)
        assert len(read(path)) == 2 * SAMPLE_RATE


class TestLosses:
    """What can be decoded is kept, and what is lost is said; `strict` refuses it."""

    @pytest.mark.parametrize("extension", ["mp3", "wav", "flac", "ogg", "opus", "webm", "mkv"])
    @pytest.mark.parametrize("share", [0.4, 0.8])
    def test_of_a_truncated_file_what_is_there_is_kept(
        self, extension: str, share: float, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        path = cut_short(write_recording(tmp_path / f"talk.{extension}", 10.0), share)
        with RecordingFile(path) as recording:
            decoded = np.concatenate(list(recording.blocks()))
        assert len(decoded) == pytest.approx(share * 10 * SAMPLE_RATE, rel=0.3)
        (warning,) = recording.warnings
        assert warning.startswith("truncated: it ")
        assert warning in caplog.text

    def test_the_warning_says_how_much_is_missing(self, tmp_path: Path) -> None:
        path = cut_short(write_recording(tmp_path / "talk.wav", 10.0), 0.7)
        with RecordingFile(path) as recording:
            list(recording.blocks())
        (warning,) = recording.warnings
        assert warning == "truncated: it breaks off after 0:00:07.0; about 3.0 s are missing"
        path = cut_short(write_recording(tmp_path / "talk.flac", 10.0), 0.7)
        with RecordingFile(path) as recording:
            list(recording.blocks())
        assert "of 0:00:10.0; " in recording.warnings[0]

    def test_what_is_whole_has_no_warning(self, tmp_path: Path) -> None:
        for extension in CODECS:
            path = write_recording(tmp_path / f"talk.{extension}", 6.0)
            with RecordingFile(path, strict=True) as recording:
                list(recording.blocks())
            assert not recording.warnings, extension

    def test_a_file_of_which_much_is_broken_keeps_the_rest_in_its_place(
        self, tmp_path: Path
    ) -> None:
        path = write_recording(tmp_path / "talk.m4a", 10.0)
        data = bytearray(path.read_bytes())
        data[len(data) // 4 : len(data) // 2] = b"\xff" * (len(data) // 2 - len(data) // 4)
        path.write_bytes(data)
        with RecordingFile(path) as recording:
            decoded = np.concatenate(list(recording.blocks()))
        assert len(decoded) == pytest.approx(10 * SAMPLE_RATE, rel=0.02)
        assert best_lag(
            decoded[-3 * SAMPLE_RATE :], babble(10)[7 * SAMPLE_RATE :]
        ) == pytest.approx(0, abs=400)
        assert recording.warnings[0].startswith("damaged: ")


class TestTracks:
    def test_one_line_says_which_of_several_was_taken(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO")
        path = DATA / "two-tracks-second-default.mkv"
        with RecordingFile(path) as recording:
            assert (recording.track, recording.track_count) == (2, 2)
        assert f"{path}: audio track 2 of 2" in caplog.text

    def test_one_that_is_not_there_is_refused_with_the_number_of_those_that_are(self) -> None:
        path = DATA / "two-tracks-second-default.mkv"
        with pytest.raises(RecordingError, match="no track 9: it has 2 audio tracks"):
            RecordingFile(path, track=9)


class TestStart:
    def test_the_files_own_tag_says_when_it_was_recorded(self, tmp_path: Path) -> None:
        tags = {"creation_time": "2024-05-06T07:08:09.000000Z"}
        with RecordingFile(write_recording(tmp_path / "talk.m4a", tags=tags)) as recording:
            assert recording.start == datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)

    @pytest.mark.parametrize("tag", [None, "1970-01-01T00:00:00Z", "last summer"])
    def test_else_the_time_of_its_last_change_does(self, tag: str | None, tmp_path: Path) -> None:
        tags = {"creation_time": tag} if tag else {}
        path = write_recording(tmp_path / "talk.webm", tags=tags)
        os.utime(path, (1_700_000_000, 1_700_000_000))
        with RecordingFile(path) as recording:
            assert recording.start == datetime.fromtimestamp(1_700_000_000, UTC)


class TestRefusing:
    def test_a_missing_file(self, tmp_path: Path) -> None:
        assert refusal(tmp_path / "talk.mp3") == "no such file"

    def test_a_folder(self, tmp_path: Path) -> None:
        assert refusal(tmp_path) == "a folder, not a recording"

    def test_a_pipe(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe.wav")
        assert refusal(tmp_path / "pipe.wav") == "not a regular file"

    def test_an_unreadable_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object) -> None:
            raise PermissionError(13, "Permission denied")

        path = write_wav(tmp_path / "talk.wav", babble(1))
        monkeypatch.setattr(Path, "open", refuse)  # root, as whom CI may run, may read everything
        assert refusal(path) == "cannot be read: permission denied"

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
    def test_a_file_of_somebody_else(self, tmp_path: Path) -> None:
        path = write_wav(tmp_path / "talk.wav", babble(1))
        path.chmod(0)
        assert refusal(path) == "cannot be read: permission denied"

    def test_an_empty_file(self, tmp_path: Path) -> None:
        (tmp_path / "talk.mp3").touch()
        assert refusal(tmp_path / "talk.mp3") == "empty: 0 bytes"

    def test_a_recording_of_no_length(self, tmp_path: Path) -> None:
        path = write_wav(tmp_path / "talk.wav", np.zeros(0, np.int16))
        assert refusal(path) == "empty: it holds no samples"

    def test_a_text(self, tmp_path: Path) -> None:
        path = tmp_path / "talk.mp3"
        path.write_text("This is not a recording.\n" * 50)
        assert refusal(path) == "not audio, or not in a known format"

    def test_a_silent_film(self, tmp_path: Path) -> None:
        assert refusal(write_video_without_sound(tmp_path / "film.mp4")) == "no audio track"

    @pytest.mark.parametrize("extension", ["mp3", "wav", "flac", "ogg", "opus", "webm", "mkv"])
    @pytest.mark.parametrize("share", [0.4, 0.8])
    def test_a_truncated_file(self, extension: str, share: float, tmp_path: Path) -> None:
        path = cut_short(write_recording(tmp_path / f"talk.{extension}", 10.0), share)
        assert refusal(path, strict=True).startswith("truncated: it ")

    @pytest.mark.parametrize("extension", ["m4a", "mp4"])
    def test_a_truncated_file_with_its_index_in_front(self, extension: str, tmp_path: Path) -> None:
        path = tmp_path / f"talk.{extension}"
        cut_short(write_recording(path, 10.0, flags={"movflags": "faststart"}), 0.7)
        assert refusal(path, strict=True).startswith("truncated: it ends after 0:00:0")

    def test_a_truncated_file_with_its_index_at_the_end(self, tmp_path: Path) -> None:
        path = cut_short(write_recording(tmp_path / "talk.m4a", 10.0), 0.9)
        assert refusal(path) == "truncated or damaged: its index (moov) is missing"

    def test_a_file_of_which_much_is_broken(self, tmp_path: Path) -> None:
        path = write_recording(tmp_path / "talk.m4a", 10.0)
        data = bytearray(path.read_bytes())
        data[len(data) // 4 : len(data) // 2] = b"\xff" * (len(data) // 2 - len(data) // 4)
        path.write_bytes(data)
        assert refusal(path, strict=True).startswith("damaged: ")

    def test_more_than_a_day_by_its_header(self, tmp_path: Path) -> None:
        data = bytearray(encode_flac(babble(1)))
        # The last 36 bits before the checksum of STREAMINFO are the number of samples.
        data[22:26] = (25 * 3600 * SAMPLE_RATE).to_bytes(4, "big")
        (tmp_path / "talk.flac").write_bytes(data)
        assert refusal(tmp_path / "talk.flac") == "longer than 24 hours"

    def test_more_than_the_limit_by_its_samples(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = write_recording(tmp_path / "talk.mp3", 20.0, flags={"write_xing": "0"})
        monkeypatch.setattr(recording_module, "MAX_HOURS", 0.005)
        assert refusal(path) == "longer than 0.005 hours"
