"""Plain help: commands first, then options by panel. It keeps the lines of examples."""

from collections import defaultdict
from typing import Any

from typer.core import TyperCommand, TyperGroup

from stt.setting_types import EVERYDAY, PANELS


class PanelCommand(TyperCommand):
    """A command whose help lists its options by panel."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        _format_panels(self, ctx, formatter)


class PanelGroup(TyperGroup):
    """A group whose help lists its commands before its options."""

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
