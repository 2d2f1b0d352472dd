"""The corpus: no hostile model is loaded and no payload runs; every benign model is loaded."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.fakes.bundles import CORPUS, bundle_of

from matinee import flavors
from matinee.core.errors import ModelRejected
from matinee.verify import Policy, check, inspect

# Their files are in order, name by name; what is wrong with them shows when they are read, in the helper process.
UNSOUND = ("reads-files", "wild-matrix", "wild-tree")
HOSTILE = sorted(path.name for path in (CORPUS / "hostile").iterdir() if path.name not in UNSOUND)
BENIGN = sorted(path.name for path in (CORPUS / "benign").iterdir())
GROWTH_BYTES = 48 * 1024 * 1024

# Prints by how many bytes the peak of its memory grows while it verifies all hostile bundles.
_MEASURE = """
import resource, sys
from pathlib import Path
import h5py
from matinee.verify import check
from tests.fakes.bundles import bundle_of
cases = sorted(Path(sys.argv[1]).iterdir())
check(bundle_of(cases[0]))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for case in cases:
    check(bundle_of(case))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


@pytest.fixture
def canary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that every payload would write."""
    monkeypatch.setenv("MATINEE_CANARY", str(tmp_path / "canary"))
    return tmp_path / "canary"


def test_the_corpus_is_as_large_as_promised() -> None:
    """At least 60 hostile and 25 benign bundles."""
    assert len(HOSTILE) + len(UNSOUND) >= 60
    assert len(BENIGN) >= 25


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_bundles_are_refused_by_verification(case: str, canary: Path) -> None:
    """Each has a reason that names one of its files, and nothing in it was run."""
    with pytest.raises(ModelRejected) as refused:
        inspect(bundle_of(CORPUS / "hostile" / case))
    assert all(": " in reason for reason in refused.value.reasons)
    assert not canary.exists()


@pytest.mark.parametrize("case", UNSOUND)
def test_unsound_models_are_refused_when_they_are_read(case: str, canary: Path) -> None:
    """Wild indices and names of files are found before the model is asked anything."""
    verified = inspect(bundle_of(CORPUS / "hostile" / case))
    with pytest.raises(ModelRejected, match=r"not sound|would read files"):
        flavors.load(verified)
    assert not canary.exists()


@pytest.mark.parametrize("case", BENIGN)
def test_benign_bundles_pass(case: str) -> None:
    """Nothing is held against an ordinary model."""
    report = check(bundle_of(CORPUS / "benign" / case))
    assert report.reasons == ()
    assert report.passed


def test_memory_stays_bounded_whatever_is_verified(canary: Path) -> None:
    """Bombs, gigantic headers and declared terabytes take no more than an ordinary file."""
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, str(CORPUS / "hostile")],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(CORPUS.parent.parent)},
    )
    assert int(done.stdout) < GROWTH_BYTES
    assert not canary.exists()


def test_the_operator_can_allow_a_name() -> None:
    """ALLOW_PICKLE_NAMES takes a name off the list of reasons, and no other."""
    bundle = bundle_of(CORPUS / "hostile" / "function-transformer")
    allowed = "sklearn.preprocessing._function_transformer.FunctionTransformer"
    reasons = check(bundle, Policy(pickle_names=frozenset({allowed}))).reasons
    assert [reason for reason in reasons if "FunctionTransformer" in reason] == []
    assert [reason for reason in reasons if "posix.system" in reason] != []


def test_every_forbidden_name_is_told_at_once() -> None:
    """One look gives the whole list, so that nobody repairs a model name by name."""
    reasons = check(bundle_of(CORPUS / "hostile" / "getattr")).reasons
    assert any("builtins.getattr" in reason for reason in reasons)
    assert any("importlib.import_module" in reason for reason in reasons)
