"""Is this call from the registry? MLflow signs its calls; W&B sends a token, a signature, or both.

MLflow: `X-MLflow-Signature: v1,<base64 of HMAC-SHA256 of "delivery_id.timestamp.body">` with `X-MLflow-Delivery-Id`
and `X-MLflow-Timestamp` (seconds). W&B: `Authorization: Bearer <secret>`, or `X-Wandb-Signature`, the
HMAC-SHA256 of the body, in base64 as its documentation shows or in hex as public receivers read it.
"""

import base64
import hashlib
import hmac
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping

from matinee.core.errors import Unauthorized

WINDOW_SECONDS = 300.0  # how old, or how far ahead of our clock, a signed call may be
REMEMBERED = 10_000  # deliveries within the window; more than that are refused


class Webhooks:
    """Checks calls against the shared `secret`; a genuine one is a hint to look at the registry now."""

    def __init__(self, secret: str, clock: Callable[[], float] = time.time) -> None:
        self._secret = secret.encode()
        self._clock = clock
        self._delivered: OrderedDict[str, float] = OrderedDict()

    def check(self, headers: Mapping[str, str], body: bytes) -> None:
        """Raise `Unauthorized` unless the call is genuine; `headers` have lower-case names."""
        if "x-mlflow-signature" in headers:
            self._check_mlflow(headers, body)
        elif "x-wandb-signature" in headers:
            self._check_wandb(headers["x-wandb-signature"], body)
        elif not self._same(headers.get("authorization", ""), f"Bearer {self._secret.decode()}"):
            raise Unauthorized("the call is neither signed with WEBHOOK_SECRET nor carries it as a bearer token")

    def _check_mlflow(self, headers: Mapping[str, str], body: bytes) -> None:
        delivery, stamp = headers.get("x-mlflow-delivery-id", ""), headers.get("x-mlflow-timestamp", "")
        signed = self._hmac(f"{delivery}.{stamp}.".encode() + body)
        if not self._same(headers["x-mlflow-signature"], f"v1,{base64.b64encode(signed).decode()}"):
            raise Unauthorized("X-MLflow-Signature does not fit WEBHOOK_SECRET")
        now = self._clock()
        if not stamp.isascii() or not stamp.isdigit() or abs(now - float(stamp[:20])) > WINDOW_SECONDS:
            raise Unauthorized(f"X-MLflow-Timestamp is more than {WINDOW_SECONDS:.0f} seconds away from now")
        self._once(delivery, now)

    def _check_wandb(self, signature: str, body: bytes) -> None:
        signed = self._hmac(body)
        given = signature.removeprefix("sha256=")
        if not (self._same(given.lower(), signed.hex()) or self._same(given, base64.b64encode(signed).decode())):
            raise Unauthorized("X-Wandb-Signature does not fit WEBHOOK_SECRET")

    def _once(self, delivery: str, now: float) -> None:
        """A delivery counts once: a call that somebody recorded cannot be played again within the window."""
        while self._delivered and next(iter(self._delivered.values())) < now - 2 * WINDOW_SECONDS:
            self._delivered.popitem(last=False)
        if delivery in self._delivered or len(self._delivered) >= REMEMBERED:
            raise Unauthorized("this delivery was taken already")
        self._delivered[delivery] = now

    def _hmac(self, message: bytes) -> bytes:
        return hmac.new(self._secret, message, hashlib.sha256).digest()

    @staticmethod
    def _same(given: str, right: str) -> bool:
        """In constant time, whatever characters were given."""
        return hmac.compare_digest(
            hashlib.sha256(given.encode("utf-8", "replace")).digest(), hashlib.sha256(right.encode()).digest()
        )
