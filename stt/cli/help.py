"""Plain help: commands first, then options by panel. It keeps the lines of examples.

Commands take Whisper's options too, and a recording in place of a command; see `familiar.py`.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from typer.core import TyperCommand, TyperGroup

from stt.cli.familiar import is_recording_name, understood
from stt.setting_types import EVERYDAY, PANELS


class PanelCommand(TyperCommand):
    """A command whose help lists its options by panel."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        options = {name for one in self.params for name in (*one.opts, *one.secondary_opts)}
        return super().parse_args(ctx, understood(args, options))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        _format_panels(self, ctx, formatter)


class LazyCommands(dict[str, Any]):
    """Commands by name, each made by its loader when it is read for the first time."""

    def __init__(self, loaders: Mapping[str, Callable[[], Any]]) -> None:
        super().__init__(loaders)
        self._waiting = set(loaders)

    def __getitem__(self, name: str) -> Any:
        if name in self._waiting:
            self[name] = super().__getitem__(name)()
            self._waiting.remove(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        try:
            return self[name]
        except KeyError:
            return default

    def items(self) -> Any:
        return [(name, self[name]) for name in self]

    def values(self) -> Any:
        return [self[name] for name in self]


class PanelGroup(TyperGroup):
    """A group whose help lists its commands before its options.

    `summaries`: what the help says of each command, for which it then need not be loaded.
    """

    summaries: Mapping[str, str] = {}

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        if not self.summaries:
            super().format_commands(ctx, formatter)
            return
        with formatter.section("Commands"):
            formatter.write_dl(list(self.summaries.items()))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Take a recording for `transcribe` of it."""
        if args[0] not in self.commands and is_recording_name(args[0]):
            args = ["transcribe", *args]
        return super().resolve_command(ctx, args)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        self.format_commands(ctx, formatter)
        _format_panels(self, ctx, formatter)


def _format_panels(command: Any, ctx: Any, formatter: Any) -> None:
    panels: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for parameter in command.get_params(ctx):
        if (record := parameter.get_help_record(ctx)) is not None:
            is_argument = parameter.param_type_name == "argument"
            panel = "Arguments" if is_argument else parameter.rich_help_panel or EVERYDAY
            panels[panel].append(record)
    if len(panels.keys() - {"Arguments"}) == 1:
        panels["Options"] = panels.pop((panels.keys() - {"Arguments"}).pop())
    for panel in ("Arguments", "Options", *PANELS):
        if panel in panels:
            with formatter.section(panel):
                formatter.write_dl(panels[panel])
