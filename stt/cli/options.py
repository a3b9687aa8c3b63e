"""Make command-line options from settings, and settings from options."""

import inspect
from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer

from stt.domain.visible_text import quoted
from stt.setting_types import SERVERS, STOPPING
from stt.settings import Settings, extra_of, field_of, flag_of, load_settings, variable_of

Command = Callable[..., None]

DATABASE_SETTINGS = (
    "mongo_url", "database_name", "data_dir", "keep_alive_seconds", "audio_store", "audio_sources",
)  # fmt: skip
STOP_SETTINGS = tuple(
    name
    for name in Settings.model_fields
    if extra_of(name)["panel"] in (STOPPING, SERVERS) and extra_of(name)["unit"] != "URL"
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON with keys that stay the same.")]
Channels = Annotated[
    str | None,
    typer.Option(
        metavar="HOW", help="mix (the default); or split: each channel by itself, as for calls."
    ),
]
Language = Annotated[
    str | None,
    typer.Option(
        "--language",
        "-l",
        metavar="CODE",
        help="Spoken language, such as `en`; detected if not given.",
    ),
]
Hotwords = Annotated[
    str | None, typer.Option(metavar="TEXT", help="Rare names and terms to listen for.")
]
NewestFirst = Annotated[bool, typer.Option("--newest-first", help="Take the newest chunks first.")]
OneRecording = Annotated[
    str | None, typer.Option("--source", metavar="RECORDING", help="Only this recording.")
]
Prompt = Annotated[
    str | None,
    typer.Option(metavar="TEXT", help="Text that could precede the recordings."),
]
Recordings = Annotated[
    list[Path], typer.Argument(metavar="PATH", help="Recordings, and folders of them.")
]
Speakers = Annotated[
    str | None,
    typer.Option(
        metavar="[N]", help="Find who speaks when; N: how many speak, if that is known; or none."
    ),
]
MaxSpeakers = Annotated[
    int | None,
    typer.Option(min=1, max=50, metavar="N", help="Find who speaks when; at most so many speak."),
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Refuse recordings that are truncated or damaged.")
]
Task = Annotated[
    str | None,
    typer.Option(
        metavar="TASK", help="transcribe (the default); or translate, which gives English text."
    ),
]
Track = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=10_000,
        metavar="N",
        help="Audio track to take, from 1; the default one if not given.",
    ),
]

Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print results, warnings and errors only.")
]
LogMore = Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")]
Verbose = Annotated[
    bool,
    typer.Option("--verbose", "-v", help="Log more, and name all files that are passed over."),
]

_NAME_METAVARS = {
    "model": "M", "log_format": "FORMAT", "join_code": "CODE", "prompt": "TEXT", "hotwords": "TEXT",
    "on_done_command": "COMMAND",
}  # fmt: skip
_ALSO = {"--model": ("-m",), "--server-url": ("--server",)}
"""Other names of a flag."""
_METAVARS = {"seconds": "S", "minutes": "MIN", "URL": "URL", "folder": "DIR", "duration": "TIME"}
_FOR_ALL = {*DATABASE_SETTINGS, "log_format"}
_MAX_DIGITS = 9
_BEFORE = "stt.flags"
_GIVEN = "given_settings"
_KEYWORD_ONLY = inspect.Parameter.KEYWORD_ONLY


def speaker_options(speakers: str | None, max_speakers: int | None) -> dict[str, int | None]:
    """Return the options of recordings that these flags give, if any. Raise BadParameter."""
    if speakers is None:
        return {} if max_speakers is None else {"speakers": 0, "max_speakers": max_speakers}
    named = {"auto": 0, "none": None}
    if speakers in named:
        count = named[speakers]
    elif speakers.isdecimal() and speakers.strip("0") and len(speakers) <= _MAX_DIGITS:
        count = int(speakers)
    else:
        raise typer.BadParameter(
            f"--speakers {quoted(speakers)}: write how many speak, nothing if that is not known, or"
            " none to find none."
        )
    if count is None and max_speakers is not None:
        raise typer.BadParameter("--speakers none has no maximum: leave out --max-speakers.")
    return {"speakers": count, "max_speakers": max_speakers}


def speaker_flags(speakers: int | None, max_speakers: int | None) -> str:
    """Return the flags that give these options of a recording."""
    if max_speakers:
        return f"--max-speakers {max_speakers}"
    return "--speakers none" if speakers is None else f"--speakers {speakers or ''}".rstrip()


def given_only(**flags: Any) -> dict[str, Any]:
    """Return the flags that were given: those that are not None."""
    return {name: flag for name, flag in flags.items() if flag is not None}


