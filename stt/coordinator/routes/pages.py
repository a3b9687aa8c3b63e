"""The pages: one shell for all of them, and its files.

The shell draws the page that belongs to its address; everything that it shows comes from the API.
Only the files under `/login/` need no session.
"""

from pathlib import Path

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles

WEB = Path(__file__).parents[1] / "web"
SHELL = WEB / "shell.html"
_PAGES = (
    "/", "/upload", "/recordings", "/recordings/{recording_id}", "/search", "/fleet", "/nodes",
    "/quarantine", "/settings",
)  # fmt: skip

router = APIRouter(tags=["pages"], include_in_schema=False)
_static = StaticFiles(directory=WEB)
_login = StaticFiles(directory=WEB / "login")


def _shell() -> Response:
    return FileResponse(SHELL)


for _path in _PAGES:
    router.add_api_route(_path, _shell, methods=["GET", "HEAD"])


@router.api_route("/static/{path:path}", methods=["GET", "HEAD"])
async def static_file(path: str, request: Request) -> Response:
    return await _static.get_response(path, request.scope)


@router.api_route("/login/{path:path}", methods=["GET", "HEAD"])
async def login_file(path: str, request: Request) -> Response:
    return await _login.get_response(path, request.scope)
