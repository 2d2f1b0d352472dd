"""Who is asking: keys, compared in constant time."""

import hashlib
import hmac
from collections.abc import Iterable

from matinee.api.endpoints import Access
from matinee.core.errors import Unauthorized

MAX_KEY_BYTES = 512


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


class Keyring:
    """The keys of the callers and of the administrator; only their SHA-256 digests are kept."""

    def __init__(self, api_keys: Iterable[str] = (), admin_key: str | None = None) -> None:
        self._admin = () if admin_key is None else (_digest(admin_key.encode()),)
        self._callers = tuple(_digest(key.encode()) for key in api_keys)

    def check(self, access: Access, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Raise `Unauthorized` unless a key in `headers` opens a route with this `access`.

        The administrator's key opens the callers' routes as well.
        """
        if access is Access.OPEN or access is Access.SIGNED or (access is Access.CALLER and not self._callers):
            return
        if access is Access.ADMIN and not self._admin:
            raise Unauthorized("this route is switched off: it needs the setting ADMIN_KEY on the server")
        allowed = self._admin if access is Access.ADMIN else self._admin + self._callers
        presented = _digest(_presented(headers))
        # every digest is compared, so that the time tells nothing about which one was nearly right
        matches = [hmac.compare_digest(presented, digest) for digest in allowed]
        if True not in matches:
            raise Unauthorized("this route needs a key: Authorization: Bearer <key>, or X-API-Key: <key>")


def _presented(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    for name, value in headers:
        if name == b"x-api-key":
            return value[:MAX_KEY_BYTES]
        if name == b"authorization" and value[:7].lower() == b"bearer ":
            return value[7 : 7 + MAX_KEY_BYTES].strip()
    return b""
