"""Say of a model that is asked for that no machine has it."""

from stt.cli.console import print_note
from stt.store.database import Database
from stt.store.workers import MongoRoster, models_at_work
from stt.whisper.model_names import stored_names


def note_missing_model(database: Database, model: str | None) -> None:
    """Print a line if what asks for this model waits, for no machine at work has it."""
    names = stored_names(model) if model else frozenset()
    models = models_at_work(MongoRoster(database).members()) if names else None
    if models is not None and not names & models:
        print_note(
            f"No machine at work has the model {model}: what asks for it waits."
            f" There is {', '.join(sorted(models))}."
        )
