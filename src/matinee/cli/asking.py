"""One question to one model, without a server: open, ask, close."""

import asyncio
from collections.abc import Sequence

from matinee.core.events import Event
from matinee.core.prediction import ModelIdentity, Overflow, Prediction
from matinee.core.reference import ModelRef
from matinee.settings import Settings

ANSWER_SECONDS = 600.0


def ask(
    settings: Settings, texts: Sequence[str], overflow: Overflow | None = None
) -> tuple[ModelIdentity, list[Prediction]]:
    """The default model's predictions; raises what opening it or asking it raises."""
    from matinee.app import create_stages
    from matinee.rollout import open_model

    name, reference = next(iter(settings.references().items()))
    stages = create_stages(settings, _nobody)
    opened = open_model(name, ModelRef.parse(reference), stages)

    async def answer() -> list[Prediction]:
        from matinee.engine import Admission, Engine, EngineLimits

        limits = EngineLimits(timeout_seconds=ANSWER_SECONDS, cache_entries=0)
        engine = Engine(opened.classifier, opened.identity, Admission(len(texts)), limits, _nobody)
        await engine.start()
        try:
            return await engine.predict(texts, overflow=overflow)
        finally:
            await engine.close()

    try:
        return opened.identity, asyncio.run(answer())
    finally:
        stages.sources.close()


def _nobody(_event: Event) -> None:
    pass
