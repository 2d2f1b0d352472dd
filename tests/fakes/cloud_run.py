"""A Cloud Run of one's own: the Knative v1 control plane that gcloud speaks to, and the front door users call.

It really starts what it is told to (through a `Launcher`: containers in the rehearsal, small servers in unit tests),
waits for the startup probe, splits traffic, and keeps a request log. It shows our documents, order and gates to be
right; it cannot show Google's validation, IAM, quotas or timing.
"""

import copy
import re
import socket
import threading
import time
import urllib.request
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

Document = dict[str, Any]
_NOT_STARTED = (
    "The user-provided container failed to start and listen on the port defined provided by the PORT={port} environment"
    " variable within the allocated timeout."
)


class Refused(Exception):
    """What the control plane answers instead of a document."""

    def __init__(self, code: int, status: str, message: str) -> None:
        super().__init__(message)
        self.body = {"error": {"code": code, "status": status, "message": message}}
        self.code = code


class Running(Protocol):
    """One started instance."""

    def alive(self) -> bool:
        """Whether it still runs."""

    def stop(self) -> None:
        """End it, as Cloud Run does."""


class Launcher(Protocol):
    """Starts the container of a revision so that it listens on 127.0.0.1:port."""

    def start(self, revision: str, container: Document, port: int) -> Running:
        """Start it; it need not be ready on return."""


@dataclass
class Revision:
    """A template that was started."""

    name: str
    template: Document
    port: int
    instance: Running
    ready: bool = False
    message: str = ""

    def document(self) -> Document:
        """As `gcloud run revisions describe` gives it."""
        state = "True" if self.ready else "False"
        reason = {} if self.ready else {"reason": "HealthCheckContainerError", "message": self.message}
        conditions = [{"type": kind, "status": state, **reason} for kind in ("Ready", "ContainerHealthy")]
        metadata = {**copy.deepcopy(self.template.get("metadata", {})), "name": self.name, "generation": 1}
        return {
            "apiVersion": "serving.knative.dev/v1",
            "kind": "Revision",
            "metadata": metadata,
            "spec": copy.deepcopy(self.template["spec"]),
            "status": {"conditions": conditions},
        }


@dataclass
class Service:
    """What was asked for, what is, and who gets which share."""

    document: Document
    traffic: list[Document] = field(default_factory=list)
    generation: int = 0
    created: str = ""
    ready: str = ""
    failure: str = ""
    drawn: Counter[str] = field(default_factory=Counter)


