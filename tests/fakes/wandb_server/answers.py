"""The root of the fake W&B server's schema: its queries and mutations."""

import json
from collections.abc import Callable
from typing import Any

from tests.fakes.wandb_server.objects import Fields, Objects, edges
from tests.fakes.wandb_server.state import State


def _resolver(function: Callable[..., Any]) -> Callable[..., Any]:
    """Drop the resolver's info argument: nothing here depends on how a field was asked for."""
    return lambda _info, **arguments: function(**arguments)


class Answers:
    """The root of both queries and mutations; `url` is the server's own address."""

    def __init__(self, state: State, url: str, entity: str, features: tuple[str, ...] = ()) -> None:
        self._state = state
        self._url = url
        self._objects = Objects(state, url)
        self._entity = entity
        self._features = features
        self._pending_aliases: dict[str, tuple[str, ...]] = {}
        names = [name for name in vars(type(self)) if not name.startswith("_")]
        self.root = {name: _resolver(getattr(self, name)) for name in names}

    # --- queries

    def viewer(self) -> Fields:
        return {
            "id": "viewer-1",
            "name": "Tester",
            "username": "tester",
            "email": "tester@example.com",
            "admin": False,
            "flags": "{}",
            "entity": self._entity,
            "deletedAt": None,
            "apiKeys": {"edges": []},
            "teams": edges([{"id": self._entity, "name": self._entity}]),
        }

    def serverInfo(self) -> Fields:  # noqa: N802 - named as in the schema
        return {
            "features": [{"name": name, "isEnabled": True} for name in self._features],
            "cliVersionInfo": {"max_cli_version": "9.9.9"},
            "latestLocalVersionInfo": None,
        }

    def entity(self, name: str) -> Fields:
        return self._objects.entity(name)

    def organization(self, name: str) -> Fields:
        return {"name": name, "orgEntity": None, "featureFlags": []}

    def project(self, name: str | None = None, entityName: str | None = None) -> Fields | None:  # noqa: N803
        entity, name = entityName or self._entity, name or "uncategorized"
        return self._objects.project(entity, name) if (entity, name) in self._state.projects else None

    model = project

    def artifact(self, id: str) -> Fields | None:  # noqa: A002
        found = self._state.artifacts.get(id)
        return self._objects.artifact(found) if found else None

    def clientIDMapping(self, clientID: str) -> Fields | None:  # noqa: N802, N803
        found = self._state.clients.get(clientID)
        return {"serverID": found} if found else None

    # --- mutations: runs

    def upsertModel(self, input: Fields) -> Fields:  # noqa: A002, N802
        entity, name = input.get("entityName") or self._entity, input["name"]
        self._state.projects.add((entity, name))
        return {"project": self._objects.project(entity, name), "model": self._objects.project(entity, name)}

    def upsertBucket(self, input: Fields) -> Fields:  # noqa: A002, N802
        entity = input.get("entityName") or self._entity
        project = input.get("modelName") or "uncategorized"
        known = (entity, project, input["name"]) in self._state.runs
        run = self._state.run(entity, project, input["name"])
        run.display_name = input.get("displayName") or run.display_name or run.name
        run.config = json.loads(input.get("config") or "{}") or run.config
        run.tags = input.get("tags") or run.tags
        run.state = input.get("state") or run.state
        run.summary.update(json.loads(input.get("summaryMetrics") or "{}"))
        return {"bucket": self._objects.run(run), "inserted": not known}

    def createRunFiles(self, input: Fields) -> Fields:  # noqa: A002, N802
        key = (input["entityName"], input["projectName"], input["runName"])
        run = self._state.runs[key]
        target = f"{self._url}/upload/run/{'/'.join(key)}"
        files = [{"id": name, "name": name, "uploadUrl": f"{target}/{name}"} for name in input["files"]]
        return {"runID": run.id, "uploadHeaders": [], "files": files}

    def markRunFilesUploaded(self, input: Fields) -> Fields:  # noqa: A002, N802
        return {"success": True}

    # --- mutations: artifacts

    def createArtifact(self, input: Fields) -> Fields:  # noqa: A002, N802
        entity, project = input["entityName"], input["projectName"]
        name = input["artifactCollectionNames"][0] if input.get("artifactCollectionNames") else None
        if name is None:
            name = input["artifactCollectionName"]
        collection = self._state.collection(entity, project, name, input["artifactTypeName"])
        latest = collection.find("latest")
        if latest and latest[1].digest == input["digest"]:
            artifact = latest[1]
        else:
            artifact = self._state.new_artifact(collection, input["digest"])
            artifact.metadata = input.get("metadata") or "{}"
            artifact.description = input.get("description") or ""
        self._pending_aliases[artifact.id] = tuple(alias["alias"] for alias in input.get("aliases") or [])
        if client := input.get("clientID"):
            self._state.clients[client] = artifact.id
        return {"artifact": self._objects.artifact(artifact)}

    def createArtifactManifest(self, input: Fields) -> Fields:  # noqa: A002, N802
        return {"artifactManifest": self._objects.uploadable_manifest(input["artifactID"])}

    def updateArtifactManifest(self, input: Fields) -> Fields:  # noqa: A002, N802
        return {"artifactManifest": self._objects.uploadable_manifest(input["artifactManifestID"])}

    def createArtifactFiles(self, input: Fields) -> Fields:  # noqa: A002, N802
        return {"files": edges([self._objects.uploadable(wanted) for wanted in input["artifactFiles"]])}

    def commitArtifact(self, input: Fields) -> Fields:  # noqa: A002, N802
        artifact = self._state.artifacts[input["artifactID"]]
        aliases = self._pending_aliases.pop(artifact.id, ())
        if artifact.state != "COMMITTED":
            artifact.manifest = json.loads(self._state.blobs[f"manifest/{artifact.id}"])
            self._state.commit(artifact, aliases)
        return {"artifact": self._objects.artifact(artifact)}

    def useArtifact(self, input: Fields) -> Fields:  # noqa: A002, N802
        run = self._state.run(input["entityName"], input["projectName"], input["runName"])
        run.used.append(input["artifactID"])
        return {"artifact": self.artifact(input["artifactID"])}

    def updateArtifact(self, input: Fields) -> Fields:  # noqa: A002, N802
        artifact = self._state.artifacts[input["artifactID"]]
        artifact.metadata = input.get("metadata") or artifact.metadata
        artifact.description = input.get("description") or artifact.description
        return {"artifact": self._objects.artifact(artifact)}

    def addAliases(self, input: Fields) -> Fields:  # noqa: A002, N802
        artifact = self._state.artifacts[input["artifactID"]]
        for alias in input["aliases"]:
            owner = (alias["entityName"], alias["projectName"], alias["artifactCollectionName"])
            collection = self._state.collections[owner]
            collection.aliases[alias["alias"]] = collection.versions.index(artifact)
        return {"success": True}

    def linkArtifact(self, input: Fields) -> Fields:  # noqa: A002, N802
        identity = input.get("artifactID") or self._state.clients[input["clientID"]]
        path = f"{input['entityName']}/{input['projectName']}/{input['artifactPortfolioName']}"
        aliases = tuple(alias["alias"] for alias in input.get("aliases") or [])
        collection = self._state.link(self._state.artifacts[identity], path, aliases)
        index = len(collection.versions) - 1
        return {"versionIndex": index, "artifactMembership": self._objects.membership(collection, f"v{index}")}
