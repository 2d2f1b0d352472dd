"""Settings: where they come from, which one wins, and how all problems are told at once."""

from pathlib import Path

import pytest

from matinee.core.errors import InvalidSettings
from matinee.settings import Settings, deployment_name, load_settings

SECRET = "canary-secret-5d1c0a"


def settings(folder: Path, **environ: str) -> Settings:
    """Settings of an environment, in a folder of its own."""
    return load_settings(environ=environ, folder=folder)


def test_nothing_set_serves_the_bundled_model(tmp_path: Path) -> None:
    """The defaults are enough."""
    assert settings(tmp_path).references() == {"imdb-sentiment": "bundled:imdb-sentiment"}
    assert settings(tmp_path).port == 8080


def test_the_environment_wins_over_dotenv_over_toml(tmp_path: Path) -> None:
    """And the longer spelling over the shorter one."""
    (tmp_path / "matinee.toml").write_text('port = 1\nhost = "toml"\nworkers = 3\n', "utf-8")
    (tmp_path / ".env").write_text("PORT=2\nHOST='dotenv'\n", "utf-8")

    found = settings(tmp_path, PORT="3", MATINEE_PORT="4")
    given = load_settings({"port": 5, "host": None}, environ={"PORT": "3"}, folder=tmp_path)

    assert (found.port, found.host, found.workers) == (4, "dotenv", 3)
    assert (given.port, given.host) == (5, "dotenv")


def test_an_empty_value_counts_as_not_set(tmp_path: Path) -> None:
    """As compose files and shells produce them."""
    assert settings(tmp_path, PORT="", MATINEE_PORT=" ", API_KEYS="").port == 8080


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    """In one message, each with the name of its setting, and none with its value."""
    (tmp_path / "matinee.toml").write_text("colour = 1\n", "utf-8")
    with pytest.raises(InvalidSettings) as caught:
        settings(tmp_path, PORT="ninety-canary", WORKERS="0", MATINEE_PROT="1", ADMIN_KEY="short", OVERFLOW="cut")

    message = caught.value.message
    assert len(caught.value.problems) == 6
    for name in ("PORT", "WORKERS", "MATINEE_PROT", "ADMIN_KEY", "OVERFLOW", "colour"):
        assert name in message
    assert "canary" not in message
    assert "short" not in message
    assert caught.value.exit_code == 2


def test_contradictions_are_told(tmp_path: Path) -> None:
    """Settings that are fine one by one and not together."""
    with pytest.raises(InvalidSettings) as caught:
        settings(tmp_path, MODEL="./a", MODELS="x=./b", QUEUE_TEXTS="5", LABELS="one")

    assert {problem.split(":")[0] for problem in caught.value.problems} == {"MODEL", "QUEUE_TEXTS", "LABELS"}


def test_a_toml_file_that_is_none_is_told(tmp_path: Path) -> None:
    """With its name."""
    (tmp_path / "matinee.toml").write_text("port 80", "utf-8")

    with pytest.raises(InvalidSettings, match=r"matinee\.toml"):
        settings(tmp_path)


def test_other_peoples_variables_are_left_alone(tmp_path: Path) -> None:
    """Only our prefix is ours; `port` in lower case is somebody else's."""
    assert settings(tmp_path, PATH="/bin", port="1", UNRELATED="x").port == 8080


def test_secrets_do_not_show(tmp_path: Path) -> None:
    """Not when settings are printed, and whoever must hide them gets them all."""
    names = ("WANDB_API_KEY", "SECRET_KEY", "ADMIN_KEY", "WEBHOOK_SECRET", "API_KEYS")
    found = settings(tmp_path, **{name: f"{SECRET}-{name}" for name in names})

    assert SECRET not in f"{found!r} {found}"
    assert sorted(found.secrets()) == sorted(f"{SECRET}-{name}" for name in names)


