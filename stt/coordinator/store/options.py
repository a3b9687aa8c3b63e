"""Options of the whole fleet, which people set on the coordinator's page.

The environment goes before the database, and that before the default. The environment is that of
the coordinator that answers.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import TypeAdapter, ValidationError
from pymongo.errors import DuplicateKeyError

from stt.errors import ConfigError
from stt.settings import Settings
from stt.store.database import Database, translated
from stt.system.single_flight import SingleFlight

Value = bool | int | float | str | None


@dataclass(frozen=True, slots=True)
class Options:
    """Options of the fleet; times in seconds.

    `distributed`: nodes get work; without it only workers at the database do.
    """

    distributed: bool = True
    heartbeat_seconds: float = 30.0
    offline_seconds: float = 60.0
    chunk_timeout_seconds: float = 600.0
    join_code_minutes: float = 60.0
    max_upload_mb: int = 4_096
    chunk_seconds: float = 30.0
    default_language: str | None = None
    default_model: str | None = None
    default_priority: int = 0


@dataclass(frozen=True, slots=True)
class Option:
    """An option as people see it.

    `variable` is its name in the environment; a value from there locks it.
    """

    name: str
    value: Value
    default: Value
    source: Literal["environment", "database", "default"]
    variable: str
    kind: Literal["bool", "int", "float", "text"]
    unit: str | None
    help: str
    is_locked: bool


class OptionLocked(ConfigError):
    """The environment sets it."""


_TEXTS: dict[str, tuple[str | None, str]] = {
    "distributed": (None, "Nodes get work. Without it only workers at the database do."),
    "heartbeat_seconds": ("seconds", "How often a node says that it lives."),
    "offline_seconds": ("seconds", "A node that is not heard of for so long counts as offline."),
    "chunk_timeout_seconds": ("seconds", "Longest time for a chunk; then another worker gets it."),
    "join_code_minutes": ("minutes", "How long a join code lets machines join."),
    "max_upload_mb": ("MB", "Largest file that can be uploaded."),
    "chunk_seconds": ("seconds", "Longest chunk that uploads are cut into."),
    "default_language": (None, "Spoken language of uploads, such as en; heard if empty."),
    "default_model": (None, "Model for uploads; each worker's own if empty."),
    "default_priority": (None, "Priority of uploads; higher goes first."),
}
_KINDS: tuple[tuple[type, Literal["bool", "int", "float"]], ...] = (
    (bool, "bool"),
    (int, "int"),
    (float, "float"),
)


class StoredOptions:
    """Reads and writes the `options` collection. Safe between threads.

    Raises DatabaseUnavailable. Values that were read are kept for a second.
    """

    def __init__(self, database: Database, settings: Settings) -> None:
        self._db = database
        self._settings = settings
        self._stored = SingleFlight(self._read)

    def current(self) -> Options:
        """Return the values as they are now."""
        return Options(**{option.name: option.value for option in self.all()})  # type: ignore[arg-type]

    def all(self) -> list[Option]:
        """Return each with the source of its value, in the order of `Options`."""
        stored = self._stored.get()
        return [self._option(field.name, stored) for field in fields(Options)]

    def change(self, values: Mapping[str, Value]) -> list[Option]:
        """Store these values, None as "back to the default"; none at all if one is invalid.

        Raises ConfigError for an unknown name or a value out of range, OptionLocked for one that
        the environment sets.
        """
        known = {option.name: option for option in self.all()}
        for name, value in values.items():
            if name not in known:
                raise ConfigError(f"There is no option {name[:50]!r}.")
            if known[name].is_locked:
                raise OptionLocked(f"{known[name].variable} in the environment sets {name}.")
            if value is not None:
                _check(name, value)
        self._check_together({name: option.value for name, option in known.items()}, values)
        with translated():
            for name, value in values.items():
                self._store(name, value)
        self._stored.invalidate()
        return self.all()

    def _option(self, name: str, stored: Mapping[str, Value]) -> Option:
        field = Settings.model_fields[name]
        default: Value = field.default
        value, source = default, "default"
        if name in self._settings.model_fields_set:
            value, source = getattr(self._settings, name), "environment"
        elif name in stored:
            value, source = stored[name], "database"
        unit, text = _TEXTS[name]
        kind = next((kind for python, kind in _KINDS if field.annotation is python), "text")
        variable = str(field.validation_alias or name).upper()
        is_locked = source == "environment"
        return Option(name, value, default, source, variable, kind, unit, text, is_locked)  # type: ignore[arg-type]

    def _check_together(self, now: Mapping[str, Value], values: Mapping[str, Value]) -> None:
        defaults = asdict(Options())
        after = {**now, **{n: defaults[n] if v is None else v for n, v in values.items()}}
        if after["offline_seconds"] <= after["heartbeat_seconds"]:  # type: ignore[operator]
            raise ConfigError("offline_seconds must be longer than heartbeat_seconds.")

    def _store(self, name: str, value: Value) -> None:
        if value is None:
            self._db.options.delete_one({"_id": name})
            return
        change = {"$set": {"value": value}}
        try:
            self._db.options.update_one({"_id": name}, change, upsert=True)
        except DuplicateKeyError:  # another coordinator has just made it
            self._db.options.update_one({"_id": name}, change)

    def _read(self) -> Mapping[str, Value]:
        """Return the stored values that are valid: one written by hand may not be."""
        names = [field.name for field in fields(Options)]
        with translated(), self._db.options.find({"_id": {"$in": names}}) as cursor:
            found = {document["_id"]: document.get("value") for document in cursor}
        valid: dict[str, Value] = {}
        for name, value in found.items():
            try:
                valid[name] = _check(name, value)
            except ConfigError:
                continue
        return valid


def _check(name: str, value: Any) -> Value:
    """Return the value in its own type. Raises ConfigError."""
    try:
        checked: Value = _limits(name).validate_python(value, strict=True)
    except ValidationError as error:
        raise ConfigError(f"{name}: {error.errors()[0]['msg']}.") from error
    return checked


@cache
def _limits(name: str) -> TypeAdapter[Any]:
    """Return the limits of the setting."""
    field = Settings.model_fields[name]
    kind: Any = field.annotation
    return TypeAdapter(Annotated[kind, *field.metadata] if field.metadata else kind)
