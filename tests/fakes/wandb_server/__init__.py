"""A W&B server in a few hundred lines: the real client pulls, publishes and logs runs against it.

    with WandbServer() as server:
        server.state.publish("team/films/model", {"model.pkl": b"..."}, aliases=("production",))
        # WANDB_BASE_URL=server.url, WANDB_API_KEY=server.key

A GraphQL field that the schema does not have is answered with 400 and its name, so that a client which asks for more
is noticed at once. `server.fail("files", "truncated")` makes it misbehave.
"""

from tests.fakes.wandb_server.objects import REGISTRY_ENTITY
from tests.fakes.wandb_server.server import Fault, WandbServer
from tests.fakes.wandb_server.state import Collection, LoggedRun, State, StoredArtifact

__all__ = ["REGISTRY_ENTITY", "Collection", "Fault", "LoggedRun", "State", "StoredArtifact", "WandbServer"]
