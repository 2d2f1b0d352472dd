"""Who is measured: how each server is installed, started and asked, and the configurations it is tried in."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

RUNTIME = ("onnxruntime==1.32.0", "tokenizers==0.23.3", "numpy==2.4.6")


@dataclass(frozen=True)
class Configuration:
    """One way to run a server: settings in its environment."""

    name: str
    env: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Server:
    """One server of the matrix. `python` in `start` stands for the interpreter of its own environment."""

    name: str
    install: tuple[str, ...]
    start: tuple[str, ...]
    route: str
    body: Callable[[str], str]
    positive: Callable[[Any], float]
    configurations: tuple[Configuration, ...]
    health: str = "/"
    processes: str = "1 process"


def _text(text: str) -> str:
    return json.dumps({"text": text})


def _texts(text: str) -> str:
    return json.dumps({"texts": [text]})


def _v2(text: str) -> str:
    tensor = {"name": "text", "shape": [1], "datatype": "BYTES", "parameters": {"content_type": "str"}, "data": [text]}
    return json.dumps({"inputs": [tensor]})


_SINGLE = Configuration("no batching, 2 threads", {"BATCH": "1"})
_TWO = Configuration("no batching, 2 replicas of 1 thread", {"BATCH": "1", "REPLICAS": "2", "MODEL_THREADS": "1"})
_BATCH = Configuration("batches of 8", {"BATCH": "8", "WAIT": "0.01"})

PEERS = (
    Server(
        "FastAPI",
        ("fastapi", "uvicorn[standard]", *RUNTIME),
        ("python", "plain.py"),
        "/predict",
        _text,
        lambda answer: float(answer["positive"]),
        (
            Configuration("thread pool, 2 threads a call"),
            Configuration("thread pool, 1 thread a call", {"MODEL_THREADS": "1"}),
        ),
        health="/docs",
    ),
    Server(
        "LitServe",
        ("litserve", *RUNTIME),
        ("python", "lit.py"),
        "/predict",
        _text,
        lambda answer: float(answer["positive"]),
        (_SINGLE, _TWO, _BATCH),
        health="/health",
    ),
    Server(
        "BentoML",
        ("bentoml", *RUNTIME),
        ("python", "-m", "bentoml", "serve", "bento:Sentiment", "--port", "{port}", "--host", "127.0.0.1"),
        "/predict",
        _text,
        lambda answer: float(answer["positive"]),
        (_SINGLE, _TWO),
        health="/readyz",
    ),
    Server(
        "BentoML batching",
        ("bentoml", *RUNTIME),
        ("python", "-m", "bentoml", "serve", "bento:Sentiment", "--port", "{port}", "--host", "127.0.0.1"),
        "/predict",
        _texts,
        lambda answer: float(answer[0]),
        (Configuration("adaptive batches of up to 16", {"BATCH": "16"}),),
        health="/readyz",
    ),
    Server(
        "MLServer",
        ("mlserver", *RUNTIME[:2]),
        ("python", "-c", "from mlserver.cli import main; main()", "start", "{work}"),
        "/v2/models/sentiment/infer",
        _v2,
        lambda answer: float(answer["outputs"][0]["data"][0]),
        (
            Configuration("no batching, no worker", {"MLSERVER_PARALLEL_WORKERS": "0"}),
            Configuration(
                "no batching, 2 workers of 1 thread", {"MLSERVER_PARALLEL_WORKERS": "2", "MODEL_THREADS": "1"}
            ),
            Configuration("batches of 8", {"MLSERVER_PARALLEL_WORKERS": "0", "MLSERVER_BATCH": "8"}),
        ),
        health="/v2/health/ready",
    ),
    Server(
        "Ray Serve",
        ("ray[serve]", *RUNTIME),
        ("python", "ray_start.py"),
        "/",
        _text,
        lambda answer: float(answer["positive"]),
        (_SINGLE, _TWO, _BATCH),
        health="/-/healthz",
    ),
)

MATINEE = Server(
    "matinee",
    (),
    ("python", "-m", "matinee", "serve"),
    "/predict",
    _text,
    lambda answer: float(answer["predictions"][0]["scores"]["positive"]),
    (),
    health="/readyz",
)
