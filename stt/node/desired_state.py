"""What the coordinator wants of a node, as far as it changes how the node works."""

from dataclasses import dataclass

from stt.remote.messages import NodeSettings, Rules
from stt.settings import Settings


@dataclass(frozen=True, slots=True)
class DesiredState:
    """`model` is None where this machine may choose."""

    is_enabled: bool
    model: str | None
    rules: Rules

    @classmethod
    def of(cls, settings: NodeSettings) -> "DesiredState":
        return cls(settings.is_enabled, settings.model, settings.rules)

    def applied_to(self, settings: Settings) -> Settings:
        """Return this machine's settings with the rules of the fleet."""
        return settings.model_copy(update=self.rules.model_dump())
