"""The OpenAPI schema and its page: what they say beyond what FastAPI takes from the code."""

import base64
import hashlib
import re
from collections.abc import Collection
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from pydantic import BaseModel

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

_ERROR_MEANINGS = {
    400: "The request cannot be understood.",
    401: "No key, or a wrong one.",
    403: "The key is right, but not for this.",
    404: "There is no such thing.",
    408: "Nothing has arrived for too long.",
    409: "Not as things are: the claim is lost, or the state is another one.",
    410: "This node was removed.",
    412: "Another version of the protocol.",
    413: "Too large.",
    415: "Another type of body.",
    416: "No such range.",
    422: "Something in it is not valid.",
    423: "Another request has it.",
    429: "Too many failures from there: wait.",
    503: "The database is away: ask again.",
    507: "The disk is full.",
}
_SWAGGER_UI = {"defaultModelsExpandDepth": -1}
"""See https://swagger.io/docs/open-source-tools/swagger-ui/usage/configuration."""

router = APIRouter(include_in_schema=False)


class ErrorDetail(BaseModel):
    """`code` for programs, `message` for people."""

    code: str
    message: str


class ErrorOut(BaseModel):
    """The body of every error."""

    error: ErrorDetail


def error_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route that may answer with these errors."""
    return {s: {"model": ErrorOut, "description": _ERROR_MEANINGS[s]} for s in statuses}


@router.get("/docs")
async def api_page(request: Request) -> HTMLResponse:
    """Serve Swagger UI; its one inline script is allowed by its hash."""
    app: FastAPI = request.app
    page = get_swagger_ui_html(
        openapi_url=str(app.openapi_url),
        title=app.title,
        swagger_js_url="/docs-files/swagger-ui-bundle.js",
        swagger_css_url="/docs-files/swagger-ui.css",
        swagger_favicon_url="/docs-files/favicon.png",
        swagger_ui_parameters=_SWAGGER_UI,
    )
    scripts = re.findall(r"<script>(.*?)</script>", bytes(page.body).decode(), re.DOTALL)
    digests = [hashlib.sha256(script.encode()).digest() for script in scripts]
    hashes = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    page.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY.replace(
        "script-src 'self'", f"script-src 'self' {hashes}"
    )
    return page


def describe_access(app: FastAPI, open_addresses: Collection[tuple[str, str]]) -> None:
    """Add to the schema which addresses want a key.

    Also declare errors as JSON where the successful response has another type.
    """
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
                for status, response in operation["responses"].items():
                    if status >= "400" and len(content := response.get("content", {})) == 1:
                        response["content"] = {"application/json": content.popitem()[1]}
        return schema

    app.openapi = with_access  # type: ignore[method-assign]
