"""What is live and why, and the levers: reload, rollback, and the registry's hint that something has moved."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from matinee.api.answers import Json
from matinee.api.bodies import read_body
from matinee.api.endpoints import Access, Endpoint, Handler
from matinee.api.schemas import Accepted, History, ModelList, ModelState
from matinee.core.errors import Unauthorized
from matinee.rollout import Deployment, Deployments, Webhooks

MAX_HOOK_BYTES = 64 * 1024
# Tells the other worker processes what was done here: `reload` with a deployment's name, or `hint`.
Tell = Callable[[str, str], None]


def model_endpoints(deployments: Deployments, tell: Tell) -> list[Endpoint]:
    """Reading: `/models` and below. Writing, with the administrator's key: reload and rollback."""

    def asked(request: Request) -> Deployment:
        return deployments.get(request.path_params["name"])

    async def every(_request: Request) -> Response:
        return _json({"models": [asdict(deployment.state) for deployment in deployments]})

    async def one(request: Request) -> Response:
        return _json({"model": asdict(asked(request).state)})

    async def history(request: Request) -> Response:
        deployment = asked(request)
        return _json({"name": deployment.name, "entries": [asdict(entry) for entry in deployment.history]})

    async def reload(request: Request) -> Response:
        deployment = asked(request)
        # a change that has begun goes on when whoever asked for it hangs up
        await asyncio.shield(deployment.reload())
        tell("reload", deployment.name)
        return _json({"model": asdict(deployment.state)})

    async def rollback(request: Request) -> Response:
        deployment = asked(request)
        await asyncio.shield(deployment.rollback())  # the other processes hear of it, as of one that nobody asked for
        return _json({"model": asdict(deployment.state)})

    return [
        Endpoint("GET", "/models", every, Access.CALLER, "What is live", "models", response=ModelList),
        Endpoint(
            "GET", "/models/{name}", one, Access.CALLER, "One model", "models", response=ModelState, errors=(404,)
        ),
        Endpoint(
            "GET",
            "/models/{name}/history",
            history,
            Access.CALLER,
            "What was live or refused, when and why",
            "models",
            response=History,
            errors=(404,),
        ),
        _lever("/models/{name}/reload", reload, "Look at the registry now, and switch if it names another version"),
        _lever("/models/{name}/rollback", rollback, "Answer with the version before this one"),
    ]


def webhook_endpoints(deployments: Deployments, webhooks: Webhooks | None, tell: Tell) -> list[Endpoint]:
    """`POST /webhooks/{registry}`: a genuine call makes every deployment look at its registry now."""

    async def hint(request: Request) -> Response:
        if webhooks is None:
            raise Unauthorized("webhooks are switched off: they need the setting WEBHOOK_SECRET on the server")
        body = await read_body(request.receive, MAX_HOOK_BYTES)
        webhooks.check(request.headers, body)
        deployments.hint()
        tell("hint", "")
        return Json(b'{"status":"accepted"}', 202)

    return [
        Endpoint(
            "POST",
            "/webhooks/{registry}",
            hint,
            Access.SIGNED,
            "A registry says that something has moved",
            "models",
            response=Accepted,
            status=202,
            errors=(401, 413),
        )
    ]


def _lever(path: str, handler: Handler, summary: str) -> Endpoint:
    errors = (404, 409, 422, 502, 503)
    return Endpoint("POST", path, handler, Access.ADMIN, summary, "models", response=ModelState, errors=errors)


def _json(document: Mapping[str, Any]) -> Response:
    return Json(to_json(document, inf_nan_mode="null"))
