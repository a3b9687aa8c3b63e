"""Names of files that browsers save."""

import pytest

from stt.coordinator.downloads import content_disposition


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("talk.srt", "inline; filename=\"talk.srt\"; filename*=UTF-8''talk.srt"),
        ('a"é.txt', "inline; filename=\"a__.txt\"; filename*=UTF-8''a%22%C3%A9.txt"),
    ],
)
def test_the_name_is_there_in_ascii_and_as_it_is(name: str, header: str) -> None:
    assert content_disposition(name, "inline") == header
