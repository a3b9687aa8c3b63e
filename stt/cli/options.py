"""Make command-line options from settings, and settings from options."""

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import typer

from stt.settings import Settings, extra_of, field_of, flag_of, load_settings, variable_of
from stt.settings.fields import SERVERS, STOPPING

Flags = Mapping[str, object]
"""Values of settings that were given on the command line, by the settings' names."""
Command = TypeVar("Command", bound=Callable[..., None])

DATABASE_SETTINGS = ("mongo_url", "database_name", "data_dir")
STOP_SETTINGS = tuple(
    name
    for name in Settings.model_fields
    if extra_of(name)["panel"] in (STOPPING, SERVERS) and extra_of(name)["unit"] != "URL"
)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON with keys that stay the same.")]

_METAVARS = {"seconds": "S", "minutes": "MIN", "URL": "URL", "folder": "DIR"}
_BEFORE = "stt.flags"


def with_settings(*names: str, **renamed: str) -> Callable[[Command], Command]:
    """Give a command an option for each of these settings, in place of its parameter `flags`.

    Pass the command one mapping of the options that were given. `renamed`: settings whose flag has
    another name in this command.
    """

    def decorate(command: Command) -> Command:
        @wraps(command)
        def run(**given: Any) -> None:
            flags = {name: _value(name, given.pop(name)) for name in (*names, *renamed)}
            command(**given, flags={n: flag for n, flag in flags.items() if flag is not None})

        options = [_option(name, renamed.get(name)) for name in (*names, *renamed)]
        own = [
            parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for parameter in inspect.signature(command, eval_str=True).parameters.values()
        ]
        at = [parameter.name for parameter in own].index("flags")
        parameters = [*own[:at], *options, *own[at + 1 :]]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        return run  # type: ignore[return-value]

    return decorate


def settings_of(ctx: typer.Context, flags: Flags | None = None) -> Settings:
    """Load the settings; the flags of this command, and those before its name, win over them."""
    return load_settings(**(ctx.find_root().meta.get(_BEFORE, {}) | dict(flags or {})))


def remember_flags(ctx: typer.Context, flags: Flags) -> None:
    """Keep the flags written before a command's name for its `settings_of`."""
    ctx.meta[_BEFORE] = dict(flags)


def _option(name: str, flag: str | None) -> inspect.Parameter:
    kind: Any = _plain_type(field_of(name).annotation)
    option = typer.Option(
        flag or extra_of(name)["flag"] or flag_of(name),
        metavar=_metavar(name, kind),
        help=_help(name),
        rich_help_panel=extra_of(name)["panel"],
        show_default=False,
        min=1 if name == "limit" else None,
    )
    annotation = Annotated[kind | None, option]
    keyword_only = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, keyword_only, default=None, annotation=annotation)


def _plain_type(annotation: Any) -> Any:
    """Return the type that the command line reads for a setting's type."""
    if get_origin(annotation) is Annotated:
        return _plain_type(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return _plain_type(next(kind for kind in get_args(annotation) if kind is not type(None)))
    if get_origin(annotation) is tuple:
        return list[str]
    return annotation if annotation in (bool, int, float, Path) else str


def _metavar(name: str, kind: Any) -> str | None:
    if kind is bool:
        return None
    usual = "N" if kind is int else {"model": "M", "log_format": "FORMAT"}.get(name, "NAME")
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
