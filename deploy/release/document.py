"""The Cloud Run service as a document (Knative v1): built whole from the declared configuration, never patched.

Our own notes live in the service's annotations, so that any machine can take over: which revision is `stable`, which
one it replaced (`previous`), which model revisions were `refused`, and the `history` of releases.
"""

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from deploy.release.config import Config
from deploy.release.errors import ControlFailed

CANDIDATE_TAG = "candidate"
STABLE_TAG = "stable"
PORT = 8080
_NOTES = "matinee/notes"
_KEPT = 10

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Share:
    """One line of the traffic table: percent of the callers, and a tag with an address of its own."""

    revision: str
    percent: int
    tag: str = ""


@dataclass(frozen=True, slots=True)
class Notes:
    """What the release tool remembers about the service. `model` is the pinned reference, `follows` the alias."""

    stable: str = ""
    previous: str = ""
    model: str = ""
    follows: str = ""
    refused: Sequence[str] = ()
    history: Sequence[Mapping[str, str]] = field(default_factory=list)

    def to_annotations(self) -> dict[str, str]:
        """Annotations are small, so only the newest entries are kept."""
        kept = {**asdict(self), "refused": list(self.refused)[-_KEPT:], "history": list(self.history)[-_KEPT:]}
        return {_NOTES: json.dumps(kept, sort_keys=True)}


@dataclass(frozen=True, slots=True)
class Live:
    """The service as the control plane shows it; `document` is None when there is no such service."""

    document: Document | None

    @property
    def notes(self) -> Notes:
        """Our annotations; a service that somebody else made has empty ones."""
        text = self._metadata().get("annotations", {}).get(_NOTES, "{}")
        try:
            return Notes(**json.loads(text))
        except (ValueError, TypeError):
            raise ControlFailed(f"the annotation {_NOTES} of the service is not ours: remove it by hand") from None

    @property
    def traffic(self) -> list[Share]:
        """What callers get at this moment."""
        entries = self._status().get("traffic", [])
        return [Share(e.get("revisionName", ""), int(e.get("percent") or 0), e.get("tag", "")) for e in entries]

    @property
    def stable(self) -> str:
        """The revision that callers are meant to get: the noted one while it has traffic, else the largest share."""
        shares: dict[str, int] = {}
        for share in self.traffic:
            shares[share.revision] = shares.get(share.revision, 0) + share.percent
        noted = self.notes.stable
        if shares.get(noted):
            return noted
        return max((revision for revision in shares if shares[revision]), key=lambda name: shares[name], default="")

    @property
    def settled(self) -> bool:
        """One revision has everything and no candidate is left behind."""
        return [share.percent for share in self.traffic] == [100] and not any(share.tag for share in self.traffic)

    @property
    def url(self) -> str:
        """The address of the service."""
        return str(self._status().get("url", ""))

    def tag_url(self, tag: str) -> str:
        """The address of the tagged revision; raises `ControlFailed` when there is none."""
        for entry in self._status().get("traffic", []):
            if entry.get("tag") == tag and entry.get("url"):
                return str(entry["url"])
        raise ControlFailed(f"the service has no address for the tag {tag}")

    @property
    def template(self) -> Document:
        """The newest revision's template, as the control plane gives it."""
        template: Document = (self.document or {}).get("spec", {}).get("template", {})
        return template

    def _metadata(self) -> Document:
        metadata: Document = (self.document or {}).get("metadata", {})
        return metadata

    def _status(self) -> Document:
        status: Document = (self.document or {}).get("status", {})
        return status


def image_of(template: Document) -> str:
    """The image of a revision's or a template's only container."""
    return str(template["spec"]["containers"][0]["image"])


def revision_name(config: Config, image: str, model: str) -> str:
    """A new name each time: Cloud Run never forgets a name, so that a second try needs another."""
    content = hashlib.sha256(f"{image} {model}".encode()).hexdigest()[:6]
    return f"{config.service.name}-{content}-{secrets.token_hex(3)}"


def template(config: Config, image: str, model: str, name: str) -> Document:
    """The revision to be: every setting is stated, so that nothing is inherited from an earlier, failed one."""
    shape = config.service
    environment: list[Document] = [{"name": "MODEL", "value": model}]
    environment += [{"name": name_, "value": value} for name_, value in sorted(config.environment.items())]
    for variable, secret in sorted(config.secrets.items()):
        key, _, version = secret.partition(":")
        environment.append({"name": variable, "valueFrom": {"secretKeyRef": {"name": key, "key": version}}})
    container: Document = {
        "image": image,
        "ports": [{"name": "http1", "containerPort": PORT}],
        "env": environment,
        "resources": {"limits": {"cpu": shape.cpu, "memory": shape.memory}},
        "startupProbe": {
            "httpGet": {"path": "/startupz", "port": PORT},
            "periodSeconds": 1,
            "timeoutSeconds": 1,
            "failureThreshold": shape.startup_seconds,
        },
        "livenessProbe": {
            "httpGet": {"path": "/livez", "port": PORT},
            "periodSeconds": 10,
            "timeoutSeconds": 3,
            "failureThreshold": 3,
        },
    }
    spec: Document = {
        "containerConcurrency": shape.concurrency,
        "timeoutSeconds": shape.request_timeout_seconds,
        "containers": [container],
    }
    if shape.service_account:
        spec["serviceAccountName"] = shape.service_account
    annotations = {
        "autoscaling.knative.dev/minScale": str(shape.min_instances),
        "autoscaling.knative.dev/maxScale": str(shape.max_instances),
        "run.googleapis.com/cpu-throttling": str(not shape.cpu_always).lower(),
        "run.googleapis.com/startup-cpu-boost": str(shape.startup_cpu_boost).lower(),
        "run.googleapis.com/execution-environment": "gen2",
    }
    return {"metadata": {"name": name, "annotations": annotations}, "spec": spec}


def service(config: Config, template: Document, traffic: Sequence[Share], notes: Notes) -> Document:
    """The whole service. An empty traffic table means the first release: the new revision gets everything."""
    table: list[Document] = []
    for share in traffic:
        line: Document = {"revisionName": share.revision, "percent": share.percent}
        table.append({**line, "tag": share.tag} if share.tag else line)
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {
            "name": config.service.name,
            "labels": {"cloud.googleapis.com/location": config.region},
            "annotations": {"run.googleapis.com/ingress": config.service.ingress, **notes.to_annotations()},
        },
        "spec": {"template": template, "traffic": table or [{"latestRevision": True, "percent": 100}]},
    }
