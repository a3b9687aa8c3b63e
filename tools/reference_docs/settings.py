"""docs/reference/settings.md, from the settings of both packages."""

from collections.abc import Callable, Iterator
from math import inf
from typing import Literal, get_args, get_origin

from pydantic import AliasChoices
from pydantic.fields import FieldInfo

import stt.settings
import whisper_server.settings
from stt.settings import extra_of, flag_of
from tools.reference_docs.markdown import cell, origin, page, table

_HEADER = ("variable and flag", "default", "values", "meaning")
_HIGHEST_SHOWN = 100_000
_NODE = frozenset({"config_dir", "join_code"})
_SWITCHED_OFF = {"use_parallel_transcription": "`false`: "}
"""The flag switches the setting off, and the description is the flag's."""
_COORDINATOR = frozenset(
    {
        "coordinator_key",
        "coordinator_host",
        "coordinator_port",
        "public_url",
        "trusted_proxies",
        "keep_audio",
    }
)

_INTRODUCTION = """\
A flag wins over the environment, and the environment over a file `.env` in the working directory.
Keys of `stt` have no flag, because others on the machine can read the flags of a running program.
*Not set* means that the description says what happens instead."""

_STORED = """\
Those with *page* can be changed on the coordinator's page "Settings" for the whole fleet, and are
locked there while the environment sets them; so is `CHUNK_TIMEOUT`."""


def settings_page() -> str:
    """Return the page."""
    return page(
        origin("stt/settings.py", "whisper_server/settings.py"),
        "# Settings",
        _INTRODUCTION,
        "## Workers, and all commands of `stt`",
        table(_HEADER, _stt_rows(_is_of_workers)),
        "## `stt coordinator`",
        _STORED,
        table(_HEADER, _stt_rows(_is_of_coordinator)),
        "## `stt node`",
        "These, and those of a worker, without those of the database.",
        table(_HEADER, _stt_rows(_NODE.__contains__)),
        "## `whisper-server`",
        table(_HEADER, _server_rows()),
    )


def variables_of(name: str, field: FieldInfo) -> list[str]:
    """Return the environment variables of a setting, the preferred one first."""
    alias = field.validation_alias
    if isinstance(alias, AliasChoices):
        return [str(choice) for choice in alias.choices]
    return [str(alias or name).upper()]


def _is_of_coordinator(name: str) -> bool:
    is_only_stored = bool(extra_of(name)["is_stored"]) and extra_of(name)["flag"] is None
    return name in _COORDINATOR or is_only_stored


def _is_of_workers(name: str) -> bool:
    return not (_is_of_coordinator(name) or name in _NODE)


def _stt_rows(is_wanted: Callable[[str], bool]) -> Iterator[tuple[str, ...]]:
    settings = stt.settings.Settings
    own = settings.__annotations__  # before those of its parts
    for name, field in sorted(settings.model_fields.items(), key=lambda item: item[0] not in own):
        if is_wanted(name):
            extra = extra_of(name)
            flag = "*page*" if extra["is_stored"] else ""
            if extra["flag"] is not None:
                flag = f"`{flag_of(name)}`"
            default = extra["shown_default"]
            yield _row(name, field, flag, cell(default) if default else None, extra["unit"] or "")


def _server_rows() -> Iterator[tuple[str, ...]]:
    for name, field in whisper_server.settings.Settings.model_fields.items():
        yield _row(name, field, f"`--{name.replace('_', '-')}`")


def _row(
    name: str, field: FieldInfo, flag: str, default: str | None = None, unit: str = ""
) -> tuple[str, ...]:
    variables = ", ".join(f"`{variable}`" for variable in variables_of(name, field))
    values = f"{unit}{', ' if unit and _values(field) else ''}{_values(field)}"
    meaning = _SWITCHED_OFF.get(name, "") + cell(field.description or "")
    names = f"{variables}<br>{flag}" if flag else variables
    return names, default or _default(field), values, meaning


def _default(field: FieldInfo) -> str:
    if field.default in (None, ()):
        return "not set"
    text = str(field.default)
    return f"`{text.lower() if isinstance(field.default, bool) else text}`"


def _values(field: FieldInfo) -> str:
    """Return the choices, or the bounds where they are more than a guard against nonsense."""
    if get_origin(field.annotation) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(field.annotation))
    bounds: dict[str, float] = {}
    for constraint in field.metadata:
        for kind in ("ge", "gt", "le"):
            if (value := getattr(constraint, kind, None)) is not None:
                bounds[kind] = value
    least, most = bounds.get("ge"), bounds.get("le", inf)
    if "gt" in bounds:
        return f"more than {bounds['gt']:g}"
    if least is None or abs(least) > _HIGHEST_SHOWN:
        return ""
    return f"{least:g} to {most:g}" if most <= _HIGHEST_SHOWN else f"at least {least:g}"
