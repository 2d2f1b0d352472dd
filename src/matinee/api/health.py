"""Probes: alive, able to answer, started. They touch no model and no registry, so that they answer under any load."""

from collections.abc import Mapping
from typing import Any

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from matinee.api.answers import Json
from matinee.api.endpoints import Access, Endpoint
from matinee.api.lifecycle import Lifecycle
from matinee.api.schemas import Probe, Readiness
from matinee.rollout import Deployment, Deployments


def health_endpoints(deployments: Deployments, lifecycle: Lifecycle) -> list[Endpoint]:
    """`/livez`, `/readyz` and `/startupz`."""

    async def livez(_request: Request) -> Response:
        return Json(b'{"status":"ok"}')

    async def startupz(_request: Request) -> Response:
        return _answer({"status": "ok" if lifecycle.started else "starting"}, ready=lifecycle.started)

    async def readyz(_request: Request) -> Response:
        models = [_model(deployment) for deployment in deployments]
        ready = lifecycle.started and not lifecycle.draining and all(model["ready"] for model in models)
        status = "draining" if lifecycle.draining else "ok" if ready else "starting"
        return _answer({"status": status, "models": models}, ready=ready)

    return [
        Endpoint("GET", "/livez", livez, Access.OPEN, "The process is alive", "health", response=Probe),
        Endpoint("GET", "/readyz", readyz, Access.OPEN, "Able to answer", "health", response=Readiness, errors=(503,)),
        Endpoint(
            "GET", "/startupz", startupz, Access.OPEN, "First models loaded", "health", response=Probe, errors=(503,)
        ),
    ]


def _model(deployment: Deployment) -> Mapping[str, Any]:
    live = deployment.live
    if live is None:
        return {"name": deployment.name, "ready": False, "version": None, "stale": False}
    return {"name": deployment.name, "ready": True, "version": live.identity.version, "stale": live.stale}


def _answer(document: Mapping[str, Any], *, ready: bool) -> Response:
    return Json(to_json(document), 200 if ready else 503)
