"""Options of recordings: their forms and their bounds."""

import pytest

from stt.errors import ConfigError
from stt.settings import Settings
from stt.store.ingest_options import MAX_SPEAKERS, IngestOptions, changed_options


def test_a_language_becomes_its_code_and_none_is_one_to_detect() -> None:
    languages = ("German", "de-CH", "DE", "auto", "", None)
    codes = [IngestOptions(language).language for language in languages]
    assert codes == ["de", "de", "de", None, None, None]
    with pytest.raises(ConfigError, match="'klingon' is not a language code"):
        IngestOptions("klingon")


def test_the_options_of_uploads_are_those_of_the_settings() -> None:
    settings = Settings(
        default_language="German", default_model="tiny", default_priority=3,
        default_prompt="A talk.", default_hotwords="Bo Li", default_task="translate",
    )  # fmt: skip
    expected = IngestOptions("de", "A talk.", 3, 30, "tiny", "Bo Li", "translate")
    assert IngestOptions.of_uploads(settings) == expected
    with pytest.raises(ConfigError, match="The options for uploads are wrong: 'klingon'"):
        IngestOptions.of_uploads(Settings(default_language="klingon"))


def test_channels_are_mixed_or_split() -> None:
    assert IngestOptions().channels == "mix"
    with pytest.raises(ConfigError, match="mix or split"):
        IngestOptions(channels="stereo")  # type: ignore[arg-type]


@pytest.mark.parametrize("seconds", [0, 0.5, 601, float("nan")])
def test_an_impossible_length_of_chunks_is_refused(seconds: float) -> None:
    with pytest.raises(ConfigError, match="not possible"):
        IngestOptions(chunk_seconds=seconds)


def test_the_number_of_speakers_may_be_left_open() -> None:
    assert [IngestOptions(speakers=n).speakers for n in (None, 0, 3)] == [None, 0, 3]
    for wrong in (-1, MAX_SPEAKERS + 1):
        with pytest.raises(ConfigError, match="number of speakers"):
            IngestOptions(speakers=wrong)


def test_a_maximum_asks_for_speakers_too() -> None:
    assert IngestOptions(max_speakers=5).speakers == 0
    with pytest.raises(ConfigError, match="leave out one of the two"):
        IngestOptions(speakers=3, max_speakers=5)


@pytest.mark.parametrize(
    ("given", "changed"),
    [
        ({"language": "de"}, {"language": "de"}),
        ({"speakers": 3}, {"speakers": 3, "max_speakers": None}),
        ({"speakers": 0}, {"speakers": 0, "max_speakers": None}),
        ({"speakers": None}, {"speakers": None, "max_speakers": None}),
        ({"max_speakers": 5}, {"speakers": 0, "max_speakers": 5}),
        ({"max_speakers": None}, {"max_speakers": None}),
    ],
)
def test_a_wish_for_speakers_leaves_nothing_of_an_earlier_one(
    given: dict[str, int | None], changed: dict[str, object]
) -> None:
    assert changed_options(given) == changed


def test_no_speakers_have_no_maximum() -> None:
    with pytest.raises(ConfigError, match="leave out max_speakers"):
        changed_options({"speakers": None, "max_speakers": 3})
    assert changed_options({"speakers": None, "max_speakers": None})["speakers"] is None


def test_split_channels_are_speakers_already() -> None:
    with pytest.raises(ConfigError, match="leave out one of the two"):
        IngestOptions(speakers=0, channels="split")
