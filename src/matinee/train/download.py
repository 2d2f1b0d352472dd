"""Fetch one large file: progress bar, resume where an earlier attempt stopped, size and checksum at the end."""

import hashlib
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import BinaryIO
from urllib.error import URLError
from urllib.request import Request, urlopen

from matinee.core.errors import CorruptBundle, SourceUnavailable
from matinee.train.progress import progress

_CHUNK = 1 << 18
_TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True)
class Download:
    """Where a file is, its size in bytes, and its SHA-256 in hex."""

    url: str
    size: int
    sha256: str

    def fetch(self, target: Path) -> Path:
        """Return ``target``, downloading what is missing of it.

        What has arrived is kept beside it, so that the next call goes on from there. Raises `SourceUnavailable` if the
        server cannot be reached or goes away, `CorruptBundle` if what came is not the file that was published.
        """
        if target.exists() and target.stat().st_size == self.size:
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{target.name}.partial")
        try:
            self._append(partial)
        except (URLError, HTTPException, OSError) as error:
            raise SourceUnavailable(
                f"{self.url} broke off ({type(error).__name__}); the same command goes on where it stopped"
            ) from None
        self._check(partial)
        partial.replace(target)
        return target

    def _append(self, partial: Path) -> None:
        done = partial.stat().st_size if partial.exists() else 0
        if done >= self.size:
            return
        request = Request(self.url, headers={"Range": f"bytes={done}-"} if done else {})  # noqa: S310 - https, see above
        with urlopen(request, timeout=_TIMEOUT_SECONDS) as response:  # noqa: S310
            if response.status != 206:  # the server sends everything again
                done = 0
            with partial.open("ab" if done else "wb") as file:
                self._copy(response, file, done)

    def _copy(self, response: HTTPResponse, file: BinaryIO, done: int) -> None:
        with progress(f"download {self.url.rsplit('/', 1)[-1]} (bytes)", self.size, done=done) as report:
            while chunk := response.read(_CHUNK):
                file.write(chunk)
                done += len(chunk)
                report(done)
        if done < self.size:
            raise HTTPException("the connection ended early")

    def _check(self, partial: Path) -> None:
        with partial.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = partial.stat().st_size
        if (size, digest) != (self.size, self.sha256):
            partial.unlink()
            raise CorruptBundle(f"{self.url} sent {size} bytes with another SHA-256 than the published file")
