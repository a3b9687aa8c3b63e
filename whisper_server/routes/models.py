"""Which model is loaded, and which could be."""

import time

from fastapi import APIRouter

from whisper_server import api_docs
from whisper_server.errors import UnknownModel
from whisper_server.model_names import DEMO, SIZES
from whisper_server.schemas import ModelList, ModelOut
from whisper_server.service import Service


def router(service: Service) -> APIRouter:
    routes = APIRouter(prefix="/v1/models", tags=["OpenAI"])
    started_at = int(time.time())

    def loaded() -> ModelOut:
        return ModelOut(
            id=service.model.name,
            created=started_at,
            owned_by="local" if service.model.folder else _owner(service.model.name),
            loaded=service.ready,
        )

    @routes.get("", summary="List the models")
    async def models() -> ModelList:
        """The model of this server, then those that it could be started with (`--model`)."""
        others = [
            ModelOut(
                id=name,
                created=started_at,
                owned_by="local" if name == DEMO else _owner(name),
                loaded=False,
            )
            for name in (DEMO, *SIZES)
            if name != service.model.name
        ]
        return ModelList(data=[loaded(), *others])

    @routes.get("/{name:path}", summary="Look at a model", responses=api_docs.errors(404))
    async def model(name: str) -> ModelOut:
        """The loaded model, by its name or as `whisper-1`."""
        if not service.model.answers_to(name):
            raise UnknownModel(f"The model '{name}' is not loaded.", param="model")
        return loaded()

    return routes


def _owner(name: str) -> str:
    owner, slash, _ = name.partition("/")
    return owner if slash else "openai"
