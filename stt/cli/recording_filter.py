"""Options that choose recordings: by folder, language, model, day and length."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, cast

import typer

from stt.cli.options import Command, with_fields
from stt.setting_types import CHOOSING, read_duration
from stt.store.recording_list import ANY, ListState, RecordingFilter
from stt.transcripts.languages import language_code

_MAX_LENGTH_SECONDS = 1e7


def _option(metavar: str, text: str, **more: Any) -> Any:
    return typer.Option(metavar=metavar, help=text, rich_help_panel=CHOOSING, **more)


def _day(text: str) -> Any:
    return _option("DATE", text, formats=["%Y-%m-%d"])


def _length(text: str) -> Any:
    return _option("LENGTH", text, parser=_seconds)


def _seconds(text: str) -> float:
    try:
        seconds = cast(float, read_duration(text))
    except ValueError as error:
        raise typer.BadParameter(f"{error}.") from error
    if not 0 <= seconds <= _MAX_LENGTH_SECONDS:
        raise typer.BadParameter(f"{text!r} is no length of a recording.")
    return seconds


@dataclass(frozen=True, slots=True)
class FilterOptions:
    """The options of a command; each field is one."""

    folder: Annotated[str, _option("FOLDER", "Only from this folder and those below it.")] = ""
    language: Annotated[str, _option("CODE", "Only with most of the text in this language.")] = ""
    model: Annotated[str, _option("MODEL", "Only with text that this model made.")] = ""
    recorded_from: Annotated[
        datetime | None, _day("Only recorded on this day (2026-11-27) or later.")
    ] = None
    recorded_to: Annotated[datetime | None, _day("Only recorded on this day or before.")] = None
    added_from: Annotated[datetime | None, _day("Only added on this day or later.")] = None
    added_to: Annotated[datetime | None, _day("Only added on this day or before.")] = None
    longer_than: Annotated[
        float | None, _length("Only of this length (90s, 10m, 2h) or longer.")
    ] = None
    shorter_than: Annotated[float | None, _length("Only of this length or shorter.")] = None

    @property
    def are_given(self) -> bool:
        return self.resolve() != ANY

    def resolve(self, *, search: str = "", state: ListState = "all") -> RecordingFilter:
        """Return the filter, of days by this machine's time zone. Raise BadParameter."""
        return RecordingFilter(
            search=search,
            state=state,
            folder=self.folder.strip("/"),
            language=_language(self.language),
            model=self.model,
            recorded=_days(self.recorded_from, self.recorded_to),
            added=_days(self.added_from, self.added_to),
            seconds=(self.longer_than, self.shorter_than),
        )


def with_filter(command: Command) -> Command:
    """Give a command the options of FilterOptions in place of its parameter `wanted`."""
    return with_fields("wanted", FilterOptions)(command)


def _language(text: str) -> str:
    try:
        return language_code(text) or ""
    except ValueError as error:
        raise typer.BadParameter(f"--language {text!r}: {error}.") from error


def _days(first: datetime | None, last: datetime | None) -> tuple[datetime | None, datetime | None]:
    """Return when the first day begins and the last one ends."""
    end = None if last is None else (last + timedelta(days=1)).astimezone()
    return None if first is None else first.astimezone(), end
