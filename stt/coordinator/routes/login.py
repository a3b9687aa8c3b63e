"""Sessions of browsers: a cookie in exchange for the people's key."""

import json
from urllib.parse import parse_qs

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, RedirectResponse
from starlette.concurrency import run_in_threadpool

from stt import __version__
from stt.coordinator.authenticator import address_of
from stt.coordinator.context import PEOPLE_ONLY, InCoordinator
from stt.coordinator.errors import Unauthorized, Unprocessable
from stt.coordinator.middleware.authentication import COOKIE, LOGIN_PAGE, login_page, session_of
from stt.coordinator.openapi import error_responses
from stt.coordinator.schemas.status import SessionOut
from stt.coordinator.store.sessions import SESSION_DAYS
from stt.media import recognition

router = APIRouter(tags=["login"])
_people = APIRouter(dependencies=[PEOPLE_ONLY], responses=error_responses(401, 403, 503))

_FORM_TYPE = "application/x-www-form-urlencoded"
_MAX_KEY = 10_000  # as of the setting
_KEY = {
    "type": "object",
    "required": ["key"],
    "properties": {"key": {"type": "string", "format": "password", "maxLength": _MAX_KEY}},
}
_BODY = {"application/json": {"schema": _KEY}, _FORM_TYPE: {"schema": _KEY}}


@router.get("/login", summary="The login page", response_class=FileResponse)
async def login_form() -> FileResponse:
    return FileResponse(LOGIN_PAGE)


@router.post(
    "/login",
    summary="Begins a session: 303 to / for a form, 204 for JSON",
    status_code=204,
    responses={
        303: {"description": "The session has begun"},
        **error_responses(403, 429, 503),
        # For a form, the page again.
        401: {**error_responses(401)[401], "content": {"text/html": {}}},
    },
    openapi_extra={"requestBody": {"required": True, "content": _BODY}},
)
async def log_in(request: Request, coordinator: InCoordinator) -> Response:
    authenticator = coordinator.authenticator
    is_form = request.headers.get("content-type", "").startswith(_FORM_TYPE)
    key = _key_in(await request.body(), is_form=is_form)
    try:
        token = await run_in_threadpool(authenticator.log_in, key, address_of(request))
    except Unauthorized as error:
        if is_form:  # a browser without scripts shows the page again
            return login_page(error)
        raise
    response = RedirectResponse("/", status_code=303) if is_form else Response(status_code=204)
    response.set_cookie(
        COOKIE,
        token,
        max_age=SESSION_DAYS * 86_400,
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return response


@_people.post("/logout", summary="Ends the session of this cookie", status_code=204)
def log_out(request: Request, coordinator: InCoordinator) -> Response:
    token = session_of(request)
    if token is not None:
        coordinator.authenticator.log_out(token)
    response = Response(status_code=204)
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
    return response


@_people.get("/api/session", summary="Whether this session lives, and the version")
async def session(coordinator: InCoordinator) -> SessionOut:
    return SessionOut(
        version=__version__,
        public_url=coordinator.settings.public_url,
        recording_suffixes=sorted(recognition.NAMES),
    )


router.include_router(_people)


def _key_in(body: bytes, *, is_form: bool) -> str:
    """Return the key in a form or in JSON. Raises Unprocessable."""
    try:
        text = body.decode()
        key = parse_qs(text, strict_parsing=True)["key"][0] if is_form else json.loads(text)["key"]
    except (ValueError, KeyError, TypeError, RecursionError):
        key = None
    if not isinstance(key, str) or len(key) > _MAX_KEY:
        raise Unprocessable('The key is missing: send {"key": "..."} or a form with it.')
    return key.strip()
