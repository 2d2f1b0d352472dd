"""From a reference to a classifier: one model, a cascade of a manifest, and two models put together by a setting."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.fakes import words
from tests.unit.rollout.stage import Scripted, known_flavor, unavailable

from matinee.core.errors import ModelRejected, RevisionNotFound
from matinee.core.events import Event, ModelOpened
from matinee.core.manifest import Manifest
from matinee.core.reference import ModelRef
from matinee.flavors import LoadOptions
from matinee.rollout import Stages, open_model
from matinee.rollout.opening import Opened, Opening, Renamed
from matinee.sources import SourceOptions, Sources
from matinee.verify import Policy


@pytest.fixture(autouse=True)
def _flavor(tmp_path: Path) -> Iterator[None]:
    with known_flavor(tmp_path):
        yield


def opened(tmp_path: Path, reference: Path, quick: Path | None = None, told: list[Event] | None = None) -> Opened:
    """Open a folder."""
    sources = Sources(SourceOptions(cache_dir=tmp_path / "cache", settle_seconds=0, attempts=1))
    observe = (told if told is not None else []).append
    stages = Stages(sources, Policy(), LoadOptions(), observe, ModelRef.parse(str(quick)) if quick else None)
    return open_model("films", ModelRef.parse(str(reference)), stages)


def cascade(folder: Path, quick: Path, full: Path, quick_digest: str, full_digest: str) -> Path:
    """Write a cascade that names two models and their digests."""
    folder.mkdir()
    members = {
        "quick": {"reference": str(quick), "digest": quick_digest},
        "full": {"reference": str(full), "digest": full_digest},
    }
    options = {"members": members, "sure": 0.95}
    manifest = Manifest(name="both", flavor="cascade", labels=words.LABELS, options=options)
    (folder / "matinee.json").write_text(manifest.to_json())
    return folder


def test_a_model_is_named_by_version_digest_and_reference(tmp_path: Path) -> None:
    """The identity is what every answer will say; the event says how long it took."""
    folder, told = words.write(tmp_path / "one"), []  # type: tuple[Path, list[Event]]
    model = opened(tmp_path, folder, told=told)
    assert model.identity.source == str(folder)
    assert model.identity.digest.startswith("sha256:")
    assert not model.stale
    (event,) = told
    assert isinstance(event, ModelOpened)
    assert event.model == model.identity
    assert event.seconds == model.seconds > 0


def test_a_cascade_opens_its_members_and_holds_them_to_their_digests(tmp_path: Path) -> None:
    """Another member than the promised one is refused, because the cascade's digest vouches for it."""
    one, two = words.write(tmp_path / "one", quick=True), words.write(tmp_path / "two", bias=0.1)
    digests = [opened(tmp_path, folder).identity.digest for folder in (one, two)]
    both = opened(tmp_path, cascade(tmp_path / "both", one, two, *digests))
    assert both.classifier.labels == words.LABELS
    assert len(both.parcel.bundles) == 3
    assert both.identity.digest == both.parcel.bundle.digest
    words.write(two, bias=0.2)
    with pytest.raises(ModelRejected, match=r"options\.members\.full promises"):
        opened(tmp_path, tmp_path / "both")


@pytest.mark.parametrize("members", [{}, {"quick": {}}, {"quick": "bundled:x"}, None])
def test_a_cascade_without_members_is_refused(tmp_path: Path, members: object) -> None:
    """The reason names the field."""
    folder = cascade(tmp_path / "both", tmp_path, tmp_path, "", "")
    document = json.loads((folder / "matinee.json").read_text())
    document["options"] = {"members": members}
    (folder / "matinee.json").write_text(json.dumps(document))
    with pytest.raises(ModelRejected, match=r"options\.members\.quick"):
        opened(tmp_path, folder)


def test_two_models_put_together_by_a_setting_are_named_by_both(tmp_path: Path) -> None:
    """Version and digest change when either of them does."""
    one, two = words.write(tmp_path / "one", quick=True), words.write(tmp_path / "two", bias=0.1)
    digests = [opened(tmp_path, folder).identity.digest for folder in (one, two)]
    both = opened(tmp_path, two, quick=one)
    assert both.identity.version == "+".join(digest.removeprefix("sha256:")[:12] for digest in reversed(digests))
    assert both.identity.digest == "sha256:" + hashlib.sha256("\n".join(reversed(digests)).encode()).hexdigest()
    assert len(both.parcel.bundles) == 2
    encoded = both.classifier.encode(["a good film"])[0]
    assert encoded.answer is None, "0.9 is not sure enough"
    answer = both.classifier.finish(encoded, both.classifier.run(encoded.rows))
    assert answer.scores == pytest.approx((0.2, 0.8), abs=1e-5), "the full model's own answer"
    words.write(one, bias=0.05, quick=True)
    assert opened(tmp_path, two, quick=one).identity.digest != both.identity.digest


@pytest.mark.parametrize("chosen_by", ["manifest", "setting"])
def test_a_cascade_opens_from_the_cache_while_the_registry_of_its_members_is_away(
    tmp_path: Path, chosen_by: str
) -> None:
    """All its files are here; what was looked up long ago is marked stale."""
    quick, full = (words.write(tmp_path / name, quick=name == "quick") for name in ("quick", "full"))
    sources = Scripted(SourceOptions(cache_dir=tmp_path / "cache", settle_seconds=0.0, attempts=1))
    stages = Stages(sources, Policy(), LoadOptions(), lambda _: None)
    if chosen_by == "setting":
        reference, stages = ModelRef.parse(str(full)), replace(stages, quick=ModelRef.parse(str(quick)))
    else:
        digests = [opened(tmp_path, folder).identity.digest for folder in (quick, full)]
        reference = ModelRef.parse(str(cascade(tmp_path / "both", quick, full, *digests)))
    digest = open_model("both", reference, stages).identity.digest
    sources.answer = unavailable
    bundle = sources.last_good(reference)
    assert bundle is not None
    again = Opening("both", reference, stages).unpack(bundle)
    assert again.digest == digest
    assert again.stale


def test_whatever_a_models_code_raises_is_a_refusal(tmp_path: Path) -> None:
    """A foreign error becomes one of ours, with its kind and first line."""
    with pytest.raises(ModelRejected, match="loading raised ValueError: no such layer"):
        opened(tmp_path, words.write(tmp_path / "one", trouble="raises"))


def test_a_reference_to_nothing_is_told_as_such(tmp_path: Path) -> None:
    """The source's own error comes through."""
    with pytest.raises(RevisionNotFound):
        opened(tmp_path, tmp_path / "nothing")


def test_labels_can_be_renamed(tmp_path: Path) -> None:
    """Everything else is the classifier's own."""
    model = opened(tmp_path, words.write(tmp_path / "one", labels=("NEG", "POS")))
    renamed = model.renamed({"NEG": "negative", "POS": "positive"}).classifier
    assert isinstance(renamed, Renamed)
    assert renamed.labels == ("negative", "positive")
    encoded = renamed.encode(["a good film"])[0]
    assert renamed.finish(encoded, renamed.run(encoded.rows)).scores[1] > 0.5
    assert model.renamed({}) is model
