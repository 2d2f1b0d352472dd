"""What ships with the package is what its manifests and cards say."""

from pathlib import Path

import pytest

import matinee
from matinee.core.manifest import Manifest
from matinee.train.bundles import measure_files, read_manifest

BUNDLED = Path(matinee.__file__).parent / "bundled"
MEGABYTES = {"imdb-sentiment-linear": 8, "imdb-sentiment-transformer": 25, "imdb-sentiment": 0.1}
# A little below what the cards say: a guard against shipping something else, not a goal.
LEAST_ACCURACY = {"imdb-sentiment-linear": 0.915, "imdb-sentiment-transformer": 0.926, "imdb-sentiment": 0.93}


@pytest.fixture(params=sorted(path.name for path in BUNDLED.iterdir() if (path / "matinee.json").exists()))
def bundle(request: pytest.FixtureRequest) -> Path:
    """Each bundled model in turn."""
    return BUNDLED / str(request.param)


@pytest.fixture
def manifest(bundle: Path) -> Manifest:
    """Its manifest."""
    return read_manifest(bundle)


def test_files_are_the_ones_that_were_trained(bundle: Path, manifest: Manifest) -> None:
    """Sizes and digests agree, and all of them together are small."""
    assert measure_files(bundle) == dict(manifest.files)
    assert sum(entry.size for entry in manifest.files.values()) <= MEGABYTES[bundle.name] * 1e6


def test_figures_are_what_was_asked_for(bundle: Path, manifest: Manifest) -> None:
    """On all 25,000 test reviews, and the confidences mean what they say."""
    figures = manifest.metrics["test"]
    assert figures["count"] == sum(map(sum, figures["confusion"])) == 25_000
    assert figures["accuracy"] >= LEAST_ACCURACY[bundle.name]
    assert figures["ece"] <= 0.02


def test_the_card_tells_where_it_comes_from(bundle: Path, manifest: Manifest) -> None:
    """Data, code, command and figures, for a person."""
    card = (bundle / "card.md").read_text(encoding="utf-8")
    for key in ("data_digest", "code_commit", "command"):
        assert manifest.lineage[key]
        assert str(manifest.lineage[key]) in card
    assert f"{manifest.metrics['test']['accuracy']:.2%}" in card


def test_examples_cover_both_answers(manifest: Manifest) -> None:
    """What warms a model up and guards its successor is not one-sided."""
    assert {example.label for example in manifest.examples} == set(manifest.labels)
