"""Finds with axe-core what keeps people from using a page: https://github.com/dequelabs/axe-core."""

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

WIDE, NARROW = 1440, 390
_HEIGHT = 900
_OPTIONS: dict[str, Any] = {
    "resultTypes": ["violations"],
    # Off unless asked for: too new or too strict for axe-core's usual set.
    "rules": {
        rule: {"enabled": True}
        for rule in ("target-size", "label-content-name-mismatch", "focus-order-semantics")
    },
}
_COLOURS: dict[str, Any] = {
    "resultTypes": ["violations"],
    "runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]},
}
_SCRIPT = Axe().axe_script


def findings(page: Page) -> str:
    """Return what is wrong with a page in light and dark colours, wide and on a phone, in lines.

    Besides the findings of axe-core that is whatever makes a page wider than a phone.
    """
    page.evaluate(_SCRIPT)
    found: list[str] = []
    for width in (NARROW, WIDE):
        page.set_viewport_size({"width": width, "height": _HEIGHT})
        # Dark colours are the same at every width.
        dark = [("dark", _COLOURS)] if width == WIDE else []
        for scheme, options in (*dark, ("light", _OPTIONS)):
            # Without motion, for colours are to be seen as they come to rest.
            page.emulate_media(
                color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce"
            )
            result = page.evaluate("options => axe.run(options)", options)
            for violation in result["violations"]:
                found += _lines(violation, f"{scheme}, {width} px")
        overflow = page.evaluate("document.documentElement.scrollWidth")
        if overflow > width:
            found.append(f"{width} px: the page is {overflow} px wide")
    return "\n".join(found)


def _lines(violation: dict[str, Any], look: str) -> list[str]:
    return [
        f"{look}: {violation['id']}: {' '.join(map(str, node['target']))}: {_reason(node)}"
        for node in violation["nodes"]
    ]


def _reason(node: dict[str, Any]) -> str:
    checks = [*node["any"], *node["all"], *node["none"]]
    return "; ".join(str(check["message"]) for check in checks)
