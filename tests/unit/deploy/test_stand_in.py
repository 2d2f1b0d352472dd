"""The Cloud Run stand-in refuses what Cloud Run refuses, and splits traffic exactly."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from deploy.release.document import Notes, Share, service, template
from deploy.release.errors import ControlFailed
from tests.unit.deploy.stage import IMAGE, Stage, stage


@pytest.fixture
def on(tmp_path: Path) -> Iterator[Stage]:
    with stage(tmp_path) as opened:
        yield opened


def _document(on: Stage, name: str, traffic: list[Share] | None = None) -> dict[str, Any]:
    body = template(on.config, IMAGE, "bundled:x", name)
    return service(on.config, body, traffic or [], Notes())


def _cpu(document: dict[str, Any]) -> None:
    document["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["cpu"] = "abc"


def _percent(document: dict[str, Any]) -> None:
    document["spec"]["traffic"] = [{"latestRevision": True, "percent": 90}]


def _port(document: dict[str, Any]) -> None:
    document["spec"]["template"]["spec"]["containers"][0]["env"].append({"name": "PORT", "value": "1"})


def _name(document: dict[str, Any]) -> None:
    document["spec"]["template"]["metadata"]["name"] = "other-1"


@pytest.mark.parametrize("spoil", [_cpu, _percent, _port, _name])
def test_bad_values_are_refused_and_change_nothing(on: Stage, spoil: Callable[[dict[str, Any]], None]) -> None:
    """Gcloud passes them on unchecked."""
    document = _document(on, "matinee-1")
    spoil(document)
    with pytest.raises(ControlFailed):
        on.control.replace(document)
    assert on.live().document is None


def test_a_revisions_name_cannot_be_used_for_something_else(on: Stage) -> None:
    """Cloud Run never forgets a name."""
    on.control.replace(_document(on, "matinee-1"))
    other = _document(on, "matinee-1")
    other["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] = "bundled:y"
    with pytest.raises(ControlFailed, match="different configuration"):
        on.control.replace(other)


def test_traffic_is_split_exactly(on: Stage) -> None:
    """Not drawn by chance: a test can count."""
    on.control.replace(_document(on, "matinee-1"))
    on.control.replace(_document(on, "matinee-2", [Share("matinee-1", 75), Share("matinee-2", 25, "candidate")]))
    drawn = Counter(revision.name for _ in range(200) if (revision := on.cloud.route("matinee.localhost:80")))
    assert drawn == {"matinee-1": 150, "matinee-2": 50}
    tagged = on.cloud.route("candidate---matinee.localhost")
    assert tagged is not None
    assert tagged.name == "matinee-2"
    assert on.cloud.route("nobody.localhost") is None


def test_a_revision_that_fails_changes_no_traffic(on: Stage) -> None:
    """It stays the newest template, though: that is why a release restores the old one."""
    on.control.replace(_document(on, "matinee-1"))
    bad = _document(on, "matinee-2")
    bad["spec"]["template"]["spec"]["containers"][0]["env"].append({"name": "BEHAVIOUR", "value": "crash"})
    with pytest.raises(ControlFailed, match="failed to start"):
        on.control.replace(bad)
    assert on.shares() == {"matinee-1": 100}
    assert on.live().template["metadata"]["name"] == "matinee-2"
