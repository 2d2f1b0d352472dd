"""Several deployments in one process: each has its own queue, its own history, and follows its own reference."""

import asyncio
from collections.abc import Iterator, Mapping

from matinee.core import background
from matinee.core.errors import UnknownModel
from matinee.core.reference import ModelRef
from matinee.rollout.deployment import Deployment
from matinee.rollout.opening import Stages
from matinee.rollout.options import RolloutOptions


class Deployments:
    """The deployments by name; the first is the default one. All of them open at the same time."""

    def __init__(self, references: Mapping[str, ModelRef], stages: Stages, options: RolloutOptions) -> None:
        self._by_name = {name: Deployment(name, ref, stages, options) for name, ref in references.items()}
        self._stages = stages

    def __iter__(self) -> Iterator[Deployment]:
        return iter(self._by_name.values())

    @property
    def default(self) -> Deployment:
        """The one that answers where no name is given."""
        return next(iter(self._by_name.values()))

    def get(self, name: str) -> Deployment:
        """The deployment called `name`; raises `UnknownModel`."""
        try:
            return self._by_name[name]
        except KeyError:
            raise UnknownModel(f"no model is called that; there are: {', '.join(self._by_name)}") from None

    @property
    def ready(self) -> bool:
        """Every deployment can answer."""
        return all(deployment.live is not None for deployment in self)

    def start(self) -> None:
        """Begin to open and to follow all of them."""
        for deployment in self:
            deployment.start()

    async def opened(self) -> None:
        """Wait until each has its first version; raises the first reason why one cannot be served, at once."""
        waiting = [asyncio.create_task(deployment.opened()) for deployment in self]
        try:
            await asyncio.gather(*waiting)
        finally:
            for task in waiting:
                task.cancel()

    def hint(self) -> None:
        """A registry says that something has moved: all of them look now."""
        for deployment in self:
            deployment.hint()

    async def close(self) -> None:
        """Close all of them; a client whose registry hangs holds up whoever waits for this, but not the event loop."""
        await asyncio.gather(*(deployment.close() for deployment in self))
        await background.run(self._stages.sources.close)
