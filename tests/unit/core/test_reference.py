"""References are read as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matinee.core.errors import InvalidReference
from matinee.core.reference import ModelRef


@pytest.mark.parametrize(
    ("text", "source", "scheme", "rest"),
    [
        ("bundled:imdb-sentiment", "bundled", "bundled", "imdb-sentiment"),
        ("wandb:team/project/name:latest", "wandb", "wandb", "team/project/name:latest"),
        ("models:/imdb@champion", "mlflow", "models", "/imdb@champion"),
        ("runs:/abc/model", "mlflow", "runs", "/abc/model"),
        ("hf:org/name@rev", "huggingface", "hf", "org/name@rev"),
        ("s3://bucket/model/", "objectstore", "s3", "//bucket/model/"),
        ("https://host/m.zip#sha256=00", "web", "https", "//host/m.zip#sha256=00"),
        ("file:///srv/model", "folder", "file", "///srv/model"),
        ("./ml/model/model.pkl", "folder", "", "./ml/model/model.pkl"),
        ("/srv/models/a:b", "folder", "", "/srv/models/a:b"),
        ("acme:thing", "acme", "acme", "thing"),
    ],
)
def test_each_way_of_writing_names_its_source(text: str, source: str, scheme: str, rest: str) -> None:
    """The scheme decides who resolves the reference; a bare path is a folder; an unknown scheme is a plugin's."""
    ref = ModelRef.parse(text)
    assert (ref.source, ref.scheme, ref.rest) == (source, scheme, rest)
    assert str(ref) == text


@pytest.mark.parametrize("text", ["", "   ", "wandb:a\nb", "models:/x\x00"])
def test_an_unreadable_reference_says_what_would_be_right(text: str) -> None:
    """Empty references and control characters are refused with examples of good ones."""
    with pytest.raises(InvalidReference, match="bundled:imdb-sentiment"):
        ModelRef.parse(text)


@given(st.text(alphabet=st.characters(min_codepoint=33), min_size=1).filter(lambda text: text.strip() == text))
def test_parsing_never_loses_a_character(text: str) -> None:
    """Scheme and rest together are the reference as written."""
    ref = ModelRef.parse(text)
    assert (f"{ref.scheme}:{ref.rest}" if ref.scheme else ref.rest) == text
