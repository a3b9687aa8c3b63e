"""The API page, and what it says beyond what the code says by itself."""

import base64
import hashlib
import re
from collections.abc import Collection
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse

from stt.coordinator.middleware.security_headers import CONTENT_SECURITY_POLICY

SUMMARY = "The queue of recordings, for machines far from the database and for browsers."

DESCRIPTION = """
Every address but `/health`, the login page and `/api/nodes/register` wants a key, as
`Authorization: Bearer KEY` or `X-API-Key: KEY`: the people's, which opens everything, or a node's,
which opens what a worker needs.

```sh
curl -H "Authorization: Bearer $STT_COORDINATOR_KEY" http://localhost:8000/status
curl -H "Authorization: Bearer $STT_COORDINATOR_KEY" -F file=@talk.mp3 http://localhost:8000/upload
```

**Errors** have one form, `{"error": {"code", "message"}}`: `code` stays the same, `message` is a
sentence for a person. Times are UTC in ISO 8601, lengths seconds, ids 24 hexadecimal digits.
"""

_PAGE = {"defaultModelsExpandDepth": -1}
"""Swagger UI's own settings (swagger.io/docs/open-source-tools/swagger-ui/usage/configuration)."""

router = APIRouter(include_in_schema=False)


@router.get("/docs")
async def api_page(request: Request) -> HTMLResponse:
    """Swagger UI; its one inline script is allowed by its hash."""
    app: FastAPI = request.app
    page = get_swagger_ui_html(
        openapi_url=str(app.openapi_url),
        title=app.title,
        swagger_js_url="/docs-files/swagger-ui-bundle.js",
        swagger_css_url="/docs-files/swagger-ui.css",
        swagger_favicon_url="/docs-files/favicon.png",
        swagger_ui_parameters=_PAGE,
    )
    scripts = re.findall(r"<script>(.*?)</script>", bytes(page.body).decode(), re.DOTALL)
    leave = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    page.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY.replace(
        "script-src 'self'", f"script-src 'self' {leave}"
    )
    return page


def describe_access(app: FastAPI, open_addresses: Collection[tuple[str, str]]) -> None:
    """Tells the schema what it cannot see: which addresses want a key, and that a refusal is JSON
    where the answer itself is none."""
    plain = app.openapi

    def with_access() -> dict[str, Any]:
        schema = plain()
        schema.setdefault("components", {})["securitySchemes"] = {
            "key": {"type": "http", "scheme": "bearer", "description": "The people's or a node's."}
        }
        schema["security"] = [{"key": []}]
        for path, operations in schema["paths"].items():
            for method, operation in operations.items():
                if (method.upper(), path) in open_addresses:
                    operation["security"] = []
                for status, answer in operation["responses"].items():
                    if status >= "400" and len(content := answer.get("content", {})) == 1:
                        answer["content"] = {"application/json": content.popitem()[1]}
        return schema

    app.openapi = with_access  # type: ignore[method-assign]


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
