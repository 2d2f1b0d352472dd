"""The linear model: what it learns, what it keeps, and that it is the same every time."""

from pathlib import Path

import numpy as np
import pytest
from tests.unit.train.corpus import BAD, GOOD, dataset, reviews

from matinee.core.manifest import Manifest
from matinee.flavors import LinearModel, fingerprint, load_linear, save_linear, split_words
from matinee.train.linear import LINEAR_FILE, LinearPlan, fit_linear, train_linear


def one_hot(labels: "np.typing.NDArray[np.int64]", classes: int) -> "np.typing.NDArray[np.float32]":
    """Targets for certain labels."""
    return np.eye(classes, dtype=np.float32)[labels]


def test_it_learns_which_words_praise() -> None:
    """Trained on some reviews, it is right on most others, and its single words point the right way."""
    train, test = reviews(200, 1), reviews(200, 2)
    model = fit_linear(train.texts, one_hot(train.labels, 2), LinearPlan())
    assert (model.logits(test.texts).argmax(axis=1) == test.labels).mean() > 0.9
    assert model.logits(GOOD).argmax(axis=1).tolist() == [1] * len(GOOD)
    assert model.logits(BAD).argmax(axis=1).tolist() == [0] * len(BAD)


def test_more_than_two_labels_get_a_column_each() -> None:
    """Nothing in model or file is tied to two labels."""
    texts = ["red apple", "green pear", "blue plum", "red cherry", "green leaf", "blue sky"] * 4
    labels = np.array([0, 1, 2] * 8)
    model = fit_linear(texts, one_hot(labels, 3), LinearPlan(penalty=0.1))
    assert model.weights.shape[1] == model.labels == 3
    assert model.logits(["blue thing", "red thing", "green thing"]).argmax(axis=1).tolist() == [2, 0, 1]


def test_retraining_gives_the_same_bytes(tmp_path: Path) -> None:
    """No random numbers, no dates, no order of hashes."""
    for name in ("a", "b"):
        train_linear(dataset(), tmp_path / name)
    assert (tmp_path / "a" / LINEAR_FILE).read_bytes() == (tmp_path / "b" / LINEAR_FILE).read_bytes()


def test_the_file_gives_back_the_model(tmp_path: Path) -> None:
    """Saved and mapped again, it answers the same."""
    train = reviews(60, 1)
    model = fit_linear(train.texts, one_hot(train.labels, 2), LinearPlan())
    save_linear(model, tmp_path / "m")
    assert np.array_equal(load_linear(tmp_path / "m").logits(train.texts), model.logits(train.texts))


def test_the_limit_keeps_the_strongest(tmp_path: Path) -> None:
    """With room for few n-grams the opinions stay, not the plain words."""
    train = reviews(200, 1)
    model = fit_linear(train.texts, one_hot(train.labels, 2), LinearPlan(ngrams=1, limit=16))
    kept = {word for word in (*GOOD, *BAD) if fingerprint(split_words(word), 1)[0] in model.fingerprints}
    assert len(model.fingerprints) == 16
    assert len(kept) == 16


@pytest.mark.parametrize("text", ["", "   ", "!!!", "\udc80\ud800", "\x00", "日本語 🎬", "a" * 100_000])
def test_any_text_has_logits(text: str) -> None:
    """Nothing a person can send makes it fail or answer what is not a number."""
    train = reviews(20, 1)
    model = fit_linear(train.texts, one_hot(train.labels, 2), LinearPlan())
    assert np.isfinite(model.logits([text])).all()


def test_words_are_cut_the_same_whatever_the_typography() -> None:
    """Case, line breaks of the corpus and curly apostrophes make no difference; `!` and `?` are words."""
    expected = [b"it", b"isn't", b"caf\xc3\xa9", b"!", b"?"]
    assert split_words("It ISN\u2019T<br />caf\u00e9 -- (!?)") == expected


def test_repetition_counts_once() -> None:
    """Features are binary: saying it twice adds only the new pairs of words."""
    assert np.array_equal(fingerprint([b"good"], 1), fingerprint([b"good"] * 5, 1))
    assert len(fingerprint([b"good"] * 5, 3)) == 3


def test_order_matters_from_two_words_on() -> None:
    """`not good` and `good not` share their words and differ in the pair."""
    first, second = fingerprint([b"not", b"good"], 2), fingerprint([b"good", b"not"], 2)
    assert len(np.intersect1d(first, second)) == 2
    assert len(np.union1d(first, second)) == 4


def test_a_damaged_file_is_refused_in_words(tmp_path: Path) -> None:
    """Cut off, of another kind, or with tensors that do not fit together: a `ValueError` says so."""
    model = LinearModel(
        np.array([1, 2], np.uint32), np.ones((2, 1), np.int8), np.ones(1, np.float32), np.zeros(1, np.float32), 1
    )
    path = tmp_path / "m"
    save_linear(model, path)
    content = path.read_bytes()
    damages = {
        "cut off": content[:20],
        "must say format": content.replace(b"matinee-linear", b"matinee-wrong!"),
        "no usable": content.replace(b'"weights"', b'"weighty"'),
        "another shape": content.replace(b"[2,1]", b"[1,2]"),
    }
    for message, damaged in damages.items():
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=message):
            load_linear(path)


def test_the_bundle_says_what_it_is_and_how_good(tmp_path: Path) -> None:
    """Manifest and card hold calibration, figures, lineage and examples; the files' digests are of the files."""
    manifest = train_linear(dataset(), tmp_path / "sentiment", seed=3)
    written = Manifest.from_json((tmp_path / "sentiment" / "matinee.json").read_text(encoding="utf-8"))
    assert written == manifest
    assert manifest.flavor == "linear"
    assert manifest.labels == ("negative", "positive")
    assert manifest.calibration["temperature"] > 0
    assert manifest.metrics["test"]["accuracy"] > 0.9
    assert manifest.lineage["seed"] == 3
    assert manifest.lineage["data_digest"].startswith("sha256:")
    assert manifest.files[LINEAR_FILE].size == (tmp_path / "sentiment" / LINEAR_FILE).stat().st_size
    card = (tmp_path / "sentiment" / "card.md").read_text(encoding="utf-8")
    assert manifest.lineage["data_digest"] in card
    assert f"{manifest.metrics['test']['accuracy']:.2%}" in card
