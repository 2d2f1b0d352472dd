"""The other end of a client process: makes one source and does what it is asked, one JSON line at a time.

Ends by itself when the process that started it is gone, or when nothing was asked for a while.
"""

import json
import os
import queue
import re
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO, Any

from matinee.core.errors import InvalidReference, MatineeError
from matinee.core.reference import ModelRef
from matinee.sources import SOURCES, Publisher, Remote, Source, SourceOptions
from matinee.sources.isolated import revision_from, revision_to
from matinee.sources.processes import end, held

MOST_BYTES = 512 * 1024**2  # of memory, while it looks at a registry; MLflow needs 160 MiB
_IDLE_SECONDS = 600.0
_LOOK_EVERY_SECONDS = 0.1
_URL_SECRETS = re.compile(r"(?<=://)[^/\s@]*@|(?<=\?)[^\s=]+=\S+")  # user and password, and what signs an address
_SECRET_WORDS = ("KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL")


def main() -> None:
    """Read the source's name and options, then requests, from standard input; answer on standard output."""
    replies = _private_output()
    setup = json.loads(sys.stdin.buffer.readline())
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    listening = (sys.stdin.buffer, lines, Path(setup["workspace"]))
    threading.Thread(target=_listen, args=listening, daemon=True).start()
    secrets = _secrets(setup["options"])
    try:
        source = SOURCES.get(setup["source"])(SourceOptions(**setup["options"]))
    except MatineeError as error:
        _send(replies, failure(error, secrets))
        return
    _send(replies, {"ready": True})
    while True:
        try:
            request = json.loads(lines.get(timeout=_IDLE_SECONDS))
        except queue.Empty:
            return
        looking = request["do"] == "resolve"
        with within_memory(replies, MOST_BYTES) if looking else nullcontext():
            answer = _answer(source, request, secrets)
        _send(replies, answer)


def _private_output() -> IO[str]:
    """The pipe to our parent, taken away from the libraries, which print to standard output as they like."""
    private = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return private


def _listen(requests: IO[bytes], lines: "queue.SimpleQueue[bytes]", workspace: Path) -> None:
    """Hand lines on; at the end of them our parent is gone, and everything that we started goes with us.

    Not `tempfile.gettempdir()`: where our own folder is gone or full, that is everybody's.
    """
    for line in requests:
        lines.put(line)
    shutil.rmtree(workspace, ignore_errors=True)
    end(os.getpid())


@contextmanager
def within_memory(replies: IO[str], most: int) -> Iterator[None]:
    """End this process if it comes to hold more than `most` bytes in the block, because an answer does not end.

    No client library bounds what it reads of one, and the machine's memory is the server's as well.
    """
    done = threading.Event()

    def watch() -> None:
        while not done.wait(_LOOK_EVERY_SECONDS):
            if held(os.getpid()) > most:
                message = f"the registry's answer took more than {most / 1024**2:.0f} MiB of memory"
                _send(replies, {"error": "SourceUnavailable", "message": message})
                end(os.getpid())

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        done.set()


def _answer(source: Source, request: dict[str, Any], secrets: list[str]) -> dict[str, Any]:
    try:
        return _OPERATIONS[request["do"]](source, request)
    except Exception as error:  # noqa: BLE001 - the edge of this process: a client library may raise anything
        advice = f"; check {source.settings}" if isinstance(source, Remote) else ""
        return failure(error, secrets, advice)


def _resolve(source: Source, request: dict[str, Any]) -> dict[str, Any]:
    return revision_to(source.resolve(ModelRef.parse(request["reference"])))


def _pull(source: Source, request: dict[str, Any]) -> dict[str, Any]:
    source.pull(revision_from(request["revision"]), Path(request["into"]))
    return {}


def _push(source: Source, request: dict[str, Any]) -> dict[str, Any]:
    ref = ModelRef.parse(request["reference"])
    if not isinstance(source, Publisher):
        raise InvalidReference(f"{ref}: this source takes no models; push to wandb:, models:, a bucket or a folder")
    return revision_to(source.push(Path(request["folder"]), ref))


_OPERATIONS = {"resolve": _resolve, "pull": _pull, "push": _push}


def failure(error: Exception, secrets: list[str], advice: str = "") -> dict[str, Any]:
    """An error as JSON; what a library raised becomes one sentence without anything secret.

    That includes what stands in addresses: in a registry's a user and a password, in a bucket's a signature.
    """
    if isinstance(error, MatineeError):
        name, message = type(error).__name__, error.message
    else:
        first_line = (str(error).splitlines() or [""])[0][:300]
        name, message = (
            "SourceUnavailable",
            f"the registry's client failed: {type(error).__name__}: {first_line}{advice}",
        )
    for secret in secrets:
        message = message.replace(secret, "***")
    return {"error": name, "message": _URL_SECRETS.sub("", message)}


def _secrets(options: dict[str, Any]) -> list[str]:
    """Values that must not be seen, the longest first."""
    found = [value for name, value in os.environ.items() if any(word in name.upper() for word in _SECRET_WORDS)]
    found.append(options.get("wandb_api_key") or "")
    return sorted((value for value in found if len(value) >= 6), key=len, reverse=True)


def _send(replies: IO[str], message: dict[str, Any]) -> None:
    replies.write(json.dumps(message) + "\n")
    replies.flush()


if __name__ == "__main__":
    main()
