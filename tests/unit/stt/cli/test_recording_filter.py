"""Options that choose recordings."""

from datetime import datetime, timedelta

import pytest
import typer

from stt.cli.recording_filter import FilterOptions
from tests.unit.stt.cli.conftest import Run


def test_days_are_whole_ones_of_this_machine() -> None:
    day = datetime(2026, 10, 3)  # noqa: DTZ001
    wanted = FilterOptions(recorded_from=day, recorded_to=day).resolve()
    begin, end = wanted.recorded
    assert begin == day.astimezone()
    assert begin is not None
    assert end == (day + timedelta(days=1)).astimezone()
    assert wanted.added == (None, None)


def test_a_language_is_a_code_or_a_name() -> None:
    assert FilterOptions(language="German").resolve().language == "de"
    with pytest.raises(typer.BadParameter, match="--language 'xx'"):
        FilterOptions(language="xx").resolve()


def test_nothing_that_is_given_is_told_apart_from_a_filter() -> None:
    assert not FilterOptions().are_given
    assert FilterOptions(folder="talks/").resolve().folder == "talks"
    assert FilterOptions(longer_than=1.0).are_given


@pytest.mark.parametrize("option", ["--longer-than", "--shorter-than"])
@pytest.mark.parametrize("length", ["inf", "nan", "-1", "1e30", "2x", "", "99999999h"])
def test_what_is_no_length_is_refused(stt: Run, option: str, length: str) -> None:
    assert stt("ls", f"{option}={length}") == 2
    assert option in stt.err
