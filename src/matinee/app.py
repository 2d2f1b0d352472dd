"""The one place where concrete things are wired together: `create_app(settings)`."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import Response

from matinee.api.answers import Json
from matinee.api.documentation import documentation_endpoints
from matinee.api.edge import Edge
from matinee.api.endpoints import Access, Endpoint
from matinee.api.health import health_endpoints
from matinee.api.keys import Keyring
from matinee.api.lifecycle import Lifecycle
from matinee.api.models import model_endpoints, webhook_endpoints
from matinee.api.original import original_endpoints
from matinee.api.predict import Limits, predict_endpoints
from matinee.api.siblings import ALONE, Siblings
from matinee.api.static import StaticFile, static_endpoints
from matinee.core.bundle import Revision
from matinee.core.errors import MatineeError
from matinee.core.events import Event, ModelSwapped, Observe, RequestFailed, fan_out
from matinee.core.prediction import ModelIdentity
from matinee.core.reference import ModelRef
from matinee.engine import EngineLimits
from matinee.flavors import LoadOptions
from matinee.monitor import MonitorOptions, Observers, Reading, WandbLogOptions, observers
from matinee.rollout import (
    Deployment,
    Deployments,
    GateLimits,
    ProbationLimits,
    RolloutOptions,
    Stages,
    Webhooks,
)
from matinee.settings import Settings
from matinee.sources import SourceOptions, Sources, cache_folder
from matinee.ui import POLICY, page_files
from matinee.verify import Policy

CLOSE_SECONDS = 1.5  # at shutdown, for what no request waits for
SPARE_SECONDS = 10.0  # by which the limit of a look comes after that of its client, which says more
ROLLBACKS = ("rollback", "auto-rollback")  # causes of `ModelSwapped`


def create_app(settings: Settings, lifecycle: Lifecycle, siblings: Siblings = ALONE) -> Edge:
    """The whole application as one ASGI callable; `siblings` are the other worker processes."""
    program = Program(settings, lifecycle, siblings)
    keyring = Keyring((key.get_secret_value() for key in settings.api_keys), _value(settings.admin_key))
    return Edge(
        create_endpoints(settings, program, lifecycle, siblings),
        keyring,
        program.identity,
        program.failed,
        (program.startup, program.shutdown),
    )


class Program:
    """Deployments and listeners, from start to stop."""

    def __init__(self, settings: Settings, lifecycle: Lifecycle, siblings: Siblings) -> None:
        self.listeners = create_observers(settings)
        self.deployments = create_deployments(settings, fan_out(self.listeners.observe, self._pass_on))
        self._lifecycle = lifecycle
        self._siblings = siblings
        self._opening: asyncio.Task[None] | None = None
        self._changes: set[asyncio.Task[None]] = set()
        self._obeying: set[str] = set()
        for deployment in self.deployments:
            self.listeners.watch(deployment.name, _reader(deployment))

    async def startup(self) -> None:
        """Begin to open the models; the server listens meanwhile, and says that it is not ready."""
        self.deployments.start()
        self._siblings.listen(self.obey)
        self._opening = asyncio.create_task(self._open())

    async def _open(self) -> None:
        try:
            await self.deployments.opened()
        except MatineeError as error:
            self._lifecycle.failure = error
        else:
            self._lifecycle.started = True
            self._siblings.started()

    async def shutdown(self) -> None:
        """Close everything, within `CLOSE_SECONDS`."""
        if self._opening is not None:
            self._opening.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await asyncio.gather(self.deployments.close(), asyncio.to_thread(self.listeners.close))

    def obey(self, operation: str, subject: str) -> None:
        """Do what was done in another worker process; what comes of it, events tell."""
        if operation == "hint":
            self.deployments.hint()
            return
        if operation == "leave":
            change: Awaitable[object] = self._leave(**json.loads(subject))
        else:
            change = self.deployments.get(subject).reload()
        task = asyncio.ensure_future(_quietly(change))
        self._changes.add(task)
        task.add_done_callback(self._changes.discard)

    def _pass_on(self, event: Event) -> None:
        """A person, or the first minutes of a version, took it back here: so do the other worker processes."""
        if isinstance(event, ModelSwapped) and event.cause in ROLLBACKS and event.model.name not in self._obeying:
            asyncio.get_running_loop().call_soon(self._tell_left, event.model.name)

    def _tell_left(self, name: str) -> None:
        """From which revision to which: the others may not have come to the first yet, or never had the second."""
        deployment = self.deployments.get(name)
        if deployment.left is not None and deployment.live is not None:
            to = deployment.live.revision
            said = {"name": name, "left": deployment.left, "to": to.key, "details": to.details}
            self._siblings.tell("leave", json.dumps(said))

    async def _leave(self, name: str, left: list[str], to: list[str], details: dict[str, str]) -> None:
        deployment = self.deployments.get(name)
        self._obeying.add(name)  # what was told is not told back
        try:
            await deployment.leave((left[0], left[1]), Revision(deployment.reference, to[0], to[1], details=details))
        finally:
            self._obeying.discard(name)

    def identity(self) -> ModelIdentity | None:
        """What answers by default."""
        live = self.deployments.default.live
        return live.identity if live else None

    def failed(self, model: ModelIdentity | None, code: str, status: int) -> None:
        """A request got an error."""
        name = model.name if model else self.deployments.default.name
        self.listeners.observe(RequestFailed(name, code, status))


def create_endpoints(settings: Settings, program: Program, lifecycle: Lifecycle, siblings: Siblings) -> list[Endpoint]:
    """Every route there is."""
    deployments = program.deployments
    limits = Limits(settings.max_body_bytes, settings.max_text_chars, settings.max_texts)
    secret = _value(settings.webhook_secret)
    endpoints = [
        *predict_endpoints(deployments, limits),
        *original_endpoints(deployments, limits),
        *health_endpoints(deployments, lifecycle),
        *model_endpoints(deployments, siblings.tell),
        *webhook_endpoints(deployments, Webhooks(secret) if secret else None, siblings.tell),
        _metrics_endpoint(program.listeners),
    ]
    page = [StaticFile(path, media_type, file) for path, media_type, file in page_files()]
    return [*endpoints, *documentation_endpoints(endpoints), *static_endpoints(page, POLICY)]


def create_deployments(settings: Settings, observe: Observe) -> Deployments:
    """The deployments that the settings name; nothing is loaded before they start."""
    references = {name: ModelRef.parse(reference) for name, reference in settings.references().items()}
    return Deployments(references, create_stages(settings, observe), rollout_options(settings))


def create_stages(settings: Settings, observe: Observe) -> Stages:
    """What it takes to open one model."""
    return Stages(
        sources=Sources(source_options(settings)),
        policy=Policy(
            loader=settings.model_loader,
            labels=settings.labels,
            pickle_names=frozenset(settings.allow_pickle_names),
            keras_names=frozenset(settings.allow_keras_names),
            allow_python_function=settings.allow_python_function,
        ),
        load=LoadOptions(
            threads=settings.threads,
            runtime=settings.runtime,
            precision=settings.precision,
            batch_tokens=settings.batch_tokens,
            cache_dir=cache_dir(settings),
            device=settings.device,
        ),
        observe=observe,
        quick=ModelRef.parse(settings.cascade) if settings.cascade else None,
    )


def cache_dir(settings: Settings) -> Path:
    """The configured folder; the default one gives way to a temporary one where it cannot be written to."""
    return cache_folder(settings.cache_dir if "cache_dir" in settings.model_fields_set else None)


def source_options(settings: Settings) -> SourceOptions:
    """Where models come from, and where they are kept."""
    return SourceOptions(
        cache_dir=cache_dir(settings),
        cache_bytes=settings.cache_bytes,
        resolve_seconds=settings.registry_seconds,
        pull_seconds=settings.pull_seconds,
        wandb_api_key=_value(settings.wandb_api_key),
        copies=original_place(settings),
    )


def original_place(settings: Settings) -> dict[str, Path]:
    """Reference -> where its files are put as well, when the original names pull from W&B and say a folder."""
    from_wandb = not (settings.model or settings.models) and settings.wandb_api_key is not None
    if not from_wandb or "local_model_dir" not in settings.model_fields_set:
        return {}
    place = Path(settings.local_model_dir) / settings.local_model_name
    return dict.fromkeys(settings.references().values(), place)


def rollout_options(settings: Settings) -> RolloutOptions:
    """How versions change, and what each of them may hold."""
    return RolloutOptions(
        poll_seconds=settings.poll_seconds,
        poll_timeout=settings.registry_seconds + SPARE_SECONDS,
        warm_seconds=settings.warm_seconds,
        state_dir=cache_dir(settings) / "history",
        gate=gate_limits(settings),
        probation=ProbationLimits(seconds=settings.probation_seconds),
        queue_size=settings.queue_texts,
        engine=EngineLimits(
            timeout_seconds=settings.deadline_seconds,
            cache_entries=settings.answer_cache,
            overflow=settings.overflow,
        ),
    )


def gate_limits(settings: Settings) -> GateLimits:
    """What a new version must prove; an operator's own file of examples may be long, and is answered to its end."""
    limits = GateLimits(
        golden=settings.gate_golden,
        golden_share=settings.gate_golden_share,
        flips=settings.gate_flips,
        latency_ms=settings.gate_latency_ms,
        load_seconds=settings.gate_load_seconds,
        memory_bytes=settings.gate_memory_bytes,
        label_names=settings.gate_label_names,
    )
    return replace(limits, answer_seconds=settings.gate_load_seconds) if settings.gate_golden else limits


def create_observers(settings: Settings) -> Observers:
    """Whoever listens to what happens."""
    wandb = WandbLogOptions(
        project=settings.project_name,
        mode="offline" if settings.wandb_offline else "online",
        folder=str(cache_dir(settings)),
        api_key=_value(settings.wandb_api_key) or "",
        config=settings.references(),
        text_share=settings.wandb_texts,
        finish_seconds=CLOSE_SECONDS,
    )
    return observers(
        MonitorOptions(
            log_requests=settings.log_requests,
            wandb=wandb if settings.wandb_log else None,
            traces=settings.traces,
        )
    )


def _metrics_endpoint(listeners: Observers) -> Endpoint:
    async def metrics(_request: Request) -> Response:
        body, media_type = listeners.render()
        return Json(body, media_type=media_type.encode("ascii"))

    return Endpoint("GET", "/metrics", metrics, Access.CALLER, "Prometheus metrics", "health", response="text/plain")


def _reader(deployment: Deployment) -> Callable[[], Reading]:
    def read() -> Reading:
        state = deployment.state
        return Reading(state.queued, state.ready, state.stale, state.poll.stale_seconds)

    return read


async def _quietly(change: Awaitable[object]) -> None:
    with suppress(MatineeError):
        await change


def _value(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None
