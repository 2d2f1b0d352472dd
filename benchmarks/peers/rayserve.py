"""Ray Serve with `serve.batch`, as its documentation has it; BATCH=1 switches batching off."""

import os

from model import Model
from ray import serve
from starlette.requests import Request

BATCH = int(os.environ.get("BATCH", "1"))


@serve.deployment(
    num_replicas=int(os.environ.get("REPLICAS", "1")), max_ongoing_requests=64, ray_actor_options={"num_cpus": 1}
)
class Sentiment:
    def __init__(self) -> None:
        self.model = Model()

    @serve.batch(max_batch_size=BATCH, batch_wait_timeout_s=float(os.environ.get("WAIT", "0.01")))
    async def answer(self, texts: list[str]) -> list[float]:
        return self.model(texts)

    async def __call__(self, request: Request) -> dict[str, float]:
        return {"positive": await self.answer((await request.json())["text"])}


app = Sentiment.bind()
