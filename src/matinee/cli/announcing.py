"""The line that says where to find us; light enough for the process that only watches over workers."""

import json
import socket
import sys
from collections.abc import Iterable


def announce(sock: socket.socket, names: Iterable[str], style: str) -> None:
    """A sentence for people (`pretty`), a log line for programs (`json`)."""
    host, port = sock.getsockname()[:2]
    shown = "localhost" if host in ("0.0.0.0", "::", "127.0.0.1", "::1") else host  # noqa: S104 - compared, not bound
    address = f"http://{f'[{shown}]' if ':' in shown else shown}:{port}"
    if style == "pretty":
        line = f"Now showing {', '.join(names)} at {address} (Ctrl-C to stop)"
    else:
        line = json.dumps({"event": "ready", "level": "info", "address": address, "models": list(names)})
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def log_style(log_format: str) -> str:
    """`auto` is pretty where a person looks on."""
    if log_format == "auto":
        return "pretty" if sys.stderr.isatty() else "json"
    return log_format
