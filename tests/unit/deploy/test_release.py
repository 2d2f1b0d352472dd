"""A release reaches the users in steps, and not at all when a step fails."""

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path

import pytest
from deploy.release.errors import ControlFailed, GateFailed, Interrupted, ReleaseError
from tests.unit.deploy.stage import IMAGE, OTHER_IMAGE, Stage, model, stage


@pytest.fixture
def on(tmp_path: Path) -> Iterator[Stage]:
    with stage(tmp_path) as opened:
        yield opened


def _nothing_changed(on: Stage, stable: str) -> None:
    assert on.shares() == {stable: 100}
    assert on.live().settled
    assert on.live().template["metadata"]["name"] == stable


def test_the_first_release_takes_all_traffic(on: Stage) -> None:
    """There is no older revision, so that the new one has everything once its answers are right."""
    on.release().deploy(IMAGE, model())
    assert list(on.shares().values()) == [100]
    assert on.live().notes.stable == on.live().stable
    assert on.live().notes.model == model().reference


def test_a_first_release_that_fails_leaves_no_service(on: Stage) -> None:
    """Nothing was there before, and nothing is there afterwards."""
    with pytest.raises(GateFailed, match="golden review 0 is positive, and the answer was negative"):
        on.release({"BEHAVIOUR": "wrong"}).deploy(IMAGE, model())
    assert on.live().document is None


def test_a_release_goes_by_candidate_and_canary_to_all(on: Stage) -> None:
    """The traffic tables that the platform was sent, in order."""
    on.release().deploy(IMAGE, model())
    old = on.live().stable
    on.cloud.calls.clear()
    on.release().deploy(OTHER_IMAGE, model())
    new = on.live().stable
    tables = [document["spec"]["traffic"] for method, _, document in on.cloud.calls if method == "PUT"]
    assert tables == [
        [{"revisionName": old, "percent": 100}, {"revisionName": new, "percent": 0, "tag": "candidate"}],
        [
            {"revisionName": old, "percent": 90, "tag": "stable"},
            {"revisionName": new, "percent": 10, "tag": "candidate"},
        ],
        [{"revisionName": new, "percent": 100}],
    ]
    assert on.live().notes.previous == old
    assert old != new


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ("crash", "did not become ready: The user-provided container failed to start"),
        ("wrong", "smoke test: golden review 0 is positive"),
        ("broken", "smoke test: POST /predict answered 500"),
    ],
)
def test_a_bad_release_leaves_the_old_revision_with_everything(on: Stage, behaviour: str, reason: str) -> None:
    """All traffic, no candidate's tag, and the old template, so that nothing later inherits the bad one."""
    on.release().deploy(IMAGE, model())
    old = on.live().stable
    with pytest.raises(GateFailed, match=reason):
        on.release({"BEHAVIOUR": behaviour}).deploy(OTHER_IMAGE, model())
    _nothing_changed(on, old)
    assert f"restored: {old} has all traffic" in on.said


def test_a_release_that_is_too_slow_is_taken_back(on: Stage) -> None:
    """With a limit that nothing keeps, since real times depend on the machine."""
    on.release().deploy(IMAGE, model())
    old = on.live().stable
    limits = replace(on.config.limits, max_latency_ratio=0.0, latency_floor_seconds=0.0)
    with pytest.raises(GateFailed, match="canary: 95 % of the answers take up to"):
        on.release(limits=limits).deploy(OTHER_IMAGE, model())
    _nothing_changed(on, old)


def test_a_model_of_another_version_than_expected_is_refused(on: Stage) -> None:
    """The answers must name the version that was to be released."""
    on.release().deploy(IMAGE, model())
    old = on.live().stable
    wrong = model("v2")
    with pytest.raises(GateFailed, match="should be version v9"):
        on.release().deploy(IMAGE, type(wrong)(wrong.reference, "v9", "", wrong.follows))
    _nothing_changed(on, old)


def test_errors_of_real_callers_end_the_canary(on: Stage) -> None:
    """Probes may all be well; the platform's request log says what callers got."""
    on.release().deploy(IMAGE, model())
    old = on.live().stable

    def fail_callers(operation: str) -> None:
        if operation == "requests":
            on.cloud.record(on.launcher.started[-1], 503, 0.1)

    on.control.before = fail_callers
    with pytest.raises(GateFailed, match=r"canary: \d+ of \d+ requests failed, at most 1\.0% may"):
        on.release().deploy(OTHER_IMAGE, model())
    _nothing_changed(on, old)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("at_write", [1, 2, 3])
