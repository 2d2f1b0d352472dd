"""LitServe, as its documentation's batching page has it; BATCH=1 switches batching off."""

import os

import litserve
from model import Model

BATCH = int(os.environ.get("BATCH", "1"))


class SentimentAPI(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.model = Model()

    def decode_request(self, request: dict[str, str]) -> str:
        return request["text"]

    def predict(self, texts: str | list[str]) -> float | list[float]:
        return self.model(texts) if isinstance(texts, list) else self.model([texts])[0]

    def encode_response(self, output: float) -> dict[str, float]:
        return {"positive": output}


if __name__ == "__main__":
    api = SentimentAPI(max_batch_size=BATCH, batch_timeout=float(os.environ.get("WAIT", "0.01")))
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=int(os.environ.get("REPLICAS", "1")))
    server.run(host="127.0.0.1", port=int(os.environ["PORT"]), generate_client_file=False, log_level="warning")
