"""Only a genuine call of a registry counts, and each only once."""

import base64
import hashlib
import hmac

import pytest

from matinee.core.errors import Unauthorized
from matinee.rollout import Webhooks

SECRET = "canary-shared-secret"
BODY = b'{"entity":"model_version_alias","action":"created","data":{"name":"films","alias":"champion"}}'
NOW = 1_790_000_000.0


def signed(message: bytes, secret: str = SECRET) -> bytes:
    """HMAC-SHA256."""
    return hmac.new(secret.encode(), message, hashlib.sha256).digest()


def from_mlflow(delivery: str = "d-1", at: float = NOW, secret: str = SECRET, body: bytes = BODY) -> dict[str, str]:
    """The headers of a delivery by MLflow."""
    signature = base64.b64encode(signed(f"{delivery}.{at:.0f}.".encode() + body, secret)).decode()
    return {
        "x-mlflow-delivery-id": delivery,
        "x-mlflow-timestamp": f"{at:.0f}",
        "x-mlflow-signature": f"v1,{signature}",
    }


GENUINE = {
    "MLflow": from_mlflow(),
    "W&B, base64": {"x-wandb-signature": base64.b64encode(signed(BODY)).decode()},
    "W&B, hex": {"x-wandb-signature": signed(BODY).hex()},
    "W&B, hex with its algorithm": {"x-wandb-signature": "sha256=" + signed(BODY).hex()},
    "W&B, token": {"authorization": f"Bearer {SECRET}"},
}
FORGED = {
    "nothing": {},
    "another secret": from_mlflow(secret="canary-other-secret"),
    "another body": from_mlflow(body=b"{}"),
    "too old": from_mlflow(at=NOW - 301),
    "too early": from_mlflow(at=NOW + 301),
    "no number for a time": {**from_mlflow(), "x-mlflow-timestamp": "now"},
    "no version": {**from_mlflow(), "x-mlflow-signature": from_mlflow()["x-mlflow-signature"][3:]},
    "wrong signature beside a right token": {"authorization": f"Bearer {SECRET}", "x-wandb-signature": "00"},
    "signature that is no text": {"x-wandb-signature": "\udcff" * 44},
    "wrong token": {"authorization": "Bearer canary-shared-secret2"},
    "token of another kind": {"authorization": f"Basic {SECRET}"},
}


@pytest.mark.parametrize("headers", GENUINE.values(), ids=GENUINE.keys())
def test_genuine_calls_pass(headers: dict[str, str]) -> None:
    """Each way in which MLflow and W&B show who they are."""
    Webhooks(SECRET, clock=lambda: NOW).check(headers, BODY)


@pytest.mark.parametrize("headers", FORGED.values(), ids=FORGED.keys())
def test_anything_else_is_refused_without_telling_the_secret(headers: dict[str, str]) -> None:
    """A call that is not signed, signed otherwise, or not now."""
    with pytest.raises(Unauthorized) as refused:
        Webhooks(SECRET, clock=lambda: NOW).check(headers, BODY)
    assert SECRET not in refused.value.message


def test_a_recorded_call_cannot_be_played_again() -> None:
    """Within the window the delivery is known; after it, its time is over."""
    now = NOW
    webhooks = Webhooks(SECRET, clock=lambda: now)
    webhooks.check(from_mlflow(), BODY)
    for later in (0, 200, 299, 301, 100_000):
        now = NOW + later
        with pytest.raises(Unauthorized):
            webhooks.check(from_mlflow(), BODY)
    webhooks.check(from_mlflow("d-2", now), BODY)
