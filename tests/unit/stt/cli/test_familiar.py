"""What people of other programs type, and what is made of it."""

from pathlib import Path

import pytest

from stt.cli.familiar import is_recording_name, understood

OPTIONS = {"--output", "--format", "--prompt", "--word-timestamps", "--max-lines", "--task"}


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("a.mp3 --output_dir subs", "a.mp3 --output subs/"),
        ("--output_dir=subs/ a.mp3", "--output subs/ a.mp3"),
        ("--output_format srt", "--format srt"),
        ("--word_timestamps True a.mp3", "--word-timestamps a.mp3"),
        ("--word_timestamps=False", "--no-word-timestamps"),
        ("--initial_prompt Ann --max_line_count 2", "--prompt Ann --max-lines 2"),
        ("--word-timestamps a.mp3", "--word-timestamps a.mp3"),
        ("--task translate --no_such 1", "--task translate --no-such 1"),
        ("-- --output_dir", "-- --output_dir"),
        ("--output_dir", "--output"),
    ],
)
def test_whispers_options_are_read_as_ours(given: str, meant: str) -> None:
    assert understood(given.split(), OPTIONS) == meant.split()


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("a.mp3 --speakers", "a.mp3 --speakers auto"),
        ("--speakers 3 a.mp3", "--speakers 3 a.mp3"),
        ("--speakers a.mp3", "--speakers auto a.mp3"),
        ("--speakers auto a.mp3", "--speakers auto a.mp3"),
        ("--speakers --task translate", "--speakers auto --task translate"),
        ("--speakers=2 a.mp3", "--speakers=2 a.mp3"),
        ("-- --speakers", "-- --speakers"),
        ("--speakers none a.mp3", "--speakers none a.mp3"),
        ("--speakers -1 a.mp3", "--speakers -1 a.mp3"),
        ("--speakers 2.5 a.mp3", "--speakers 2.5 a.mp3"),
        ("a.mp3 --diarize", "--speakers auto a.mp3"),
        ("--speakers 2 a.mp3 --diarize", "--speakers auto --speakers 2 a.mp3"),
        ("a.mp3 --num_speakers 2", "a.mp3 --speakers 2"),
        ("--diarize --max_speakers=4", "--speakers auto --max-speakers 4"),
        ("-- --diarize", "-- --diarize"),
    ],
)
def test_the_number_of_speakers_may_be_left_out(given: str, meant: str) -> None:
    options = OPTIONS | {"--speakers", "--max-speakers"}
    assert understood(given.split(), options) == meant.split()


def test_a_recording_is_known_by_its_name_or_because_it_is_there(tmp_path: Path) -> None:
    assert is_recording_name("gone/Talk.MP3")
    assert is_recording_name(str(tmp_path))
    assert is_recording_name("-")
    assert not is_recording_name("statsu")
