"""How a setting is described, and the types and checks of its values."""

import ipaddress
import re
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue, SecretStr, StringConstraints
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
)

from stt.serving.key_strength import weakness_of
from stt.system.net import is_http_url
from stt.system.s3_url import S3Url

DAY_SECONDS = 86_400
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": DAY_SECONDS}
_MAX_DURATION_DAYS = 3_650
_MAX_SERVERS = 100
_MAX_DATABASE_NAME = 63
_NOT_IN_DATABASE_NAMES = frozenset('/\\. "$*<>:|?\0')
# Bounds that no one needs to cross, and that timers, sockets and the database can still take.
Seconds = Annotated[float, Field(le=365 * DAY_SECONDS, allow_inf_nan=False)]
CallSeconds = Annotated[float, Field(le=DAY_SECONDS, allow_inf_nan=False)]
Minutes = Annotated[float, Field(le=365 * 24 * 60, allow_inf_nan=False)]
Count = Annotated[int, Field(le=1_000_000)]


def split_at_commas(value: object) -> object:
    """Return the parts of a text; keep other types."""
    if not isinstance(value, str):
        return value
    return [part.strip() for part in value.split(",") if part.strip()]


def _check_url(url: str) -> str:
    parts = urlsplit(url)
    if "@" in parts.netloc:  # it would show in logs and in the database
        raise ValueError("no user or password in the URL: the key goes into STT_API_KEY")
    if parts.query or parts.fragment:  # keys were written there
        raise ValueError("nothing behind ? or # in the URL: the key goes into STT_API_KEY")
    if not is_http_url(url):
        raise ValueError(f"{url!r} is not a URL: write http://HOST:PORT")
    return url.rstrip("/")


def _check_public_url(url: str) -> str:
    url = _check_url(url.strip())
    if urlsplit(url).path:
        raise ValueError("nothing behind the host: write https://HOST")
    return url


def _check_key(key: SecretStr) -> SecretStr | None:
    text = key.get_secret_value().strip()
    if not (text.isascii() and text.isprintable()):
        raise ValueError("a key is made of plain letters, digits and signs")
    return SecretStr(text) if text else None


def _check_coordinator_key(key: SecretStr) -> SecretStr | None:
    checked = _check_key(key)
    if checked is not None and (weakness := weakness_of(checked.get_secret_value())) is not None:
        raise ValueError(f"{weakness}; without one, `stt coordinator` makes one")
    return checked


def _check_database_name(name: str) -> str:
    if len(name.encode()) > _MAX_DATABASE_NAME or _NOT_IN_DATABASE_NAMES & set(name):
        raise ValueError(
            f"a database's name has {_MAX_DATABASE_NAME} characters at most, and none of"
            r' / \ . " $ * < > : | ? or a blank'
        )
    return name


def _check_s3_url(text: str) -> str:
    return str(S3Url.parse(text.strip()))


def read_duration(text: object) -> object:
    """Return the seconds of `90s`, `10m`, `2h` or `30d`; raise ValueError. Keep other types."""
    if not isinstance(text, str):
        return text
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)([smhd])", text.strip().lower())
    if match is None:
        raise ValueError(f"{text!r} is no duration: write 90s, 10m, 2h or 30d")
    seconds = float(match[1]) * _UNIT_SECONDS[match[2]]
    if not 0 < seconds <= _MAX_DURATION_DAYS * DAY_SECONDS:
        raise ValueError(f"{text!r} is out of range: between 1s and ten years")
    return seconds


def _check_proxies(proxies: str) -> str:
    for proxy in proxies.split(","):
        try:
            ipaddress.ip_network(proxy.strip())
        except ValueError:
            raise ValueError(
                f"{proxy.strip()!r} is neither an address nor a network such as 10.0.0.0/8"
            ) from None
    return proxies


Line = Annotated[str, StringConstraints(min_length=1, max_length=1_000)]
"""A text without a form of its own: a name, a path, an address."""
Secret = Annotated[SecretStr, Field(max_length=10_000)]
DatabaseName = Annotated[
    str, StringConstraints(min_length=1, max_length=63), AfterValidator(_check_database_name)
]
ServerUrls = Annotated[
    tuple[Annotated[Line, AfterValidator(_check_url)], ...],
    Field(max_length=_MAX_SERVERS),
    NoDecode,
    BeforeValidator(split_at_commas),
]
S3Place = Annotated[Line, AfterValidator(_check_s3_url)]
S3Places = Annotated[
    tuple[S3Place, ...], Field(max_length=100), NoDecode, BeforeValidator(split_at_commas)
]
Duration = Annotated[
    float,
    Field(gt=0, le=_MAX_DURATION_DAYS * DAY_SECONDS, allow_inf_nan=False),
    BeforeValidator(read_duration),
]
"""Seconds, written with a unit: 90s, 10m, 2h or 30d."""
PublicUrl = Annotated[Line, AfterValidator(_check_public_url)]
Key = Annotated[Secret, AfterValidator(_check_key)]
CoordinatorKey = Annotated[Secret, AfterValidator(_check_coordinator_key)]
Proxies = Annotated[str, StringConstraints(max_length=10_000), AfterValidator(_check_proxies)]
LanguageName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z _-]{0,49}$")]
PromptText = Annotated[str, StringConstraints(max_length=10_000)]
ModelName = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,200}$")]

PANELS = EVERYDAY, CHOOSING, SUBTITLES, WATCHING, STOPPING, QUEUE, SERVERS, DATABASE = (
    "Everyday options", "Which recordings", "Subtitles", "Watched folders", "Stopping", "Queue",
    "Whisper servers", "Database",
)  # fmt: skip
"""Panels of the help, in their order."""


class NamedSettings(BaseSettings):
    """Settings that the environment and `.env` set by their documented names alone.

    Their fields have names such as `limit` and `model`, which other programs may use there.
    """

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        fields = settings_cls.model_fields.items()
        names = {str(field.validation_alias or name).lower() for name, field in fields}
        for source in (env_settings, dotenv_settings):
            assert isinstance(source, EnvSettingsSource)
            source.env_vars = {k: v for k, v in source.env_vars.items() if k.lower() in names}
        return init_settings, env_settings, dotenv_settings


def setting(
    default: Any,
    description: str,
    *,
    env: str | None = None,
    flag: str | None = "",
    panel: str = EVERYDAY,
    unit: str | None = None,
    shown_default: str | None = None,
    is_stored: bool = False,
    **bounds: Any,
) -> Any:
    """Describe a setting.

    `env` and `flag` default to the field's name; `flag=None` makes none. `shown_default` describes
    a default that is computed. `is_stored`: the coordinator's page may set it as well.
    """
    extra: dict[str, JsonValue] = {
        "flag": flag, "panel": panel, "unit": unit, "shown_default": shown_default,
        "is_stored": is_stored,
    }  # fmt: skip
    factory = {"default_factory": default} if callable(default) else {"default": default}
    return Field(
        **factory,
        description=description,
        validation_alias=env,
        json_schema_extra=extra,
        **bounds,
    )


def reason_of(error: ErrorDetails) -> str:
    """Return what is wrong with a value, in our own words where a validator of ours found it."""
    own = error.get("ctx", {}).get("error")
    return str(own) if isinstance(own, ValueError) else error["msg"]