def test_several_models(tmp_path: Path) -> None:
    """As a line in the environment or as a table in the file; the first one is the default."""
    (tmp_path / "matinee.toml").write_text('[models]\nstars = "./stars"\n', "utf-8")

    assert settings(tmp_path).references() == {"stars": "./stars"}
    line = settings(tmp_path, MODELS="sentiment=wandb:team/project/name:production, stars=hf:org/stars")
    assert list(line.references().items()) == [
        ("sentiment", "wandb:team/project/name:production"),
        ("stars", "hf:org/stars"),
    ]
    with pytest.raises(InvalidSettings, match="MODELS"):
        settings(tmp_path, MODELS="sentiment")


ORIGINAL = [
    ({"LOCAL_MODEL_NAME": "imdb.pkl"}, "ml/model/imdb.pkl"),
    ({"LOCAL_MODEL_DIR": "/models", "LOCAL_MODEL_NAME": "tf_model"}, "/models/tf_model"),
    ({"WANDB_API_KEY": SECRET}, "wandb:imdb-sentiment-api/model:latest"),
    (
        {"WANDB_API_KEY": SECRET, "PROJECT_NAME": "p", "LOCAL_MODEL_NAME": "m.h5", "MODEL_VERSION": "v3"},
        "wandb:p/m:v3",
    ),
    ({"MODEL": "./other", "LOCAL_MODEL_NAME": "imdb.pkl"}, "./other"),
]


@pytest.mark.parametrize(("environ", "reference"), ORIGINAL)
def test_the_original_names_keep_working(tmp_path: Path, environ: dict[str, str], reference: str) -> None:
    """With `MODEL` unset, they say what the original endpoint served."""
    assert list(settings(tmp_path, **environ).references().values()) == [reference]


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("bundled:imdb-sentiment", "imdb-sentiment"),
        ("wandb:team/project/stars:production", "stars"),
        ("models:/stars@champion", "stars"),
        ("models:/stars/3", "stars"),
        ("models:/stars/latest", "stars"),
        ("hf:org/stars@main", "stars"),
        ("s3://bucket/models/stars/", "stars"),
        ("./models/model.pkl", "model.pkl"),
        ("/", "model"),
        ("./é/ü", "model"),
    ],
)
def test_a_reference_has_a_short_name(reference: str, name: str) -> None:
    """The one that callers use."""
    assert deployment_name(reference) == name


@pytest.mark.parametrize(
    "environ",
    [
        {"PRECISION": "int4"},
        {"TRACES": "collector:4318"},
        {"LABELS": "good, bad, good"},
        {"MODELS": "films=./a, films=./b"},
        {"GATE_LABEL_NAMES": "pos=good, pos=bad"},
    ],
)
def test_what_would_be_passed_over_silently_is_told(tmp_path: Path, environ: dict[str, str]) -> None:
    """A misspelled arithmetic was none, and the first of two models of one name never answered."""
    (name,) = environ
    with pytest.raises(InvalidSettings, match=name):
        settings(tmp_path, **environ)


def test_files_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    """With the place; a mark at the beginning, as Windows writes it, is none of the text."""
    (tmp_path / ".env").write_bytes(b"PROJECT_NAME=caf\xe9\n")
    (tmp_path / "matinee.toml").write_text('host = "a"\nport =\n', "utf-8")
    with pytest.raises(InvalidSettings, match=r"toml: is not TOML: .*line 2.*\.env: is not UTF-8"):
        settings(tmp_path)
    (tmp_path / ".env").write_text("HOST=b\n", "utf-8-sig")
    (tmp_path / "matinee.toml").write_text("port = 1\n", "utf-8-sig")
    assert (settings(tmp_path).host, settings(tmp_path).port) == ("b", 1)


def test_the_model_of_the_command_line_wins_over_several_of_a_file(tmp_path: Path) -> None:
    """`matinee evaluate --model X` was refused beside a matinee.toml that serves several."""
    (tmp_path / "matinee.toml").write_text('[models]\nfilms = "./films"\n', "utf-8")
    assert load_settings({"model": "./other"}, environ={}, folder=tmp_path).references() == {"other": "./other"}
