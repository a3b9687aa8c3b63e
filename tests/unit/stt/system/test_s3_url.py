"""Places in S3: how they are written, and what lies in which."""

import pytest

from stt.system.s3_url import S3Url


@pytest.mark.parametrize("text", ["s3://audio", "s3://audio/stt", "s3://audio/a/b c/ä.opus"])
def test_a_place_is_written_as_it_was_read(text: str) -> None:
    assert str(S3Url.parse(text)) == text


def test_a_slash_at_the_end_makes_no_other_place() -> None:
    assert S3Url.parse("s3://audio/stt/") == S3Url.parse("s3://audio/stt") == ("audio", "stt")
    assert S3Url.parse("s3://audio/") == ("audio", "")


@pytest.mark.parametrize(
    "text",
    [
        "", "audio/stt", "https://audio/stt", "S3://audio", "s3://", "s3:///stt", "s3://A_B/stt",
        "s3://u:p@audio/stt", "s3://audio//stt", "s3://audio/a/../b", "s3://audio/./b",
        "s3://audio/a\nb", "s3://audio/" + "ä" * 600,
    ],
)  # fmt: skip
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no place|no name|names with"):
        S3Url.parse(text)


def test_a_folder_holds_what_is_below_it_and_nothing_beside_it() -> None:
    folder = S3Url.parse("s3://audio/stt")
    assert folder.holds(folder / "a" / "b.opus")
    assert not folder.holds(S3Url.parse("s3://audio/stt-other/b.opus"))
    assert not folder.holds(S3Url.parse("s3://audio"))
    assert not folder.holds(S3Url.parse("s3://other/stt/b.opus"))
    assert S3Url.parse("s3://audio").holds(folder)
