"""The model that is loaded, and those that can be."""

import time

from fastapi import APIRouter

from whisper_server import api_docs
from whisper_server.errors import UnknownModel
from whisper_server.model_names import SIZES, Model, find_model
from whisper_server.model_service import Service
from whisper_server.schemas import ModelList, ModelOut


def router(service: Service) -> APIRouter:
    routes = APIRouter(prefix="/v1/models", tags=["OpenAI"])
    started_at = int(time.time())

    def described(model: Model, *, loaded: bool = False) -> ModelOut:
        owner, slash, _ = model.name.partition("/")
        owner = "local" if model.folder else owner if slash else "openai"
        return ModelOut(
            id=model.name,
            created=started_at,
            owned_by=owner,
            loaded=loaded,
            speakers=loaded and service.finds_speakers,
        )

    @routes.get("", summary="List the models")
    async def models() -> ModelList:
        """Return the model of this server, then those that it could be started with (`--model`)."""
        others = [find_model(name) for name in SIZES if name != service.model.name]
        own = described(service.model, loaded=service.ready)
        return ModelList(data=[own, *map(described, others)])

    @routes.get("/{name:path}", summary="Show a model", responses=api_docs.errors(404))
    async def model(name: str) -> ModelOut:
        """Return the loaded model, by its name or as `whisper-1`."""
        if not service.model.answers_to(name):
            raise UnknownModel(f"The model '{name}' is not loaded.", param="model")
        return described(service.model, loaded=service.ready)

    return routes
