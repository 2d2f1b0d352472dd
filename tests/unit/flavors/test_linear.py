"""The linear model as a classifier."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matinee.core.bundle import Revision, VerifiedBundle
from matinee.core.errors import ModelRejected
from matinee.core.manifest import Manifest
from matinee.core.reference import ModelRef
from matinee.flavors import LoadOptions, load
from matinee.flavors.linear_features import LinearModel, fingerprint, fingerprint_many, save_linear, split_words
from matinee.flavors.linear_lookup import Lookup


def bundle(folder: Path, labels: tuple[str, ...] = ("negative", "positive")) -> VerifiedBundle:
    """A model that knows two words."""
    found = fingerprint(split_words("wonderful"), 1), fingerprint(split_words("awful"), 1)
    order = np.argsort(np.concatenate(found))
    weights = np.array([[100], [-100]], dtype=np.int8)[order]
    bias = np.zeros(1, dtype=np.float32)
    model = LinearModel(np.concatenate(found)[order], weights, np.array([0.02], dtype=np.float32), bias, ngrams=1)
    save_linear(model, folder / "model.safetensors")
    manifest = Manifest("two-words", "linear", labels, calibration={"temperature": 2.0})
    return VerifiedBundle(folder, Revision(ModelRef.parse(str(folder)), "1"), "sha256:1", manifest)


def test_it_answers_while_it_encodes(tmp_path: Path) -> None:
    """No rows; calibrated scores; the tokens are the words that were read."""
    classifier = load(bundle(tmp_path))
    good, bad, empty = classifier.encode(["A <br />wonderful film!", "awful", ""])
    assert classifier.capacity.quick
    assert good.answer is not None
    assert good.answer.scores == pytest.approx((1 / (1 + np.e), np.e / (1 + np.e)), abs=1e-6)
    assert bad.answer is not None
    assert bad.answer.scores == pytest.approx(good.answer.scores[::-1])
    assert empty.answer is not None
    assert empty.answer.scores == (0.5, 0.5)
    assert (good.tokens, good.windows, good.truncated, list(good.rows)) == (4, 1, False, [])
    assert classifier.finish(good, classifier.run(good.rows)) == good.answer
    classifier.close()


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    """Cut off, absent, or for other labels."""
    with pytest.raises(ModelRejected, match="weights for 2 labels, the manifest 3"):
        load(bundle(tmp_path, ("a", "b", "c")), LoadOptions())
    made = bundle(tmp_path)
    (tmp_path / "model.safetensors").write_bytes((tmp_path / "model.safetensors").read_bytes()[:50])
    with pytest.raises(ModelRejected, match=r"model\.safetensors"):
        load(made)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ModelRejected, match=r"model\.safetensors"):
        load(made)


FINGERPRINTS = st.sets(
    st.one_of(st.integers(0, 2**32 - 1), st.integers(0, 40), st.integers(2**32 - 40, 2**32 - 1)), max_size=300
)


@given(FINGERPRINTS, FINGERPRINTS)
def test_the_lookup_finds_what_a_search_finds(known: set[int], asked: set[int]) -> None:
    """Crowds of neighbours at both ends, nothing at all, and what is not there: the sum of the same weights."""
    weights = {number: number % 251 - 125 for number in known}
    table = np.array(sorted(known), dtype=np.uint32)
    values = np.array([[weights[number], -weights[number] // 2] for number in sorted(known)], dtype=np.int8)
    one, zero = np.ones(2, dtype=np.float32), np.zeros(2, dtype=np.float32)
    lookup = Lookup(LinearModel(table, values.reshape(-1, 2), one, zero, ngrams=1))
    found = np.array(sorted(asked | set(list(known)[:50])), dtype=np.uint32)
    hits = [number for number in found.tolist() if number in weights]
    expected = [sum(weights[number] for number in hits), sum(-weights[number] // 2 for number in hits)]
    assert lookup.total(found).tolist() == expected


@given(st.text(st.sampled_from("aZ1'!?é \u2019<\ud800\n-")), st.text())
def test_words_are_what_the_documented_expression_finds(crowded: str, wild: str) -> None:
    """Letters, digits and apostrophes in any order, and any other text."""
    for text in (crowded, wild, f"{crowded}<br />{wild}"):
        plain = text.replace("<br />", " ").replace("\u2019", "'").lower().encode("utf-8", "surrogatepass")
        assert split_words(text) == re.findall(rb"[a-z0-9\x80-\xff]+(?:'[a-z]+)*|[!?]", plain)


@given(st.lists(st.sampled_from(["a", "b", "c", "a's", "!", "1"]), max_size=30), st.integers(1, 4))
def test_fingerprints_are_different_and_in_order(text: list[str], ngrams: int) -> None:
    """One for each different run of words, however often it occurs."""
    words = [word.encode() for word in text]
    runs = {tuple(words[i : i + size]) for size in range(1, ngrams + 1) for i in range(len(words) - size + 1)}
    found = fingerprint(words, ngrams)
    assert found.tolist() == sorted(set(found.tolist()))
    assert len(found) == len(runs)


WORDS = st.lists(st.sampled_from([b"a", b"b", b"c", b"a's", b"!"]), max_size=12)


@given(st.lists(WORDS, max_size=6), st.integers(1, 4))
def test_several_texts_together_have_the_fingerprints_of_each(texts: list[list[bytes]], ngrams: int) -> None:
    """No run reaches from one text into the next; empty and equal texts keep their own."""
    found, owner = fingerprint_many(texts, ngrams)
    assert owner.tolist() == sorted(owner.tolist())
    for place, words in enumerate(texts):
        assert found[owner == place].tolist() == fingerprint(words, ngrams).tolist()


def test_a_text_is_answered_alike_alone_and_together(tmp_path: Path) -> None:
    """To the last bit, whoever else is asking."""
    classifier = load(bundle(tmp_path))
    texts = ["A wonderful film!", "", "awful, awful", "wonderful and awful", "neither"]
    assert classifier.encode(texts) == [alone for text in texts for alone in classifier.encode([text])]
    classifier.close()
