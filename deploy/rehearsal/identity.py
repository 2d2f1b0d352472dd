"""Who the release tool is to a private service, when it is nobody's key: workload identity federation."""

import json
import sys

from deploy.rehearsal.listener import listening
from deploy.rehearsal.stage import GCLOUD_ALONE, Stage, expect, needs

_ACCOUNT = "deploy@demo-project.iam.gserviceaccount.com"
_POOL = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/github/providers/github"
_JWT = "urn:ietf:params:oauth:token-type:jwt"
_TOKEN = "eyJhbGciOiJub25lIn0.eyJhdWQiOiJ4IiwiZXhwIjo0MTAyNDQ0ODAwfQ.c2ln"  # noqa: S105 - signed by nobody
_ASK = "import sys; from deploy.release import Gcloud; print(Gcloud('demo-project', 'x').identity_token(sys.argv[1]))"


def federated(stage: Stage) -> str:
    """The credentials that google-github-actions/auth writes; token exchange and IAM answer on loopback."""
    needs("gcloud")
    folder = stage.folder / "identity"
    folder.mkdir(exist_ok=True)
    credentials = folder / "credentials.json"
    with listening(_google) as (address, asked):
        credentials.write_text(json.dumps(_credentials(address, str(folder / "github-token"))))
        (folder / "github-token").write_text("what GitHub says of the running workflow")
        extra = {
            **GCLOUD_ALONE,
            "CLOUDSDK_CONFIG": str(folder / "gcloud"),
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS": address,
        }
        stage.run("gcloud", "auth", "login", "--brief", f"--cred-file={credentials}", extra=extra)
        told = stage.run(sys.executable, "-c", _ASK, "https://matinee.test", extra=extra).stdout.strip()
    expect(told == _TOKEN, f"not the token of IAM: {told}")
    last = json.loads(asked[-1][1])
    expect(last["audience"] == "https://matinee.test", f"the token is for {last}")
    return f"{len(asked)} requests to token exchange and IAM, the last for an identity token with our audience"


def _credentials(address: str, token: str) -> dict[str, object]:
    return {
        "type": "external_account",
        "audience": _POOL,
        "subject_token_type": _JWT,
        "token_url": f"{address}v1/token",
        "service_account_impersonation_url": f"{address}v1/projects/-/serviceAccounts/{_ACCOUNT}:generateAccessToken",
        "credential_source": {"file": token},
    }


def _google(path: str, _: bytes) -> object:
    if path.endswith(":generateIdToken"):
        return {"token": _TOKEN}
    if path.endswith(":generateAccessToken"):
        return {"accessToken": "access", "expireTime": "2100-01-01T00:00:00Z"}
    kind = "urn:ietf:params:oauth:token-type:access_token"
    return {"access_token": "federated", "issued_token_type": kind, "token_type": "Bearer", "expires_in": 3600}
