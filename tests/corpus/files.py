"""What the cases are made of: names with contents, JSON, zip files."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

Files = dict[str, bytes]


def to_json(document: Any) -> bytes:
    """Compact enough."""
    return json.dumps(document).encode()


def to_zip(members: Files, *, packed: bool = False) -> bytes:
    """A zip file of these members, in this order."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED if packed else None)
    return file.getvalue()


def write_cases(folder: Path, cases: dict[str, Files]) -> None:
    """Each case in a folder of its own."""
    for case, files in cases.items():
        for name, content in files.items():
            path = folder / case / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
