"""What a client process says of an error: one sentence, which people may see."""

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
