"""One stand for each kind of source: a place to publish models, which can be damaged and taken away."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import boto3
import pytest
from moto.server import ThreadedMotoServer
from tests.fakes.file_server import FileServer, HubServer
from tests.fakes.wandb_server import WandbServer

Files = Mapping[str, bytes]
_NOBODY = "http://127.0.0.1:9"


class Stand(Protocol):
    """What the contract suite needs of a registry; references mean `label`'s newest content."""

    def publish(self, label: str, files: Files) -> str:
        """Store files under a label, and return the reference that means them."""

    def damage(self, label: str, files: Files) -> None:
        """Make the next transfers deliver other bytes than `files`, which `resolve` has seen."""

    def unknown(self) -> str:
        """A reference to nothing."""

    def environment(self) -> dict[str, str]:
        """Variables for the client."""

    def transfers(self) -> int:
        """How many file contents were asked for so far."""


class FolderStand:
    """Folders of this machine."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def publish(self, label: str, files: Files) -> str:
        for name, content in files.items():
            path = self._root / label / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return str(self._root / label)

    def damage(self, label: str, files: Files) -> None:
        name, content = next(iter(files.items()))
        (self._root / label / name).write_bytes(content + b"changed")

    def unknown(self) -> str:
        return str(self._root / "nothing")

    def environment(self) -> dict[str, str]:
        return {}

    def transfers(self) -> int:
        return 0


class WandbStand:
    """The fake W&B server."""

    def __init__(self, server: WandbServer) -> None:
        self.server = server

    def publish(self, label: str, files: Files) -> str:
        self.server.state.publish(f"team/films/{label}", files, aliases=("production",))
        return f"wandb:team/films/{label}:production"

    def damage(self, label: str, files: Files) -> None:
        self.server.fail("files", "wrong", times=len(files))

    def unknown(self) -> str:
        return "wandb:team/films/nothing:latest"

    def environment(self) -> dict[str, str]:
        return self.server.environment()

    def transfers(self) -> int:
        return self.server.requests.count("GET blob")


class BucketStand:
    """A bucket of moto's S3 server."""

    def __init__(self, server: ThreadedMotoServer) -> None:
        host, port = server.get_host_and_port()
        self._url = f"http://{host}:{port}"
        self._store = boto3.client("s3", endpoint_url=self._url, region_name="us-east-1", **_KEYS)
        self._store.create_bucket(Bucket="models")

    def publish(self, label: str, files: Files) -> str:
        for name, content in files.items():
            self._store.put_object(Bucket="models", Key=f"{label}/{name}", Body=content)
        return f"s3://models/{label}"

    def damage(self, label: str, files: Files) -> None:
        name, content = next(iter(files.items()))
        self._store.put_object(Bucket="models", Key=f"{label}/{name}", Body=content[::-1])

    def unknown(self) -> str:
        return "s3://models/nothing"

    def environment(self) -> dict[str, str]:
        return {"AWS_ENDPOINT_URL": self._url, "AWS_DEFAULT_REGION": "us-east-1", **_ENVIRONMENT}

    def transfers(self) -> int:
        return 0


_KEYS = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing-secret"}
_ENVIRONMENT = {name.upper(): value for name, value in _KEYS.items()}


class HubStand:
    """A hub with the layout of Hugging Face's."""

    def __init__(self, server: HubServer) -> None:
        self.server = server

    def publish(self, label: str, files: Files) -> str:
        self.server.commit(f"team/{label}", files)
        return f"hf:team/{label}"

    def damage(self, label: str, files: Files) -> None:
        name, content = next(iter(files.items()))
        self.server.sent[f"team/{label}", name] = content[::-1]

    def unknown(self) -> str:
        return "hf:team/nothing"

    def environment(self) -> dict[str, str]:
        return {"HF_ENDPOINT": self.server.url}

    def transfers(self) -> int:
        return sum(request.startswith("GET") and "/resolve/" in request for request in self.server.requests)


class WebStand:
    """A plain web server; a model is one file."""

    def __init__(self, server: FileServer) -> None:
        self.server = server

    def publish(self, label: str, files: Files) -> str:
        name, content = next(iter(files.items()))
        self.server.files[f"/{label}/{name}"] = content
        return f"{self.server.url}/{label}/{name}#sha256={hashlib.sha256(content).hexdigest()}"

    def damage(self, label: str, files: Files) -> None:
        name, content = next(iter(files.items()))
        self.server.files[f"/{label}/{name}"] = content[::-1]

    def unknown(self) -> str:
        return f"{self.server.url}/nothing#sha256={'0' * 64}"

    def environment(self) -> dict[str, str]:
        return {}

    def transfers(self) -> int:
        return len(self.server.requests)


@contextmanager
def stand(kind: str, root: Path) -> Iterator[Stand]:
    """A running stand of one kind."""
    if kind == "folder":
        yield FolderStand(root)
    elif kind == "wandb":
        with WandbServer() as wandb_server:
            yield WandbStand(wandb_server)
    elif kind == "huggingface":
        with HubServer() as hub:
            yield HubStand(hub)
    elif kind == "web":
        with FileServer() as files:
            yield WebStand(files)
    else:
        moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        moto.start()
        try:
            yield BucketStand(moto)
        finally:
            moto.stop()


@contextmanager
def pointed_at(place: Stand) -> Iterator[None]:
    """Clients started inside go to this stand."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in place.environment().items():
            patch.setenv(name, value)
        yield


@contextmanager
def pointed_at_nobody(place: Stand) -> Iterator[None]:
    """Clients started inside find nothing that listens."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in place.environment().items():
            patch.setenv(name, _NOBODY if value.startswith("http") else value)
        yield
