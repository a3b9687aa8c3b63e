"""docs/reference/http-api.md, from the OpenAPI schemas of the coordinator and whisper-server."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fastapi import APIRouter
from fastapi.routing import APIWebSocketRoute
from pydantic import SecretStr
from starlette.routing import BaseRoute

import stt.coordinator.routes
import stt.settings
import whisper_server.settings
from stt.coordinator import app as coordinator_app
from stt.coordinator.context import PEOPLE_ONLY, Coordinator
from stt.store.database import Database
from tools.reference_docs.markdown import cell, origin, page, table
from whisper_server import app as server_app
from whisper_server.engines.choice import engines_for
from whisper_server.model_names import find_model
from whisper_server.model_service import Service
from whisper_server.presets import Machine, plan_engine

Route = tuple[str, str, Mapping[str, Any]]
"""Method, path and operation of a schema."""

_UNKEYED_TAGS = ("system", "login")
_ANY_ERROR = "4XX"
_METHODS = ("get", "post", "put", "patch", "delete")

_INTRODUCTION = """\
Both servers describe every field of their requests and answers on a page of their own at `/docs`,
which loads nothing from other hosts; `/openapi.json` is the same for programs."""

_COORDINATOR = """\
Errors have one form, `{{"error": {{"code", "message"}}}}`: `code` is stable, `message` is a
sentence for a person. Times are UTC in ISO 8601, lengths are seconds, ids are 24 hexadecimal
digits. A key is sent as `Authorization: Bearer KEY` or `X-API-Key: KEY`. Every route may answer
{common}; every route that needs a key also {keyed}. The tables list the other statuses.

The column *for* says who may call a route: `person` (the key for people, or a session that began
with it), `node` (a node's key as well; a node can only act for itself), `all` (no key needed)."""

_SERVER = """\
Errors have OpenAI's form, `{"error": {"message", "type", "param", "code"}}`. With `API_KEY` set,
every route but `/health`, `/ready` and `/docs` needs the key as `Authorization: Bearer KEY`. The
parameters are explained in [Whisper server](../guides/whisper-server.md)."""


def http_api_page() -> str:
    """Return the page."""
    return page(
        origin("the OpenAPI schemas of stt/coordinator and whisper_server"),
        "# HTTP API",
        _INTRODUCTION,
        "## Coordinator",
        *_coordinator(),
        "## Whisper server",
        *_whisper_server(),
    )


def coordinator_schema() -> dict[str, Any]:
    """Return the coordinator's OpenAPI schema, whatever this machine's settings are."""
    settings = stt.settings.Settings.model_construct()
    with Database("mongodb://127.0.0.1:1/", "stt") as database:  # connects with the first operation
        return coordinator_app.create_app(Coordinator(database, settings)).openapi()


def server_schema() -> dict[str, Any]:
    """Return the whisper server's OpenAPI schema, as it is with a key."""
    settings = whisper_server.settings.Settings.model_construct(
        model="base", api_key=SecretStr("any")
    )
    plan, model = plan_engine(settings, Machine(cores=1)), find_model("base")
    engines = engines_for(model, plan, None)  # not loaded
    return server_app.create_app(Service(settings, model, plan, engines), lambda: None).openapi()


def _coordinator() -> Iterator[str]:
    routes = list(_routes(coordinator_schema()))
    people_only = _people_only()
    common = _common(routes)
    common_keyed = _common(route for route in routes if route[2]["tags"][0] not in _UNKEYED_TAGS)
    yield _COORDINATOR.format(common=_listed(common), keyed=_listed(common_keyed - common))
    by_tag: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for method, path, operation in routes:
        is_open = operation.get("security") == []
        caller = "all" if is_open else "person" if (method, path) in people_only else "node, person"
        statuses = set(operation["responses"]) - (common if is_open else common_keyed)
        row = f"`{method} {path}`", _summary(operation), caller, _codes(statuses)
        by_tag[operation["tags"][0]].append(row)
    for tag, rows in by_tag.items():
        yield f"### {tag.capitalize()}"
        yield table(("route", "does", "for", "statuses"), rows)
    yield "### WebSockets"
    yield table(("route", "carries"), _websockets())


def _whisper_server() -> Iterator[str]:
    yield _SERVER
    by_tag: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for method, path, operation in _routes(server_schema()):
        statuses = _codes(set(operation["responses"]) - {_ANY_ERROR})
        row = f"`{method} {path}`", _summary(operation), statuses
        by_tag[operation["tags"][0]].append(row)
    for tag, rows in by_tag.items():
        yield f"### {tag}"
        yield table(("route", "does", "statuses"), rows)


def _routes(schema: Mapping[str, Any]) -> Iterator[Route]:
    for path, operations in schema["paths"].items():
        for method in _METHODS:
            if method in operations:
                yield method.upper(), path, operations[method]


def _common(routes: Iterable[Route]) -> set[str]:
    """Return the error statuses that all of these routes may answer."""
    found = [set(operation["responses"]) for _, _, operation in routes]
    return {status for status in set.intersection(*found) if status >= "400"}


def _summary(operation: Mapping[str, Any]) -> str:
    """Return the summary, and the first paragraph of the description where there is one."""
    summary = str(operation.get("summary", "")).rstrip(".")
    more = str(operation.get("description", "")).partition("\n\n")[0]
    end = "" if summary.endswith("?") else "."
    return cell(f"{summary}{end} {more}".strip())


def _codes(statuses: set[str]) -> str:
    return " ".join(sorted(statuses))


def _listed(statuses: set[str]) -> str:
    *first, last = sorted(statuses)
    return f"{', '.join(first)} and {last}" if first else last


def _all_routes() -> Iterator[BaseRoute]:
    for module in vars(stt.coordinator.routes).values():  # app.py has imported them all
        if isinstance(router := getattr(module, "router", None), APIRouter):
            yield from _routes_of(router)


def _routes_of(router: APIRouter) -> Iterator[BaseRoute]:
    for route in router.routes:
        if included := getattr(route, "original_router", None):
            yield from _routes_of(included)
        else:
            yield route


def _people_only() -> set[tuple[str, str]]:
    found = set()
    for route in _all_routes():
        dependencies = getattr(getattr(route, "dependant", None), "dependencies", ())
        if any(d.call is PEOPLE_ONLY.dependency for d in dependencies):
            methods: set[str] = getattr(route, "methods", None) or set()
            found |= {(method, route.path_format) for method in methods}  # type: ignore[attr-defined]
    return found


def _websockets() -> Iterator[tuple[str, str]]:
    for route in _all_routes():
        if isinstance(route, APIWebSocketRoute):
            text = (route.endpoint.__doc__ or "").partition("\n\n")[0]
            yield f"`{route.path}`", cell(text)
