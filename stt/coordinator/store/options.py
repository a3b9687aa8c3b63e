"""Options of the whole fleet, which people set on the coordinator's page.

They are the settings that are marked as stored. The environment goes before the database, and that
before the default. The environment is that of the coordinator that answers.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from pymongo.errors import DuplicateKeyError

from stt.coordinator.fault_texts import fault_text
from stt.errors import ConfigError
from stt.settings import Settings, extra_of, field_of, variable_of
from stt.store.database import Database, Repository
from stt.store.ingest_options import IngestOptions
from stt.system.single_flight import SingleFlight

NAMES = tuple(name for name in Settings.model_fields if extra_of(name)["is_stored"])

_MAX_TEXT = 10_000

Value = (
    bool
    | int
    | Annotated[float, Field(allow_inf_nan=False)]
    | Annotated[str, Field(max_length=_MAX_TEXT)]
    | None
)
Kind = Literal["bool", "int", "float", "text"]
Source = Literal["environment", "database", "default"]

_KINDS: dict[Any, Kind] = {bool: "bool", int: "int", float: "float"}


@dataclass(frozen=True, slots=True)
class Option:
    """An option as people see it.

    `variable` is its name in the environment; a value from there locks it. `choices`: all values
    that it may have, empty where they are not listed. `minimum` and `maximum` are of a number,
    `max_length` of a text; None for others.
    """

    name: str
    value: Value
    default: Value
    source: Source
    variable: str
    kind: Kind
    choices: tuple[str, ...]
    minimum: float | None
    maximum: float | None
    max_length: int | None
    unit: str | None
    help: str
    is_locked: bool


class OptionList(BaseModel):
    """All options."""

    options: list[Option]


class OptionLocked(ConfigError):
    """The environment sets it."""


class StoredOptions(Repository):
    """Reads and writes the `options` collection, and keeps values for a second. Thread-safe."""

    def __init__(self, database: Database, settings: Settings) -> None:
        super().__init__(database)
        self._settings = settings
        self._stored = SingleFlight(self._read)

    def current(self) -> Settings:
        """Return the settings with the options as they are now."""
        return self._settings.model_copy(update={o.name: o.value for o in self.all()})

    def all(self) -> list[Option]:
        """Return each with the source of its value, in the order of the settings."""
        stored = self._stored.get()
        return [self._option(name, stored) for name in NAMES]

    def change(self, values: Mapping[str, Value]) -> list[Option]:
        """Store these values, None as "back to the default"; none at all if one is invalid.

        An empty text counts as None.
        Raises ConfigError for an unknown name or a value out of range, OptionLocked for one that
        the environment sets.
        """
        known = {option.name: option for option in self.all()}
        texts = {name for name, option in known.items() if option.kind == "text"}
        values = {n: None if v == "" and n in texts else v for n, v in values.items()}
        after = {option.name: option.value for option in known.values()}
        for name, value in values.items():
            if name not in known:
                raise ConfigError(f"There is no option {name[:50]!r}.")
            if known[name].is_locked:
                raise OptionLocked(f"{known[name].variable} in the environment sets {name}.")
            after[name] = known[name].default if value is None else _check(name, value)
        together = self._settings.model_copy(update=after)
        if together.offline_seconds <= together.heartbeat_seconds:
            raise ConfigError("offline_seconds must be longer than heartbeat_seconds.")
        IngestOptions.of_uploads(together)  # raises ConfigError
        for name, value in values.items():
            self._store(name, value)
        self._stored.invalidate()
        return self.all()

    def _option(self, name: str, stored: Mapping[str, Value]) -> Option:
        field, extra = field_of(name), extra_of(name)
        value, source = field.default, "default"
        kind = _KINDS.get(field.annotation, "text")
        if name in self._settings.model_fields_set:
            value, source = getattr(self._settings, name), "environment"
        elif name in stored:
            value, source = stored[name], "database"
        schema = _bounds(name)
        if_empty = f"; {extra['shown_default']} if empty" if extra["shown_default"] else ""
        return Option(
            name=name,
            value=value,
            default=field.default,
            source=source,  # type: ignore[arg-type]
            variable=variable_of(name),
            kind=kind,
            choices=get_args(field.annotation) if get_origin(field.annotation) is Literal else (),
            minimum=schema.get("minimum", schema.get("exclusiveMinimum")),
            maximum=schema.get("maximum"),
            max_length=schema.get("maxLength", _MAX_TEXT if kind == "text" else None),
            unit=extra["unit"],
            help=f"{field.description}{if_empty}.",
            is_locked=source == "environment",
        )

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
        with self._db.options.find({"_id": {"$in": NAMES}}) as cursor:
            found = {document["_id"]: document.get("value") for document in cursor}
        valid: dict[str, Value] = {}
        for name, value in found.items():
            with suppress(ConfigError):
                valid[name] = _check(name, value)
        return valid


def _check(name: str, value: Any) -> Value:
    """Return the value in its own type. Raises ConfigError."""
    try:
        checked: Value = _limits(name).validate_python(value, strict=True)
    except ValidationError as error:
        raise ConfigError(f"{name}: {fault_text(error.errors()[0])}.") from error
    return checked


@cache
def _limits(name: str) -> TypeAdapter[Any]:
    """Return the limits of the setting."""
    field = field_of(name)
    kind: Any = field.annotation
    return TypeAdapter(Annotated[kind, *field.metadata] if field.metadata else kind)


@cache
def _bounds(name: str) -> dict[str, Any]:
    """Return the JSON schema of the setting's values, without that of null."""
    schema = _limits(name).json_schema()
    return next((kind for kind in schema.get("anyOf", ()) if kind["type"] != "null"), schema)
