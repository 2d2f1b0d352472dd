"""GraphQL objects of the fake W&B server: what the schema's types say about the remembered state."""

import base64
import json
from collections.abc import Callable
from typing import Any

from tests.fakes.wandb_server.state import Collection, LoggedRun, State, StoredArtifact

Fields = dict[str, Any]
REGISTRY_ENTITY = "studio-registry"
_WHEN = "2026-01-01T00:00:00Z"
_NO_MORE = {"hasNextPage": False, "endCursor": None}


class Objects:
    """Builds the answers; fields that lead on to other objects are functions, called when they are asked for."""

    def __init__(self, state: State, url: str) -> None:
        self._state = state
        self._url = url

    def entity(self, name: str) -> Fields:
        """A team; all teams belong to one organization, whose registry is kept under an entity of its own."""
        organization = {
            "name": "studio",
            "orgEntity": {"id": REGISTRY_ENTITY, "name": REGISTRY_ENTITY},
            "coreWeaveOrganizationId": None,
        }
        return {"id": name, "name": name, "organization": organization, "user": None, "xxhashDigestsEnabled": False}

    def project(self, entity: str, name: str) -> Fields:
        def collection(name_: str) -> Collection | None:
            return self._state.collections.get((entity, name, name_))

        def member(name_: str) -> Fields | None:
            collection_name, _, alias = name_.partition(":")
            found = collection(collection_name)
            return self.membership(found, alias or "latest") if found else None

        def run_named(name_: str) -> Fields | None:
            found = self._state.runs.get((entity, name, name_))
            return self.run(found) if found else None

        def typed(_kind: str) -> Fields:
            return {"id": "type", "name": _kind, "artifactCollection": by_name(self._collection_or_none, collection)}

        def by_name(answer: Callable[[Any], Any], find: Callable[[str], Any]) -> Callable[..., Any]:
            return lambda _info, name: answer(find(name))

        def same(value: Any) -> Any:
            return value

        return {
            "id": f"{entity}/{name}",
            "internalId": "1",
            "name": name,
            "entity": self.entity(entity),
            "run": by_name(same, run_named),
            "bucket": lambda _info, name, missingOk=False: run_named(name),  # noqa: ARG005, N803
            "artifact": by_name(lambda found: found and found["artifact"], member),
            "artifactType": by_name(same, typed),
            "artifactCollection": by_name(self._collection_or_none, collection),
            "artifactCollectionMembership": by_name(same, member),
        }

    def _collection_or_none(self, collection: Collection | None) -> Fields | None:
        return self._collection(collection) if collection else None

    def _collection(self, collection: Collection) -> Fields:
        latest = collection.find("latest")
        return {
            "__typename": "ArtifactPortfolio" if collection.portfolio else "ArtifactSequence",
            "id": f"{collection.entity}/{collection.project}/{collection.name}",
            "name": collection.name,
            "project": lambda _info: self.project(collection.entity, collection.project),
            "digestAlgorithm": "MANIFEST_MD5",
            "latestArtifact": lambda _info: self.artifact(latest[1]) if latest else None,
            "aliases": lambda _info, **_page: edges([self._alias(collection, alias) for alias in collection.aliases]),
            "artifactMembership": lambda _info, aliasName: self.membership(collection, aliasName),  # noqa: N803
        }

    def _alias(self, collection: Collection, alias: str) -> Fields:
        return {
            "id": f"{collection.name}:{alias}",
            "alias": alias,
            "artifactCollection": lambda _info: self._collection(collection),
        }

    def membership(self, collection: Collection, alias: str) -> Fields | None:
        found = collection.find(alias)
        if found is None:
            return None
        index, artifact = found
        aliases = [name for name, position in collection.aliases.items() if position == index]
        return {
            "id": f"{collection.name}:{index}",
            "versionIndex": index,
            "createdAt": _WHEN,
            "aliases": [self._alias(collection, name) for name in aliases],
            "artifactCollection": self._collection(collection),
            "artifact": self.artifact(artifact),
            "files": lambda _info, **_page: edges(self._files(artifact)),
        }

    def artifact(self, artifact: StoredArtifact) -> Fields:
        collection = artifact.collection
        aliases = [name for name, position in collection.aliases.items() if position == artifact.version]
        return {
            "id": artifact.id,
            "artifactSequence": lambda _info: self._collection(collection),
            "versionIndex": max(artifact.version, 0),
            "artifactType": {"id": "type", "name": collection.type},
            "description": artifact.description,
            "metadata": artifact.metadata,
            "ttlDurationSeconds": -2,
            "ttlIsInherited": True,
            "tags": [],
            "historyStep": None,
            "state": artifact.state,
            "size": artifact.size,
            "digest": artifact.digest,
            "digestAlgorithm": "MANIFEST_MD5",
            "commitHash": "",
            "fileCount": len(artifact.manifest.get("contents", {})),
            "createdAt": _WHEN,
            "updatedAt": _WHEN,
            "aliases": [self._alias(collection, name) for name in aliases],
            "currentManifest": {
                "id": artifact.id,
                "digest": artifact.digest,
                "file": {"id": artifact.id, "directUrl": f"{self._url}/manifest/{artifact.id}"},
            },
            "filesByManifestEntries": lambda _info, **_wanted: edges(self._files(artifact)),
        }

    def _files(self, artifact: StoredArtifact) -> list[Fields]:
        return [
            {
                "id": f"{artifact.id}/{name}",
                "name": name,
                "displayName": name,
                "directUrl": f"{self._url}/blob/{_word(entry['digest'])}",
                "url": f"{self._url}/blob/{_word(entry['digest'])}",
                "sizeBytes": entry.get("size", 0),
                "digest": entry["digest"],
                "md5": entry["digest"],
            }
            for name, entry in artifact.manifest.get("contents", {}).items()
            if "ref" not in entry
        ]

    def uploadable_manifest(self, artifact_id: str) -> Fields:
        target = f"{self._url}/upload/manifest/{artifact_id}"
        return {"id": artifact_id, "file": {"id": artifact_id, "uploadUrl": target, "uploadHeaders": []}}

    def uploadable(self, wanted: Fields) -> Fields:
        known = f"cas/{wanted['md5']}" in self._state.blobs
        return {
            "id": wanted["md5"],
            "storagePath": f"cas/{wanted['md5']}",
            "uploadUrl": None if known else f"{self._url}/upload/blob/{_word(wanted['md5'])}",
            "uploadHeaders": [],
            "uploadMultipartUrls": None,
            "artifact": {"id": wanted["artifactID"]},
        }

    def run(self, run: LoggedRun) -> Fields:
        return {
            "id": run.id,
            "name": run.name,
            "displayName": run.display_name,
            "config": json.dumps(run.config),
            "wandbConfig": "{}",
            "summaryMetrics": json.dumps(run.summary),
            "tags": run.tags,
            "state": run.state,
            "project": lambda _info: self.project(run.entity, run.project),
            "logLineCount": len(run.output),
            "historyLineCount": len(run.history),
            "eventsLineCount": 0,
            "historyTail": "[]",
            "eventsTail": "[]",
        }


def edges(nodes: list[Fields]) -> Fields:
    """A connection with one page."""
    return {"pageInfo": _NO_MORE, "totalCount": len(nodes), "edges": [{"node": node} for node in nodes]}


def _word(digest: str) -> str:
    """A base64 digest as one word of a URL."""
    return base64.urlsafe_b64encode(digest.encode()).decode()


def digest_of(word: str) -> str:
    """The digest behind a word that `_word` made."""
    return base64.urlsafe_b64decode(word).decode()
