"""`matinee score` as a process: killed, continued, piped."""

import csv
import gzip
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

TINY = Path(__file__).parents[1] / "fixtures/tiny-onnx"


def command(folder: Path, *arguments: str) -> tuple[list[str], dict[str, str]]:
    """The command line and an environment without settings of this machine."""
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "CACHE_DIR": str(folder / "cache")}
    return [sys.executable, "-m", "matinee", "score", *arguments, "--model", str(TINY)], env


def score(folder: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    line, env = command(folder, *arguments)
    return subprocess.run(line, cwd=folder, env=env, input=stdin, capture_output=True, text=True, check=False)


def write_reviews(path: Path, count: int) -> None:
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "text"])
        writer.writerows([n, f"review {n}: {'good ' * (n % 40)}film"] for n in range(count))


def test_a_run_killed_at_any_moment_is_finished_by_the_same_command(tmp_path: Path) -> None:
    """After SIGKILL the output has not appeared; the same command completes it, every row once and in order."""
    write_reviews(tmp_path / "in.csv", 6_000)
    line, env = command(tmp_path, "in.csv", "out.csv")
    process = subprocess.Popen(line, cwd=tmp_path, env=env, stderr=subprocess.DEVNULL)
    while not (tmp_path / "out.csv.progress").exists() and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "out.csv").exists()

    finished = score(tmp_path, "in.csv", "out.csv", "--json")
    assert finished.returncode == 0, finished.stderr
    assert json.loads(finished.stderr)["resumed_at"] > 0
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text(), newline="")))
    assert [int(row["id"]) for row in rows] == list(range(6_000))
    assert {row["predicted_label"] for row in rows} <= {"negative", "positive"}


def test_a_pipe_gets_the_rows_and_a_person_the_summary(tmp_path: Path) -> None:
    """Standard output carries rows only; bad rows are counted; invalid UTF-8 harms its own row."""
    lines = b'{"text": "a good film"}\n{"text": "\xff"}\n{"no": "text"}\n'
    line, env = command(tmp_path, "-", "-", "--input-format", "jsonl", "--output-format", "jsonl")
    result = subprocess.run(line, cwd=tmp_path, env=env, input=lines, capture_output=True, check=False)
    assert result.returncode == 0, result.stderr
    assert [json.loads(row)["text"] for row in result.stdout.splitlines()] == ["a good film"]
    assert b"1 rows answered into standard output; 2 refused" in result.stderr


def test_a_pipe_is_utf8_whatever_the_terminal_is(tmp_path: Path) -> None:
    """As the input is; a console of another encoding would get another file."""
    line, env = command(tmp_path, "-", "-", "--input-format", "csv", "--output-format", "csv")
    env["PYTHONIOENCODING"] = "ascii"
    result = subprocess.run(
        line, cwd=tmp_path, env=env, input="text\nné 映画\n".encode(), capture_output=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.decode().splitlines()[1].startswith("né 映画,")


def test_a_bad_call_is_one_sentence_and_exit_code_2(tmp_path: Path) -> None:
    """Unclear formats, missing files and unknown columns name the argument."""
    write_reviews(tmp_path / "in.csv", 1)
    (tmp_path / "wide.csv").write_text("id,text\n", encoding="utf-16")
    for arguments, named in (
        (("absent.csv", "out.csv"), "IN"),
        (("wide.csv", "out.csv"), "iconv -f UTF-16"),
        (("in.csv", "./in.csv", "--restart"), "the input itself"),
        (("in.csv", "out.xlsx"), "--output-format"),
        (("in.csv", "out.csv", "--text-column", "review"), "--text-column"),
    ):
        result = score(tmp_path, *arguments)
        assert result.returncode == 2
        assert result.stderr.startswith("Error: ")
        assert named in result.stderr
        assert len(result.stderr.splitlines()) == 1


@pytest.fixture
def _not_ignored() -> Iterator[None]:
    """What a shell starts in the background ignores Ctrl-C, and so does whatever it starts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_not_ignored")
def test_a_run_that_waits_for_its_input_can_be_stopped(tmp_path: Path) -> None:
    """Ctrl-C ends it although nothing comes any more, and standard input stays open."""
    line, env = command(tmp_path, "-", "out.jsonl", "--input-format", "jsonl")
    process = subprocess.Popen(line, cwd=tmp_path, env=env, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(b'{"text": "a good film"}\n' * 1_600)
    process.stdin.flush()
    while not (tmp_path / "out.jsonl.progress").exists() and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    try:
        assert process.wait(timeout=60) == 130
    finally:
        process.communicate()


@pytest.mark.parametrize("name", ["in.csv.gz", "in.csv"])
def test_a_compressed_file_is_told_as_such(tmp_path: Path, name: str) -> None:
    """It was taken for Latin-1, and of compressed JSON Lines each line was refused with exit status 0."""
    (tmp_path / name).write_bytes(gzip.compress(b"text\nfine\n"))
    assert "compressed" in score(tmp_path, name, "out.csv").stderr
    refused = score(tmp_path, name, "out.jsonl", "--input-format", "jsonl")
    assert refused.returncode == 2
    assert f"(gzip): zcat {name} | matinee score -" in refused.stderr


@pytest.mark.usefixtures("_not_ignored")
def test_a_stopped_pipe_does_not_promise_to_go_on(tmp_path: Path) -> None:
    """Standard output starts at its beginning; only a file goes on where it was."""
    write_reviews(tmp_path / "in.csv", 6_000)
    for out, promised in (("-", False), ("out.csv", True)):
        line, env = command(tmp_path, "in.csv", out, "--output-format", "csv")
        process = subprocess.Popen(line, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdout is not None
        if out == "-":
            process.stdout.readline()
        else:
            while not (tmp_path / "out.csv.progress").exists() and process.poll() is None:
                time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        told = process.communicate()[1]
        assert process.returncode == 130, told
        assert (b"goes on" in told) is promised