def test_a_signal_at_any_step_takes_the_release_back(on: Stage, number: signal.Signals, at_write: int) -> None:
    """Before the candidate, before the canary, before the promotion."""
    on.release().deploy(IMAGE, model())
    old = on.live().stable
    writes = 0

    def interrupt(operation: str) -> None:
        nonlocal writes
        writes += operation == "replace"
        if operation == "replace" and writes == at_write:
            os.kill(os.getpid(), number)

    on.control.before = interrupt
    with pytest.raises(Interrupted, match=number.name):
        on.release().deploy(OTHER_IMAGE, model())
    _nothing_changed(on, old)


def test_restoring_is_tried_again_when_the_platform_stumbles(on: Stage) -> None:
    """The write that takes a release back is the one that must succeed."""
    on.release().deploy(IMAGE, model())
    old = on.live().stable
    writes = 0

    def stumble(operation: str) -> None:
        nonlocal writes
        writes += operation == "replace"
        if operation == "replace" and writes in (2, 3):
            raise ControlFailed("503 backend error")

    on.control.before = stumble
    with pytest.raises(ControlFailed, match="503 backend error"):
        on.release().deploy(OTHER_IMAGE, model())
    _nothing_changed(on, old)
    assert "restoring failed (1 of 4): 503 backend error" in on.said


def test_what_a_killed_run_left_is_settled(on: Stage) -> None:
    """SIGKILL in the canary leaves split traffic: `settle`, or the next release, gives the old revision everything."""
    on.release().deploy(IMAGE, model())
    old = on.live().stable
    on.control.before = _dies_at_promotion()
    with pytest.raises(MemoryError):
        on.release().deploy(OTHER_IMAGE, model())
    on.control.before = lambda _: None
    assert on.shares()[old] == 90
    assert on.release().settle()
    _nothing_changed(on, old)
    assert not on.release().settle()


def _dies_at_promotion() -> Callable[[str], None]:
    writes = 0

    def die(operation: str) -> None:
        nonlocal writes
        writes += operation == "replace"
        if operation == "replace" and writes >= 3:
            raise MemoryError  # nothing below catches it, not even the restoring

    return die


def test_rollback_gives_everything_back_and_can_be_undone(on: Stage) -> None:
    """No build, one write; a second rollback returns to where it was."""
    on.release().deploy(IMAGE, model())
    old = on.live().stable
    on.release().deploy(OTHER_IMAGE, model("v2"))
    new = on.live().stable
    assert on.release().rollback() == old
    assert on.shares() == {old: 100}
    assert on.live().notes.model == model().reference
    assert on.release().rollback() == new
    assert on.shares() == {new: 100}


def test_rollback_without_an_earlier_revision_says_so(on: Stage) -> None:
    """One sentence, and nothing changed."""
    on.release().deploy(IMAGE, model())
    with pytest.raises(ReleaseError, match="no earlier revision on record"):
        on.release().rollback()


def test_a_private_service_is_asked_with_a_token(on: Stage) -> None:
    """As the very first revision always is: nobody has made the service public yet."""
    on.release({"BEHAVIOUR": "private"}).deploy(IMAGE, model())
    assert list(on.shares().values()) == [100]


def test_an_image_by_tag_is_refused(on: Stage) -> None:
    """A tag can move between the test and the release."""
    with pytest.raises(ReleaseError, match="by digest"):
        on.release().deploy("registry.test/proj/matinee:latest", model())
    assert on.live().document is None


def test_the_canary_splits_real_traffic(on: Stage) -> None:
    """Ten of a hundred requests to the service's address reach the new revision while the canary runs."""
    on.release().deploy(IMAGE, model())
    old = on.live().stable
    served: list[str] = []

    def ask(operation: str) -> None:
        if operation == "requests":
            served.extend(_ask_front(on.front_port) for _ in range(100))

    on.control.before = ask
    on.release(limits=replace(on.config.limits, watch_seconds=0)).deploy(OTHER_IMAGE, model())
    assert served.count(old) == 90


def _ask_front(port: int) -> str:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/api/health", headers={"Host": f"matinee.localhost:{port}"})
    response = connection.getresponse()
    response.read()
    connection.close()
    return str(response.getheader("X-Served-By"))
