"""Cloud Scheduler's definition, as the genuine gcloud sends it."""

import json

from deploy.rehearsal.listener import listening
from deploy.rehearsal.stage import GCLOUD_ALONE, Stage, expect, needs

_TRIGGER = "0a1b2c3d"


def schedule(stage: Stage) -> str:
    """The job asks Cloud Build to run the trigger, every hour, as the given account."""
    needs("gcloud")
    with listening(lambda _, body: json.loads(body)) as (address, asked):
        extra = {
            **GCLOUD_ALONE,
            "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "1",
            "CLOUDSDK_CONFIG": str(stage.folder / "gcloud"),
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDSCHEDULER": address,
            "GCP_PROJECT": "demo-project",
            "GCP_REGION": "europe-west1",
            "SCHEDULER_SERVICE_ACCOUNT": "scheduler@demo-project.iam.gserviceaccount.com",
        }
        stage.run("deploy/schedule-refresh.sh", _TRIGGER, extra=extra)
    expect(len(asked) == 1, f"{len(asked)} requests")
    path, body = asked[0]
    job = json.loads(body)
    target = job["httpTarget"]
    wanted = f"/locations/europe-west1/triggers/{_TRIGGER}:run"
    expect(str(target["uri"]).endswith(wanted), f"the job calls {target}")
    expect(job["schedule"] == "17 * * * *", f"the schedule is {job['schedule']}")
    return f"gcloud sent the job to {path}: hourly, {wanted.rpartition('/')[2]}"