class CloudRun:
    """The state behind both doors; `serve()` in `cloud_run_doors` opens them. `calls` records what was asked."""

    def __init__(self, launcher: Launcher, *, startup_step: float = 0.05) -> None:
        self._launcher = launcher
        self._startup_step = startup_step
        self.lock = threading.RLock()  # one change at a time; starting a revision takes long
        self.front_lock = threading.Lock()  # and must not hold up those who only ask
        self.services: dict[str, Service] = {}
        self.revisions: dict[str, Revision] = {}
        self.requests: list[Document] = []
        self.calls: list[tuple[str, str, Document]] = []
        self.front_port = 0

    def close(self) -> None:
        """Stop every instance."""
        for revision in self.revisions.values():
            revision.instance.stop()

    def get(self, name: str) -> Document:
        """The service with its status."""
        if name not in self.services:
            raise Refused(404, "NOT_FOUND", f"Resource '{name}' was not found")
        service = self.services[name]
        metadata = service.document["metadata"]
        metadata |= {"generation": service.generation, "uid": f"uid-{name}", "resourceVersion": str(service.generation)}
        metadata.setdefault("creationTimestamp", datetime.now(UTC).isoformat())
        condition = {"status": "False", "message": service.failure, "reason": "HealthCheckContainerError"}
        good: Document = {"status": "True"}
        conditions = [
            {"type": kind, **(condition if service.failure else good)}
            for kind in ("Ready", "ConfigurationsReady", "RoutesReady")
        ]
        status = {
            "observedGeneration": service.generation,
            "conditions": conditions,
            "latestCreatedRevisionName": service.created,
            "latestReadyRevisionName": service.ready,
            "traffic": service.traffic,
            "url": f"http://{name}.localhost:{self.front_port}",
            "address": {"url": f"http://{name}.localhost:{self.front_port}"},
        }
        return copy.deepcopy({**service.document, "status": status})

    def put(self, document: Document, *, create: bool = False) -> Document:
        """Create or replace a service: start what is new, and move traffic only when that is ready."""
        name = document["metadata"]["name"]
        if create == (name in self.services):
            raise Refused(409 if create else 404, "ALREADY_EXISTS" if create else "NOT_FOUND", f"service {name}")
        _check(document)
        service = self.services.get(name) or Service(document)
        service.generation += 1
        revision = self._revision(name, service, document["spec"]["template"])
        self.services[name] = service
        service.document = copy.deepcopy(document)
        service.created = revision.name
        service.failure = "" if revision.ready else f"Revision '{revision.name}' is not ready. {revision.message}"
        if revision.ready:
            service.ready = revision.name
            service.traffic = self._traffic(name, document["spec"].get("traffic", []), revision.name)
            service.drawn.clear()
            self._stop_idle(service)
        return self.get(name)

    def delete(self, name: str) -> None:
        """Remove the service and what it started."""
        self.get(name)
        del self.services[name]
        for revision in [each for each in self.revisions if each.startswith(f"{name}-")]:
            self.revisions.pop(revision).instance.stop()

    def route(self, host: str) -> Revision | None:
        """The revision for a Host header: by tag, or drawn so that every hundred requests split exactly."""
        tag, _, name = host.partition(":")[0].removesuffix(".localhost").rpartition("---")
        service = self.services.get(name)
        if service is None:
            return None
        if tag:
            tagged = (line["revisionName"] for line in service.traffic if line.get("tag") == tag)
            return self.revisions.get(next(tagged, ""))
        shares = {line["revisionName"]: line["percent"] for line in service.traffic if line.get("percent")}
        total = sum(service.drawn.values()) + 1
        chosen = max(shares, key=lambda each: shares[each] * total / 100 - service.drawn[each])
        service.drawn[chosen] += 1
        return self._awake(self.revisions[chosen])

    def record(self, revision: str, status: int, seconds: float) -> None:
        """One line of the request log."""
        request = {"status": status, "latency": f"{seconds:.6f}s"}
        labels = {"service_name": revision.rsplit("-", 2)[0], "revision_name": revision}
        resource = {"type": "cloud_run_revision", "labels": labels}
        stamp = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self.requests.append({"httpRequest": request, "resource": resource, "timestamp": stamp, "logName": "run"})

    def _revision(self, name: str, service: Service, template: Document) -> Revision:
        given = template.get("metadata", {}).get("name") or f"{name}-{service.generation:05d}-new"
        if not given.startswith(f"{name}-"):
            raise Refused(400, "INVALID_ARGUMENT", f"revision name {given} must begin with the service's")
        known = self.revisions.get(given)
        if known is not None:
            if known.template["spec"] != template["spec"]:
                raise Refused(409, "ALREADY_EXISTS", f"Revision named '{given}' with different configuration exists")
            return known
        container = template["spec"]["containers"][0]
        port = _free_port()
        revision = Revision(given, copy.deepcopy(template), port, self._launcher.start(given, container, port))
        self.revisions[given] = revision
        revision.ready = self._starts(revision, container)
        if not revision.ready:
            revision.message = _NOT_STARTED.format(port=container["ports"][0]["containerPort"])
            revision.instance.stop()
        return revision

    def _starts(self, revision: Revision, container: Document) -> bool:
        probe = container.get("startupProbe", {})
        path = probe.get("httpGet", {}).get("path", "/")
        until = time.monotonic() + probe.get("failureThreshold", 60) * probe.get("periodSeconds", 0.2)
        while time.monotonic() < until and revision.instance.alive():
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{revision.port}{path}", timeout=1):
                    return True
            except OSError:
                time.sleep(self._startup_step)
        return False

    def _traffic(self, name: str, table: list[Document], newest: str) -> list[Document]:
        lines = []
        for line in table or [{"latestRevision": True, "percent": 100}]:
            revision = newest if line.get("latestRevision") else line["revisionName"]
            if revision not in self.revisions or not self.revisions[revision].ready:
                raise Refused(400, "INVALID_ARGUMENT", f"Revision {revision} in traffic is not ready")
            shown: Document = {"revisionName": revision, "percent": line.get("percent", 0)}
            if line.get("tag"):
                url = f"http://{line['tag']}---{name}.localhost:{self.front_port}"
                shown |= {"tag": line["tag"], "url": url}
            lines.append(shown)
        return lines

    def _stop_idle(self, service: Service) -> None:
        wanted = {line["revisionName"] for line in service.traffic}
        for revision in self.revisions.values():
            if revision.ready and revision.name not in wanted and revision.name.startswith(_prefix(service)):
                revision.instance.stop()

    def _awake(self, revision: Revision) -> Revision:
        """Scaled to zero, and asked again."""
        if not revision.instance.alive():
            container = revision.template["spec"]["containers"][0]
            revision.port = _free_port()
            revision.instance = self._launcher.start(revision.name, container, revision.port)
            self._starts(revision, container)
        return revision


def _prefix(service: Service) -> str:
    return str(service.document["metadata"]["name"]) + "-"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _check(document: Document) -> None:
    """The values that the real control plane checks and gcloud does not."""
    container = document["spec"]["template"]["spec"]["containers"][0]
    limits = container.get("resources", {}).get("limits", {})
    percents = [line.get("percent", 0) for line in document["spec"].get("traffic", [])]
    checks = {
        "cpu": re.fullmatch(r"\d+(\.\d+)?|\d+m", str(limits.get("cpu", "1"))),
        "memory": re.fullmatch(r"\d+(Mi|Gi)", str(limits.get("memory", "512Mi"))),
        "traffic must sum to 100": not percents or sum(percents) == 100,
        "environment values must be strings": all(isinstance(e.get("value", ""), str) for e in container["env"]),
        "PORT is reserved": all(e["name"] != "PORT" for e in container["env"]),
    }
    for what, fine in checks.items():
        if not fine:
            raise Refused(400, "INVALID_ARGUMENT", f"spec: {what}")
