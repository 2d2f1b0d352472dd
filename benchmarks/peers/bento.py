"""BentoML with adaptive batching, as its documentation has it; BATCH=1 switches batching off."""

import os

import bentoml
from model import Model

BATCH = int(os.environ.get("BATCH", "1"))


@bentoml.service(workers=int(os.environ.get("REPLICAS", "1")), traffic={"timeout": 60})
class Sentiment:
    def __init__(self) -> None:
        self.model = Model()

    if BATCH > 1:

        @bentoml.api(batchable=True, max_batch_size=BATCH, max_latency_ms=int(os.environ.get("WAIT_MS", "10000")))
        def predict(self, texts: list[str]) -> list[float]:
            return self.model(texts)

    else:

        @bentoml.api
        def predict(self, text: str) -> dict[str, float]:
            return {"positive": self.model([text])[0]}
