"""Cloud Scheduler's definition, as the genuine gcloud sends it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

from deploy.rehearsal.stage import Stage, expect, needs

_TRIGGER = "0a1b2c3d"


class _Handler(BaseHTTPRequestHandler):
    received: list[tuple[str, dict[str, object]]]

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base class's name
        """Silence."""

    def do_POST(self) -> None:
        """Keep the job, and give it back as the service does."""
        job = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.received.append((self.path, job))
        content = json.dumps(job).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def _scheduler() -> Iterator[tuple[str, list[tuple[str, dict[str, object]]]]]:
    received: list[tuple[str, dict[str, object]]] = []
    server = HTTPServer(("127.0.0.1", 0), type("_Keeps", (_Handler,), {"received": received}))
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/", received
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def schedule(stage: Stage) -> str:
    """The job asks Cloud Build to run the trigger, every hour, as the given account."""
    needs("gcloud")
    with _scheduler() as (address, received):
        extra = {
            "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "1",
            "CLOUDSDK_CONFIG": str(stage.folder / "gcloud"),
            "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "1",
            "CLOUDSDK_CORE_SHOULD_PROMPT_TO_ENABLE_API": "false",
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDSCHEDULER": address,
            "GCP_PROJECT": "demo-project",
            "GCP_REGION": "europe-west1",
            "SCHEDULER_SERVICE_ACCOUNT": "scheduler@demo-project.iam.gserviceaccount.com",
        }
        stage.run("deploy/schedule-refresh.sh", _TRIGGER, extra=extra)
    expect(len(received) == 1, f"{len(received)} requests")
    path, job = received[0]
    target = job["httpTarget"]
    wanted = f"/locations/europe-west1/triggers/{_TRIGGER}:run"
    expect(isinstance(target, dict) and str(target["uri"]).endswith(wanted), f"the job calls {target}")
    expect(job["schedule"] == "17 * * * *", f"the schedule is {job['schedule']}")
    return f"gcloud sent the job to {path}: hourly, {wanted.rpartition('/')[2]}"
