"""The release tool's `Control`, spoken straight to the stand-in: for machines without gcloud."""

import http.client
import json
from collections.abc import Callable

from deploy.release.control import Seen
from deploy.release.document import Document, Live
from deploy.release.errors import ControlFailed

_ROOT = "/apis/serving.knative.dev/v1/namespaces/demo"


class StandInControl:
    """Does over HTTP what gcloud would do; `before` is called with each operation's name, to break in or to fail."""

    def __init__(self, port: int, before: Callable[[str], None] = lambda _: None) -> None:
        self._port = port
        self.before = before

    def live(self, service: str) -> Live:
        """List and choose."""
        self.before("live")
        found = self._call("GET", f"{_ROOT}/services")["items"]
        return Live(next((each for each in found if each["metadata"]["name"] == service), None))

    def revision(self, name: str) -> Document:
        """One revision."""
        return self._call("GET", f"{_ROOT}/revisions/{name}")

    def replace(self, document: Document) -> Live:
        """Create or replace; not ready is a failure, as it is for gcloud."""
        self.before("replace")
        name = document["metadata"]["name"]
        known = self.live(name).document is not None
        path = f"{_ROOT}/services/{name}" if known else f"{_ROOT}/services"
        result = self._call("PUT" if known else "POST", path, document)
        failed = [each for each in result["status"]["conditions"] if each["status"] != "True"]
        if failed:
            raise ControlFailed(str(failed[0]["message"]))
        return Live(result)

    def delete(self, service: str) -> None:
        """Remove it."""
        self._call("DELETE", f"{_ROOT}/services/{service}")

    def requests(self, service: str, revision: str, since: str) -> list[Seen]:
        """The request log of one revision."""
        self.before("requests")
        assert service
        query = {"filter": f'revision_name="{revision}" AND timestamp>="{since}"'}
        entries = self._call("POST", "/v2/entries:list", query)["entries"]
        seen = [entry["httpRequest"] for entry in entries]
        return [Seen(int(each["status"]), float(each["latency"].rstrip("s"))) for each in seen]

    def identity_token(self, audience: str) -> str:
        """A token that says for whom it is."""
        return f"token-for-{audience}"

    def _call(self, method: str, path: str, document: Document | None = None) -> Document:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            connection.request(method, path, json.dumps(document) if document else None)
            response = connection.getresponse()
            result: Document = json.loads(response.read())
        finally:
            connection.close()
        if response.status >= 400:
            raise ControlFailed(str(result["error"]["message"]))
        return result
