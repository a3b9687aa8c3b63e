"""Check where notifications go: how webhooks are protected, and what was not delivered."""

from collections.abc import Iterator

from stt.doctor.checks import Finding
from stt.notifications.webhook import Webhook
from stt.settings import Settings
from stt.store.database import Database
from stt.store.notification_status import GIVEN_UP_DAYS, destination_statuses
from stt.system.net import is_unprotected

CHECK = "notifications"


def webhook_findings(settings: Settings) -> Iterator[Finding]:
    """Check the webhooks of STT_ON_DONE without calling them; yield nothing without any."""
    for url in settings.on_done:
        webhook = Webhook.of(url.get_secret_value())
        if is_unprotected(webhook.url):
            message = f"{webhook.name} gets names of recordings without TLS, over a public network"
            yield Finding(CHECK, "warning", message, "Write https:// in STT_ON_DONE.")
        elif webhook.form == "json" and settings.on_done_secret is None:
            message = f"{webhook.name} cannot tell who calls it: webhooks are not signed"
            advice = 'Set STT_ON_DONE_SECRET: echo "whsec_$(openssl rand -base64 32)"'
            yield Finding(CHECK, "warning", message, advice)
        else:
            yield Finding(CHECK, "ok", f"{webhook.name} is notified")


def undelivered_findings(database: Database) -> Iterator[Finding]:
    """Name the destinations that did not take their notifications. Raise DatabaseUnavailable."""
    for one in destination_statuses(database, database.server_time()):
        error = f": {one.error}" if one.error else ""
        if one.given_up:
            message = f"{one.given_up:,} to {one.name} given up in {GIVEN_UP_DAYS} days{error}"
            yield Finding(CHECK, "warning", message, "Is STT_ON_DONE right, and is it up?")
        elif not one.is_attended:
            message = f"{one.waiting:,} wait for {one.name}, and no process delivers them"
            advice = "Set STT_ON_DONE, or --on-done, for a worker or coordinator that runs."
            yield Finding(CHECK, "warning", message, advice)
        elif one.error:
            message = f"{one.waiting:,} wait for {one.name}{error}"
            yield Finding(CHECK, "warning", message, "Is it up, and is STT_ON_DONE right?")
