"""The declared configuration is read strictly, with every problem in one message."""

from pathlib import Path

import pytest
from deploy.release.caller import load_golden
from deploy.release.config import load_config
from deploy.release.errors import InvalidConfig

ENVIRON = {"GCP_PROJECT": "demo", "GCP_REGION": "europe-west1"}
SHIPPED = Path(__file__).parents[3] / "deploy" / "cloudrun.toml"


def _problems(tmp_path: Path, content: str, environ: dict[str, str] | None = None) -> tuple[str, ...]:
    path = tmp_path / "cloudrun.toml"
    path.write_text(content)
    with pytest.raises(InvalidConfig) as caught:
        load_config(path, ENVIRON if environ is None else environ)
    return caught.value.problems


def test_the_shipped_file_is_valid_and_its_golden_reviews_can_be_read() -> None:
    """A fork that sets only project and region has something that deploys."""
    config = load_config(SHIPPED, ENVIRON)
    assert (config.project, config.region, config.model) == ("demo", "europe-west1", "bundled:imdb-sentiment")
    assert {golden.label for golden in load_golden(config.golden)} == {"positive", "negative"}


def test_the_environment_can_name_another_model() -> None:
    """One file for all stages of a project."""
    assert load_config(SHIPPED, {**ENVIRON, "MODEL": "models:/imdb@champion"}).model == "models:/imdb@champion"


def test_every_problem_is_listed_at_once(tmp_path: Path) -> None:
    """Missing project, wrong sizes, misspelled keys."""
    problems = _problems(tmp_path, '[service]\ncpu = "abc"\nmemroy = "1Gi"\n[release]\ncanary_percent = 100\n', {})
    assert sorted(problem.partition(":")[0] for problem in problems) == [
        "GCP_PROJECT",
        "GCP_REGION",
        "release.canary_percent",
        "service.cpu",
        "service.memroy",
    ]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('[env]\nMODEL = "x"', "env.MODEL: belongs into model.reference"),
        ('[secrets]\nWANDB_API_KEY = "0123456789abcdef"', "never the secret itself"),
        ('[env]\nA = "1"\n[secrets]\nA = "a:1"', "A: is both in env and in secrets"),
        ('[env]\n"a b" = "1"', "a b: is no name of an environment variable"),
        ("[service]\nconcurrency = true", "service.concurrency: must be of type int"),
        ("[typo]", "typo: no such table"),
        ("[service", "cloudrun.toml"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, content: str, problem: str) -> None:
    """By the setting and by what would be right."""
    assert problem in " ".join(_problems(tmp_path, content))


def test_a_secret_in_the_wrong_place_is_not_repeated(tmp_path: Path) -> None:
    """The message of a mistake ends in a log that others read."""
    assert "0123456789abcdef" not in " ".join(_problems(tmp_path, '[secrets]\nKEY = "0123456789abcdef"'))


def test_golden_reviews_must_be_a_list(tmp_path: Path) -> None:
    """No golden review, no gate: that is a mistake, not a pass."""
    path = tmp_path / "golden.json"
    for content in ("[]", "{}", "[{}]", "nonsense"):
        path.write_text(content)
        with pytest.raises(InvalidConfig):
            load_golden(path)
