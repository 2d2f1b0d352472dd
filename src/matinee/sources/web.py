"""One file of a web server: `https://host/model.onnx#sha256=<64 hex digits>`.

The digest makes the reference mean one content for ever, whoever answers. Archives are not unpacked.
"""

import hashlib
import ipaddress
import re
import socket
import urllib.error
import urllib.request
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urlsplit

from matinee.core.bundle import Revision
from matinee.core.errors import CorruptBundle, InvalidReference, RevisionNotFound, SourceDenied, SourceUnavailable
from matinee.core.reference import ModelRef
from matinee.sources.source import SourceOptions
from matinee.sources.tree import safe_names

_FRAGMENT = re.compile(r"^sha256=([0-9a-f]{64})$")
_CHUNK_BYTES = 1024 * 1024
_NOT_THERE = (404, 410)
_DENIED = (401, 403, 407)


class WebSource:
    """A single file with a stated digest; the digest is the version, so nothing is asked before the download."""

    settings = "the address, HTTPS_PROXY and the network"

    def __init__(self, options: SourceOptions) -> None:
        self._options = options

    def resolve(self, ref: ModelRef) -> Revision:
        """Read the digest out of the reference."""
        _, _, digest = _parsed(ref)
        return Revision(ref, digest[:12], f"sha256:{digest}", pinned=True)

    def pull(self, revision: Revision, into: Path) -> None:
        """Download, within the limits, and compare with the digest."""
        ref = revision.reference
        url, name, digest = _parsed(ref)
        opener = urllib.request.build_opener(_CarefulRedirects(urlsplit(url).hostname or ""))
        try:
            with opener.open(url, timeout=self._options.resolve_seconds) as response, (into / name).open("wb") as file:
                found = self._copied(response, file, ref)
        except urllib.error.HTTPError as error:
            raise _refused(ref, error.code) from None
        except (OSError, HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise SourceUnavailable(f"{ref}: cannot be downloaded: {reason}; check {self.settings}") from error
        if found != digest:
            raise CorruptBundle(f"{ref}: the file's SHA-256 is {found}")

    def _copied(self, response: IO[bytes], file: IO[bytes], ref: ModelRef) -> str:
        digest, total = hashlib.sha256(), 0
        while chunk := response.read(_CHUNK_BYTES):
            total += len(chunk)
            if total > self._options.max_bytes:
                raise CorruptBundle(f"{ref}: is larger than {self._options.max_bytes:,} bytes")
            digest.update(chunk)
            file.write(chunk)
        return digest.hexdigest()


class _CarefulRedirects(urllib.request.HTTPRedirectHandler):
    """At most three, never from https to http, and to another host only when that host is a public one."""

    max_redirections = 3

    def __init__(self, host: str) -> None:
        self._host = host

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        target = urlsplit(newurl)
        if req.type == "https" and target.scheme != "https":
            raise urllib.error.URLError("it redirects from https to http")
        if target.hostname != self._host and not _is_public(target.hostname or ""):
            raise urllib.error.URLError("it redirects to a host of a private network")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _is_public(host: str) -> bool:
    try:
        found = {str(entry[4][0]).partition("%")[0] for entry in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    return all(ipaddress.ip_address(address).is_global for address in found)


def _parsed(ref: ModelRef) -> tuple[str, str, str]:
    """Address, file name and digest."""
    parts = urlsplit(ref.text)
    digest = _FRAGMENT.match(parts.fragment.lower())
    if parts.hostname is None or parts.username is not None or digest is None:
        raise InvalidReference(f"{ref}: write https://host/file#sha256=<64 hex digits>, without a user name in it")
    name = unquote(parts.path).rpartition("/")[2]
    try:
        safe_names([name])
    except CorruptBundle:
        raise InvalidReference(f"{ref}: the path must end in the name of a file") from None
    return parts._replace(fragment="").geturl(), name, digest.group(1)


def _refused(ref: ModelRef, status: int) -> RevisionNotFound | SourceDenied | SourceUnavailable:
    if status in _NOT_THERE:
        return RevisionNotFound(f"{ref}: the server has no such file (status {status})")
    if status in _DENIED:
        return SourceDenied(f"{ref}: the server refuses us (status {status})")
    return SourceUnavailable(f"{ref}: the server answers with status {status}; try again later")
