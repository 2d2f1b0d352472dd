"""What does a person see at `/`? A page to try a text on, and to see what is live.

Three files without dependencies, served as they are; `page_files` is the door. Nothing in them is made from data:
the script asks the same API as everybody else and sets what comes back as text.
"""

from collections.abc import Iterator
from pathlib import Path

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_FILES = (
    ("/", "text/html; charset=utf-8", "page.html"),
    ("/ui/page.css", "text/css; charset=utf-8", "page.css"),
    ("/ui/page.js", "text/javascript; charset=utf-8", "page.js"),
    ("/ui/icon.svg", "image/svg+xml", "icon.svg"),
    ("/favicon.ico", "image/svg+xml", "icon.svg"),
)


def page_files() -> Iterator[tuple[str, str, Path]]:
    """The path that each file is served under, its media type, and the file."""
    for path, media_type, name in _FILES:
        yield path, media_type, Path(__file__).with_name(name)
