"""What goes wrong outside of matinee is a sentence too: the disk, the folder, the terminal."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TINY = Path(__file__).parents[2] / "fixtures/tiny-onnx"


def matinee(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[bytes]:
    """The command as a process, with an environment without settings of this machine."""
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "CACHE_DIR": str(folder / "cache"), **more}
    line = [sys.executable, "-m", "matinee", *arguments]
    return subprocess.run(line, cwd=folder, env=env, capture_output=True, check=False)


@pytest.mark.parametrize("target", ["file/below", "file"])
def test_a_place_that_cannot_be_written_to_is_one_sentence(target: str, tmp_path: Path) -> None:
    """It names the path and what the system says of it; nothing is left behind."""
    (tmp_path / "file").write_text("in the way")
    result = matinee(tmp_path, "pull", str(TINY), "--to", target)
    assert result.returncode == 1
    assert result.stderr.startswith(b"Error: ")
    assert b"file" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "cache") == ["file"]


def test_a_terminal_without_the_characters_shows_others(tmp_path: Path) -> None:
    """Boxes, bars and letters that it does not have are written in another way."""
    result = matinee(tmp_path, "predict", "né 映画", "--model", str(TINY), PYTHONIOENCODING="ascii")
    assert result.returncode == 0, result.stderr
    assert b"n\\xe9" in result.stdout
