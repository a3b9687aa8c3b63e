"""Check the settings: values that are wrong, and names in the environment that mean nothing."""

import os
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from dotenv import dotenv_values
from pydantic import SecretStr, ValidationError

from stt.doctor.checks import Finding
from stt.errors import ConfigError
from stt.settings import Settings, load_settings, variable_of

DOTENV = Path(".env")

_CHECK = "configuration"
_NAMES = {variable_of(name): name for name in Settings.model_fields}
_KNOWN = _NAMES.keys() | {name.upper() for name in Settings.model_fields}
_SIMILAR = 0.84
# Of whisper-server and of the tests, where they resemble ours.
_OTHERS = {"MAX_UPLOAD_MB", "STT_TEST_MONGO_URL", "STT_TEST_WHISPER_MODEL", "STT_TEST_EXAMPLES"}
_OFTEN_MEANT = {
    **dict.fromkeys(("MONGO_URI", "MONGODB_URI", "MONGODB_URL", "DATABASE_URL"), "MONGO_URL"),
    **dict.fromkeys(("DATABASE", "MONGO_DATABASE", "MONGO_DB"), "DATABASE_NAME"),
    **dict.fromkeys(("WHISPER_URL", "WHISPER_SERVER_URL", "SERVER_URL"), "STT_SERVER_URL"),
    "STT_KEY": "STT_API_KEY",
}


def usable_settings(flags: Mapping[str, object]) -> tuple[Settings, list[Finding]]:
    """Return the settings, with the default in place of each wrong one, and what is wrong."""
    try:
        return load_settings(**flags), []
    except ConfigError as error:
        cause = error.__cause__
        if not isinstance(cause, ValidationError):
            raise
        usable: dict[str, Any] = {name: flag for name, flag in flags.items() if flag is not None}
        usable |= {name: _default(name) for name in _wrong_fields(cause)}
        return Settings(**usable), [Finding.of(_CHECK, error)]


def name_findings() -> Iterator[Finding]:
    """Look for names in the environment and `.env` that may be meant for a setting."""
    from_file = dotenv_values(DOTENV) if DOTENV.is_file() else {}
    meant = misspelled([*os.environ, *from_file])
    for name, known in meant.items():
        where = "" if name in os.environ else f" in {DOTENV}"
        yield Finding(
            _CHECK,
            "warning",
            f"{name}{where} is no setting",
            f"Did you mean {known}?" if known else "docs/reference/settings.md lists all.",
        )
    found = sum(name.upper() in _NAMES for name in {*os.environ, *from_file})
    yield Finding(_CHECK, "ok", f"{found} settings in the environment" + _from_file(from_file))


def misspelled(names: Iterable[str]) -> dict[str, str | None]:
    """Return the names that look like one of ours and are none, with the one that is meant."""
    meant: dict[str, str | None] = {}
    for given in names:
        name = given.upper()  # settings are read in any case
        if name in _KNOWN or name in _OTHERS:
            continue
        near = get_close_matches(name, _NAMES, n=1, cutoff=_SIMILAR)
        if name in _OFTEN_MEANT:
            meant[given] = _OFTEN_MEANT[name]
        elif near or name.startswith("STT_"):
            meant[given] = near[0] if near else None
    return meant


def has_secrets(dotenv: Path) -> bool:
    """Return whether a file has settings that are secret."""
    secret = {variable for variable, name in _NAMES.items() if "Secret" in _annotation(name)}
    return dotenv.is_file() and not secret.isdisjoint(n.upper() for n in dotenv_values(dotenv))


def secrets_of(settings: Settings) -> set[str]:
    """Return all secrets, to be kept out of what is printed."""
    values = [getattr(settings, name) for name in Settings.model_fields]
    values += settings.on_done
    secrets = {value.get_secret_value() for value in values if isinstance(value, SecretStr)}
    if settings.mongo_url is not None:
        credentials = settings.mongo_url.get_secret_value().rpartition("@")[0]
        secrets.add(credentials.rpartition(":")[2])
    return secrets


def _annotation(name: str) -> str:
    return str(Settings.model_fields[name].annotation)


def _wrong_fields(error: ValidationError) -> set[str]:
    """Return the fields that cannot be read, which an error calls by their variable or name."""
    by_name = {variable.lower(): name for variable, name in _NAMES.items()}
    by_name |= {name: name for name in Settings.model_fields}
    first = (str(one["loc"][0]).lower() for one in error.errors(include_input=False) if one["loc"])
    return {by_name[name] for name in first if name in by_name}


def _default(name: str) -> Any:
    return Settings.model_fields[name].get_default(call_default_factory=True)


def _from_file(values: Mapping[str, object]) -> str:
    return f", {len(values)} of them in {DOTENV}" if values else ""