def with_settings(*names: str, **renamed: str) -> Callable[[Command], Command]:
    """Give a command an option for each of these settings, and pass it all settings.

    The options stand in the help where the parameter `settings` stands. `renamed`: settings whose
    flag has another name in this command. Flags before a command's name are kept for that command.
    A parameter `given_settings` gets the names of those that have a flag on the command line.
    """
    return _with_options("settings", names, renamed)


def with_flags(*names: str, **renamed: str) -> Callable[[Command], Command]:
    """Like `with_settings`, but pass what was given as `flags`: no setting is read or checked."""
    return _with_options("flags", names, renamed)


def _with_options(
    passed: str, names: tuple[str, ...], renamed: dict[str, str]
) -> Callable[[Command], Command]:
    def decorate(command: Command) -> Command:
        @wraps(command)
        def run(ctx: typer.Context, **given: Any) -> None:
            flags = {name: _value(name, given.pop(name)) for name in (*names, *renamed)}
            flags = {name: flag for name, flag in flags.items() if flag is not None}
            if ctx.invoked_subcommand is None:
                before = ctx.find_root().meta.get(_BEFORE, {})
                flags = before | flags
                given[passed] = load_settings(**flags) if passed == "settings" else flags
                if _GIVEN in signature.parameters:
                    given[_GIVEN] = frozenset(flags)
                command(**given)
            elif flags.keys() <= _FOR_ALL and not any(given.values()):
                ctx.meta[_BEFORE] = flags
            else:
                raise typer.BadParameter(
                    f"Only options of the database and --log-format may stand before"
                    f" `{ctx.invoked_subcommand}`; write its own options after it."
                )

        parameters = [inspect.Parameter("ctx", _KEYWORD_ONLY, annotation=typer.Context)]
        signature = inspect.signature(command, eval_str=True)
        for parameter in signature.parameters.values():
            if parameter.name == passed:
                parameters += [_option(name, renamed.get(name)) for name in (*names, *renamed)]
            elif parameter.name != _GIVEN:
                parameters.append(parameter.replace(kind=_KEYWORD_ONLY))
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        return run

    return decorate


def with_fields(passed: str, options: type[Any]) -> Callable[[Command], Command]:
    """Give a command an option for each field of a dataclass, in place of this parameter."""
    hints = get_type_hints(options, include_extras=True)

    def decorate(command: Command) -> Command:
        @wraps(command)
        def run(**given: Any) -> None:
            values = {field.name: given.pop(field.name) for field in fields(options)}
            command(**{passed: options(**values)}, **given)

        parameters: list[inspect.Parameter] = []
        for parameter in inspect.signature(command, eval_str=True).parameters.values():
            if parameter.name == passed:
                parameters += (
                    inspect.Parameter(
                        field.name, _KEYWORD_ONLY,
                        default=field.default, annotation=hints[field.name],
                    )
                    for field in fields(options)
                )  # fmt: skip
            else:
                parameters.append(parameter.replace(kind=_KEYWORD_ONLY))
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return run

    return decorate


def _option(name: str, flag: str | None) -> inspect.Parameter:
    is_duration = extra_of(name)["unit"] == "duration"  # written with a unit
    kind: Any = str if is_duration else _plain_type(field_of(name).annotation)
    usual = flag or extra_of(name)["flag"] or flag_of(name)
    option = typer.Option(
        usual,
        *_ALSO.get(usual, ()),
        metavar=_metavar(name, kind),
        help=_help(name),
        rich_help_panel=extra_of(name)["panel"],
        show_default=False,
        min=1 if name == "limit" else None,
    )
    annotation = Annotated[kind | None, option]
    return inspect.Parameter(name, _KEYWORD_ONLY, default=None, annotation=annotation)


def _plain_type(annotation: Any) -> Any:
    """Return the type that the command line reads for a setting's type."""
    if get_origin(annotation) is tuple:
        return list[str]
    for kind in get_args(annotation):  # of Annotated, a union or Literal
        if kind is not type(None):
            return _plain_type(kind)
    return annotation if annotation in (bool, int, float, Path) else str


def _metavar(name: str, kind: Any) -> str | None:
    if kind is bool:
        return None
    usual = "N" if kind is int else _NAME_METAVARS.get(name, "NAME")
    return _METAVARS.get(extra_of(name)["unit"], usual)


def _help(name: str) -> str:
    """Return the description with the name in the environment and the default."""
    field, default = field_of(name), extra_of(name)["shown_default"]
    if default is None and field.default is not None and field.annotation is not bool:
        default = field.default
    variable = variable_of(name)
    if name == "use_parallel_transcription":
        variable += "=false"
    return f"{field.description} ({variable}{'' if default is None else f'; {default}'})."


def _value(name: str, flag: Any) -> Any:
    """Return the setting's value for a flag; None if the flag was not given."""
    if name == "use_parallel_transcription" and flag is not None:  # the flag switches it off
        return not flag
    return (tuple(flag) or None) if isinstance(flag, list) else flag
