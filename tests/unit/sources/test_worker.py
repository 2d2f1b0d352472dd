"""What a client process says of an error: one sentence, which people may see."""

import signal
import subprocess
import sys

import pytest

from matinee.core.errors import SourceDenied
from matinee.sources.source import bare
from matinee.sources.worker import failure


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        ("cannot reach http://me:pa55word@host:5000/api/2.0 now", "cannot reach http://host:5000/api/2.0 now"),
        ("403 for url: https://store/blob?Expires=1&Signature=pa55word", "403 for url: https://store/blob?"),
        ("no such alias? ask me@example.com", "no such alias? ask me@example.com"),
    ],
)
def test_an_address_is_told_without_what_is_secret_in_it(raised: str, said: str) -> None:
    """Whether a client library raised it or we did; other question marks and signs stay."""
    assert failure(RuntimeError(raised), [])["message"] == f"the registry's client failed: RuntimeError: {said}"
    assert failure(SourceDenied(raised), []) == {"error": "SourceDenied", "message": said}


def test_a_registrys_address_is_kept_without_its_password() -> None:
    """It is part of a revision's identity, which stands in the history, and in the cache."""
    assert bare("https://me:pa55word@host:5000/path?token=1") == "https://host:5000/path"
    assert bare("https://host") == "https://host"


@pytest.mark.parametrize("where", ["here", "in a process that it started"])
def test_a_client_that_takes_too_much_memory_says_so_and_ends(where: str) -> None:
    """An answer without an end would otherwise take all there is, within the seconds that a look may take."""
    take = "x = bytearray(200_000_000); import time; time.sleep(60)"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {take!r}])"
    script = (
        "import sys\nfrom matinee.sources.worker import within_memory\n"
        f"with within_memory(sys.stdout, 100_000_000):\n    exec({(take if where == 'here' else child)!r})\n"
    )
    command = [sys.executable, "-c", script]
    client = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=50, start_new_session=True, check=False)
    assert client.returncode == -signal.SIGKILL
    assert "took more than 95 MiB of memory" in client.stdout
