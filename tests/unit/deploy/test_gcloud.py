"""What gcloud is told, and what is made of its answers."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from deploy.release.control import Gcloud, Seen, run_gcloud
from deploy.release.errors import ControlFailed

SERVICE = {"metadata": {"name": "matinee"}, "status": {"traffic": [{"revisionName": "matinee-1", "percent": 100}]}}


class Recorder:
    """Answers like gcloud and keeps the arguments, with the content of the file that they name."""

    def __init__(self, answer: object = "") -> None:
        self.answer = answer if isinstance(answer, str) else json.dumps(answer)
        self.arguments: list[str] = []
        self.file = ""

    def __call__(self, arguments: Sequence[str]) -> str:
        self.arguments = list(arguments)
        if "replace" in self.arguments:
            self.file = Path(self.arguments[3]).read_text()
        return self.answer


def test_live_is_the_listed_service_of_that_very_name() -> None:
    """A filter matches more than it says; a missing service is no error."""
    recorder = Recorder([{"metadata": {"name": "matinee-staging"}}, SERVICE])
    live = Gcloud("demo", "here", recorder).live("matinee")
    assert live.stable == "matinee-1"
    assert recorder.arguments == [
        "run", "services", "list", "--filter=metadata.name=matinee", "--project=demo", "--region=here",
        "--format=json", "--quiet",
    ]  # fmt: skip
    assert Gcloud("demo", "here", Recorder([])).live("matinee").document is None


def test_replace_hands_over_the_whole_document() -> None:
    """As a file, which is gone afterwards."""
    recorder = Recorder(SERVICE)
    assert Gcloud("demo", "here", recorder).replace(SERVICE).stable == "matinee-1"
    assert json.loads(recorder.file) == SERVICE
    assert not Path(recorder.arguments[3]).exists()
    assert recorder.arguments[4:] == ["--project=demo", "--region=here", "--format=json", "--quiet"]


def test_the_request_log_is_read_by_revision_and_time() -> None:
    """Entries without a request (the container's own output) are passed over."""
    recorder = Recorder([{"httpRequest": {"status": 503, "latency": "0.25s"}}, {"textPayload": "hello"}])
    assert Gcloud("demo", "here", recorder).requests("matinee", "matinee-2", "2026-01-01T00:00:00Z") == [
        Seen(503, 0.25)
    ]
    query = recorder.arguments[2]
    assert 'revision_name="matinee-2"' in query
    assert 'timestamp>="2026-01-01T00:00:00Z"' in query
    assert "--region=here" not in recorder.arguments


def test_an_answer_that_is_no_json_is_a_failure() -> None:
    """Gcloud prints advice now and then."""
    with pytest.raises(ControlFailed, match="did not answer with JSON"):
        Gcloud("demo", "here", Recorder("Listed 0 items.")).live("matinee")


def _account(name: str, token_for: Sequence[str]) -> Gcloud:
    """A gcloud logged in as this account, which gives a token for these arguments only."""

    def run(arguments: Sequence[str]) -> str:
        if arguments[0] == "config":
            return f"{name}\n"
        if list(arguments[2:]) != list(token_for):
            raise ControlFailed("Invalid account type for `--audiences`. Requires valid service account.")
        return "token\n"

    return Gcloud("demo", "here", run)


def test_a_person_gets_a_token_without_an_audience() -> None:
    """Gcloud refuses the audience for accounts that are not service accounts."""
    assert _account("jo@example.com", []).identity_token("https://matinee.test") == "token"


def test_a_federated_account_impersonates_itself_for_a_token() -> None:
    """Without a key gcloud has no identity token for it, with an audience or without."""
    name = "deploy@demo.iam.gserviceaccount.com"
    wanted = ["--audiences=https://matinee.test", f"--impersonate-service-account={name}"]
    assert _account(name, wanted).identity_token("https://matinee.test") == "token"


def test_an_account_without_a_token_is_a_failure() -> None:
    """In gcloud's own words."""
    with pytest.raises(ControlFailed, match="Requires valid service account"):
        _account("deploy@demo.iam.gserviceaccount.com", ["nothing"]).identity_token("https://matinee.test")


def test_gcloud_missing_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With the address where it is to be had."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ControlFailed, match="gcloud is not installed"):
        run_gcloud(["version"])


def test_what_gcloud_complained_about_is_passed_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The end of it, where the reason stands."""
    script = tmp_path / "gcloud"
    script.write_text("#!/bin/sh\necho 'Deploying...' >&2\necho 'ERROR: (gcloud.run) PERMISSION_DENIED' >&2\nexit 1\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ControlFailed, match=r"gcloud run services list: .*PERMISSION_DENIED"):
        run_gcloud(["run", "services", "list"])
