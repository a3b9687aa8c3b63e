"""Goals of a run, and where they are printed."""

from rich.console import Console

console = Console()


class Goals:
    """Prints each goal with its value as it is judged; `are_met` if all were, and all was done."""

    def __init__(self) -> None:
        self.are_met = True

    def judge(self, text: str, value: float, limit: float) -> None:
        is_met = value <= limit + 1e-9
        self.are_met &= is_met
        style, met = ("green", "PASS  ") if is_met else ("yellow", "MISSED")
        line = f"{met} {text}: {value:.3g}, limit {limit:g}"
        console.print(line, style=style, highlight=False, soft_wrap=True)

    def not_done(self, text: str) -> None:
        self.are_met = False
        console.print(f"FAILED {text}", style="red", highlight=False, soft_wrap=True)
