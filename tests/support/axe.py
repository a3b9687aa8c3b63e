"""Finds with axe-core what keeps people from using a page: https://github.com/dequelabs/axe-core."""

from typing import Any, Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

WIDE, NARROW = 1440, 390
_HEIGHT = 900
# Off unless asked for: too new or too strict for axe-core's usual set.
_ALSO = ("target-size", "label-content-name-mismatch", "focus-order-semantics")
# What depends on the colours costs most, and they are the same at every width.
_OF_COLOURS = ("color-contrast", "link-in-text-block")
# No rule that runs reads style sheets once more.
_OPTIONS: dict[str, Any] = {"resultTypes": ["violations"], "preload": False}
_ALL = _OPTIONS | {"rules": {rule: {"enabled": True} for rule in _ALSO}}
_ALL_BUT_COLOURS = _OPTIONS | {
    "rules": _ALL["rules"] | {rule: {"enabled": False} for rule in _OF_COLOURS}
}
_COLOURS = _OPTIONS | {"runOnly": {"type": "rule", "values": list(_OF_COLOURS)}}
_LOOKS: tuple[tuple[int, Literal["light", "dark"], dict[str, Any]], ...] = (
    (NARROW, "light", _ALL_BUT_COLOURS),
    (WIDE, "light", _ALL),
    (WIDE, "dark", _COLOURS),
)
_SCRIPT = Axe().axe_script
_RUN = "options => axe.run(options).then((result) => result.violations)"


def findings(page: Page) -> str:
    """Return what is wrong with a page in light and dark colours, wide and on a phone, in lines.

    Besides the findings of axe-core that is whatever makes a page wider than its window.
    """
    if page.evaluate("typeof axe") == "undefined":
        page.evaluate(_SCRIPT)
    found: list[str] = []
    for width, scheme, options in _LOOKS:
        page.set_viewport_size({"width": width, "height": _HEIGHT})
        # Without motion, for colours are to be seen as they come to rest.
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        look = f"{scheme}, {width} px"
        for violation in page.evaluate(_RUN, options):
            found += _lines(violation, look)
        overflow = page.evaluate("document.documentElement.scrollWidth")
        if overflow > width:
            found.append(f"{look}: the page is {overflow} px wide")
    return "\n".join(found)


def _lines(violation: dict[str, Any], look: str) -> list[str]:
    return [
        f"{look}: {violation['id']}: {' '.join(map(str, node['target']))}: {_reason(node)}"
        for node in violation["nodes"]
    ]


def _reason(node: dict[str, Any]) -> str:
    checks = [*node["any"], *node["all"], *node["none"]]
    return "; ".join(str(check["message"]) for check in checks)
