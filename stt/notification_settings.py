"""The settings of what is notified when recordings are done; a part of `Settings`."""

import base64
import binascii
from typing import Annotated, Literal, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

from stt.setting_types import Line, NamedSettings, Secret, setting, split_at_commas
from stt.system.net import is_http_url

EventType = Literal["recording.done", "recording.failed", "queue.empty"]
Form = Literal["json", "ntfy", "slack"]
"""How a webhook's body is written: our own JSON, or what ntfy, or Slack and its like, take."""

SECRET_PREFIX = "whsec_"
_SECRET_BYTES = range(24, 65)  # as Standard Webhooks has it
_MAX_URLS = 20


def split_form(text: str) -> tuple[Form, str]:
    """Return the form and the URL of a destination, such as `ntfy+https://ntfy.sh/TOPIC`."""
    for form in get_args(Form):
        if text.startswith(f"{form}+"):
            return form, text.removeprefix(f"{form}+")
    return "json", text


def secret_bytes(secret: str) -> bytes:
    """Return the key in a secret of Standard Webhooks. Raise ValueError."""
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not secret.startswith(SECRET_PREFIX) or len(key) not in _SECRET_BYTES:
        raise ValueError(
            f"it is {SECRET_PREFIX} and 24 to 64 random bytes in base64; to make one:"
            f' echo "{SECRET_PREFIX}$(openssl rand -base64 32)"'
        )
    return key


def _check_destination(secret: SecretStr) -> SecretStr:
    """Return it; the message of ValueError repeats nothing, for the URL may hold a password."""
    form, url = split_form(secret.get_secret_value().strip())
    if not is_http_url(url) or not url.isprintable() or " " in url:
        raise ValueError(
            "each is a URL: write https://HOST/PATH, ntfy+https://HOST/TOPIC or"
            " slack+https://HOST/PATH"
        )
    parts = urlsplit(url)
    if form == "ntfy" and len(parts.path.strip("/").split("/")) != 1:
        raise ValueError("ntfy's URL ends with the topic alone: write ntfy+https://HOST/TOPIC")
    if form == "ntfy" and not parts.path.strip("/"):
        raise ValueError("ntfy's URL lacks the topic: write ntfy+https://HOST/TOPIC")
    return SecretStr(f"{form}+{url}")


def _check_secret(secret: SecretStr) -> SecretStr:
    secret_bytes(secret.get_secret_value())
    return secret


Destinations = Annotated[
    tuple[Annotated[Secret, AfterValidator(_check_destination)], ...],
    Field(max_length=_MAX_URLS),
    NoDecode,
    BeforeValidator(split_at_commas),
]
EventTypes = Annotated[
    tuple[EventType, ...], Field(max_length=10), NoDecode, BeforeValidator(split_at_commas)
]
WebhookSecret = Annotated[Secret, AfterValidator(_check_secret)]


class NotificationSettings(NamedSettings):
    """Where and how the end of recordings, and of the queue, is notified."""

    on_done: Destinations = setting(
        (), "Webhook to call when a recording is done or has failed, and when the queue is empty; "
        "ntfy+URL and slack+URL are written in the form of these services; several are separated "
        "by commas", env="STT_ON_DONE", flag=None, unit="URL", shown_default="none",
    )  # fmt: skip
    on_done_secret: WebhookSecret | None = setting(
        None, f"Secret that webhooks are signed with, as Standard Webhooks has it: {SECRET_PREFIX} "
        "and 24 random bytes or more in base64", env="STT_ON_DONE_SECRET", flag=None,
        shown_default="not signed",
    )  # fmt: skip
    on_done_events: EventTypes = setting(
        get_args(EventType), "Events to notify, separated by commas", env="STT_ON_DONE_EVENTS",
        flag=None, shown_default=", ".join(get_args(EventType)),
    )  # fmt: skip
    on_done_command: Line | None = setting(
        None, "Shell command to run when a recording is done or has failed, and when the queue is "
        "empty, with EVENT_TYPE, RECORDING_ID and RECORDING_NAME in its environment",
        env="STT_ON_DONE_COMMAND", flag="--on-done", shown_default="none",
    )  # fmt: skip

    @property
    def notifies(self) -> bool:
        """Whether anything is to be notified."""
        return bool(self.on_done or self.on_done_command)
