"""How settings become options of the parts."""

from pathlib import Path

from matinee.app import rollout_options
from matinee.rollout import GateLimits
from matinee.settings import load_settings


def test_a_look_has_the_time_that_the_setting_gives_it(tmp_path: Path) -> None:
    """The limit of whoever waits for it comes after that, whatever the setting."""
    for seconds in (1, 20, 600):
        options = rollout_options(load_settings(environ={"REGISTRY_SECONDS": str(seconds)}, folder=tmp_path))
        assert options.poll_timeout > seconds


def test_an_operators_golden_examples_have_the_time_of_loading(tmp_path: Path) -> None:
    """A long file was always refused, because it could not be answered within the trial's ten seconds."""
    environ = {"GATE_LOAD_SECONDS": "90"}
    assert rollout_options(load_settings(environ=environ, folder=tmp_path)).gate.answer_seconds == (
        GateLimits().answer_seconds
    )
    environ |= {"GATE_GOLDEN": str(tmp_path / "golden.jsonl")}
    assert rollout_options(load_settings(environ=environ, folder=tmp_path)).gate.answer_seconds == 90
