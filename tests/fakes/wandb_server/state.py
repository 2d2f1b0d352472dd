"""What the fake W&B server remembers: projects with their collections, artifacts and runs, and stored files."""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class StoredArtifact:
    """One version in a collection; `manifest` is the JSON document as the client wrote or will read it."""

    id: str
    collection: "Collection"
    digest: str
    version: int = -1
    state: str = "PENDING"
    description: str = ""
    metadata: str = "{}"
    manifest: dict[str, Any] = field(default_factory=dict)
    size_claimed: int | None = None

    @property
    def size(self) -> int:
        if self.size_claimed is not None:
            return self.size_claimed
        return sum(int(entry.get("size", 0)) for entry in self.manifest.get("contents", {}).values())


@dataclass(slots=True)
class Collection:
    """A named sequence of versions, or (a portfolio, as in a registry) a list of links to versions elsewhere."""

    entity: str
    project: str
    name: str
    type: str = "model"
    portfolio: bool = False
    versions: list[StoredArtifact] = field(default_factory=list)
    aliases: dict[str, int] = field(default_factory=dict)

    def find(self, alias: str) -> tuple[int, StoredArtifact] | None:
        """The position and artifact that an alias or a version such as `v3` names."""
        index = self.aliases.get(alias)
        if index is None and alias[:1] == "v" and alias[1:].isdigit():
            index = int(alias[1:])
        if index is None or index >= len(self.versions):
            return None
        return index, self.versions[index]


@dataclass(slots=True)
class LoggedRun:
    """A run as the client reported it; `history` holds one dictionary for each logged row."""

    id: str
    entity: str
    project: str
    name: str
    display_name: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    output: list[str] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    used: list[str] = field(default_factory=list)
    state: str = "running"
    exit_code: int | None = None


def md5_base64(content: bytes) -> str:
    """The digest that a W&B manifest states for a file."""
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()


class State:
    """Everything behind one server."""

    def __init__(self) -> None:
        self.collections: dict[tuple[str, str, str], Collection] = {}
        self.artifacts: dict[str, StoredArtifact] = {}
        self.clients: dict[str, str] = {}
        self.runs: dict[tuple[str, str, str], LoggedRun] = {}
        self.projects: set[tuple[str, str]] = set()
        self.blobs: dict[str, bytes] = {}

    def collection(self, entity: str, project: str, name: str, kind: str = "model") -> Collection:
        """The collection of that name, made when it is new."""
        self.projects.add((entity, project))
        return self.collections.setdefault((entity, project, name), Collection(entity, project, name, kind))

    def new_artifact(self, collection: Collection, digest: str) -> StoredArtifact:
        """A version that exists, and is not committed yet."""
        number = len(self.artifacts) + 1
        artifact = StoredArtifact(base64.b64encode(f"Artifact:{number}".encode()).decode(), collection, digest)
        self.artifacts[artifact.id] = artifact
        return artifact

    def commit(self, artifact: StoredArtifact, aliases: tuple[str, ...] = ()) -> None:
        """Give an artifact its place in the sequence; `latest` moves to it."""
        collection = artifact.collection
        artifact.version = len(collection.versions)
        artifact.state = "COMMITTED"
        collection.versions.append(artifact)
        for alias in ("latest", *aliases):
            collection.aliases[alias] = artifact.version

    def publish(
        self, path: str, files: Mapping[str, bytes], aliases: tuple[str, ...] = (), *, metadata: Mapping[str, Any] = {}
    ) -> StoredArtifact:
        """Store a version as if a client had logged it; `path` is `entity/project/name`."""
        entity, project, name = path.split("/")
        contents: dict[str, dict[str, Any]] = {}
        for file_name, content in files.items():
            digest = md5_base64(content)
            self.blobs[f"cas/{digest}"] = content
            contents[file_name] = {"digest": digest, "size": len(content)}
        listing = json.dumps(contents, sort_keys=True).encode()
        artifact = self.new_artifact(self.collection(entity, project, name), hashlib.md5(listing).hexdigest())  # noqa: S324
        for entry in contents.values():
            entry["birthArtifactID"] = artifact.id
        artifact.metadata = json.dumps(metadata)
        artifact.manifest = {
            "version": 1,
            "storagePolicy": "wandb-storage-policy-v1",
            "storagePolicyConfig": {"storageLayout": "V2"},
            "contents": contents,
        }
        self.commit(artifact, aliases)
        return artifact

    def link(self, artifact: StoredArtifact, path: str, aliases: tuple[str, ...] = ()) -> Collection:
        """Put a version into a registry's collection; `path` is `entity/project/name`."""
        entity, project, name = path.split("/")
        collection = self.collection(entity, project, name)
        collection.portfolio = True
        collection.versions.append(artifact)
        for alias in ("latest", *aliases):
            collection.aliases[alias] = len(collection.versions) - 1
        return collection

    def run(self, entity: str, project: str, name: str) -> LoggedRun:
        """The run of that name, made when it is new."""
        self.projects.add((entity, project))
        key = (entity, project, name)
        if key not in self.runs:
            self.runs[key] = LoggedRun(f"run-{len(self.runs) + 1}", entity, project, name)
        return self.runs[key]
