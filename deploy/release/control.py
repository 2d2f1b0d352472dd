"""The control plane of Cloud Run, through gcloud: three reads, one write of the whole service, one delete."""

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from deploy.bounded import Overdue, run
from deploy.release.document import Document, Live
from deploy.release.errors import ControlFailed

_SECONDS = 600.0
_MESSAGE = 600
_SERVICE_ACCOUNT = ".gserviceaccount.com"


@dataclass(frozen=True, slots=True)
class Seen:
    """One request of a real caller, from the platform's own request log."""

    status: int
    seconds: float


class Control(Protocol):
    """What a release asks of the platform. Every method raises `ControlFailed` with the platform's own words."""

    def live(self, service: str) -> Live:
        """The service as it is now."""

    def revision(self, name: str) -> Document:
        """One revision, ready or not."""

    def replace(self, document: Document) -> Live:
        """Make the service what the document says, wait until it is, and give it back."""

    def delete(self, service: str) -> None:
        """Remove the service."""

    def requests(self, service: str, revision: str, since: str) -> list[Seen]:
        """What callers got from this revision since the time (RFC 3339); may lag behind by some seconds."""

    def identity_token(self, audience: str) -> str:
        """A token that a private service accepts from this caller."""


Runner = Callable[[Sequence[str]], str]


def run_gcloud(arguments: Sequence[str]) -> str:
    """Run gcloud and give back what it printed; raises `ControlFailed` with the end of what it complained about."""
    try:
        done = run(["gcloud", *arguments], _SECONDS)
    except FileNotFoundError:
        raise ControlFailed("gcloud is not installed: https://cloud.google.com/sdk/docs/install") from None
    except OSError as error:
        raise ControlFailed(f"gcloud cannot be started: {error.strerror}") from None
    except Overdue:
        raise ControlFailed(f"gcloud {' '.join(arguments[:3])} did not end within {_SECONDS:g} s") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise ControlFailed(f"gcloud {' '.join(arguments[:3])}: {' '.join(lines[-6:])[-_MESSAGE:]}")
    return done.stdout


class Gcloud:
    """`Control` by the gcloud command line; who we are is gcloud's own business."""

    def __init__(self, project: str, region: str, run: Runner = run_gcloud) -> None:
        self._scope = (f"--project={project}", f"--region={region}")
        self._project = f"--project={project}"
        self._run = run

    def live(self, service: str) -> Live:
        """List and choose: asking for one that is missing would be an error like any other."""
        found = self._json("run", "services", "list", f"--filter=metadata.name={service}", *self._scope)
        documents = [document for document in found if document["metadata"]["name"] == service]
        return Live(documents[0] if documents else None)

    def revision(self, name: str) -> Document:
        """`gcloud run revisions describe`."""
        document: Document = self._json("run", "revisions", "describe", name, *self._scope)
        return document

    def replace(self, document: Document) -> Live:
        """`gcloud run services replace`: the declared state and nothing inherited. JSON is YAML."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "service.yaml")
            path.write_text(json.dumps(document), encoding="utf-8")
            return Live(self._json("run", "services", "replace", str(path), *self._scope))

    def delete(self, service: str) -> None:
        """`gcloud run services delete`."""
        self._run(["run", "services", "delete", service, *self._scope, "--quiet"])

    def requests(self, service: str, revision: str, since: str) -> list[Seen]:
        """Cloud Logging's request log of the revision."""
        query = (
            'resource.type="cloud_run_revision" AND httpRequest.status>0'
            f' AND resource.labels.service_name="{service}" AND resource.labels.revision_name="{revision}"'
            f' AND timestamp>="{since}"'
        )
        entries = self._json("logging", "read", query, "--limit=1000", self._project)
        seen = [entry["httpRequest"] for entry in entries if "httpRequest" in entry]
        return [Seen(int(each["status"]), float(str(each.get("latency", "0s")).rstrip("s"))) for each in seen]

    def identity_token(self, audience: str) -> str:
        """`gcloud auth print-identity-token`, in the way that gcloud has for this kind of account.

        A service account names the audience; a person cannot. An account reached by workload identity federation gets
        no token of its own in either way, and has to impersonate itself (the role Service Account Token Creator).
        """
        ask = ("auth", "print-identity-token")
        try:
            return self._run([*ask, f"--audiences={audience}"]).strip()
        except ControlFailed:
            account = self._run(["config", "get", "account"]).strip()
        if not account.endswith(_SERVICE_ACCOUNT):
            return self._run(ask).strip()
        return self._run([*ask, f"--audiences={audience}", f"--impersonate-service-account={account}"]).strip()

    def _json(self, *arguments: str) -> Any:
        output = self._run([*arguments, "--format=json", "--quiet"])
        try:
            return json.loads(output)
        except ValueError:
            raise ControlFailed(f"gcloud {' '.join(arguments[:3])} did not answer with JSON") from None
