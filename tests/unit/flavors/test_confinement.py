"""What a helper process gave up, it cannot do: not through Python, and not past it."""

import subprocess
import sys
from pathlib import Path

import pytest

from matinee.flavors.confinement import scrubbed_environment

_CONFINED = """
import ctypes, os, socket, subprocess, sys
from pathlib import Path
from matinee.flavors.confinement import Bounds, confine
kernel = ctypes.CDLL(None, use_errno=True)
confine(Path(sys.argv[1]), Bounds(memory=1 << 31))
try:
    {attempt}
except PermissionError as error:
    print("refused")
except MemoryError:
    print("refused")
else:
    print("done")
"""


def attempt(code: str, folder: Path) -> str:
    """What a confined process says after trying `code`."""
    done = subprocess.run(
        [sys.executable, "-c", _CONFINED.format(attempt=code), str(folder)],
        capture_output=True,
        text=True,
        check=False,
        env=scrubbed_environment(),
    )
    return done.stdout.strip() or f"ended with {done.returncode}: {done.stderr[-300:]}"


@pytest.mark.parametrize(
    "code",
    [
        "socket.create_connection(('127.0.0.1', 9))",
        "os.system('true')",
        "subprocess.run(['true'])",
        "os.execv('/bin/true', ['true'])",
        "open('/var/tmp/matinee-escape', 'w')",
        "os.open('/var/tmp/matinee-escape', os.O_CREAT | os.O_WRONLY)",
        "os.chdir(sys.argv[1]); open(b'/var/tmp/matinee-escape', 'w')",
        "os.chdir(sys.argv[1]); os.open(b'/var/tmp/matinee-escape', os.O_CREAT | os.O_WRONLY)",
        "os.remove(sys.argv[1])",
        "bytearray(1 << 33)",
    ],
)
def test_reaching_out_is_refused(code: str, tmp_path: Path) -> None:
    """Network, programs, files elsewhere, memory without end."""
    assert attempt(code, tmp_path) == "refused"


def test_the_kernel_refuses_what_python_does_not_see(tmp_path: Path) -> None:
    """A library that makes the system call itself gets EPERM."""
    code = "print(kernel.socket(2, 1, 0), ctypes.get_errno()); raise PermissionError"
    assert attempt(code, tmp_path).splitlines() == ["-1 1", "refused"]


@pytest.mark.parametrize("code", ["open(sys.argv[1] + '/out', 'w').close()", "open('/etc/hostname').close()"])
def test_reading_and_its_own_folder_are_left(code: str, tmp_path: Path) -> None:
    """It can read the model, and write what it found."""
    assert attempt(code, tmp_path) == "done"


def test_no_secret_reaches_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment holds neither keys nor proxies."""
    monkeypatch.setenv("WANDB_API_KEY", "canary-secret")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example")
    assert not {"WANDB_API_KEY", "HTTPS_PROXY"} & set(scrubbed_environment())
