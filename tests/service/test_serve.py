"""`matinee serve` as a process: starts with one line, refuses with one line, stops in time."""

import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fakes.listening import read_all
from tests.fakes.processes import PATIENCE, ROOT, ServerProcess, launch, running, until

SECRET = "canary-secret-5d1c0a"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server that answers."""
    with running(tmp_path) as server:
        yield server


def refusal(folder: Path, environ: dict[str, str], *options: str) -> tuple[int, str]:
    """Exit status and what was said by a server that cannot start."""
    process = launch(folder, environ, *options)
    _, said = process.communicate(timeout=PATIENCE)
    return process.returncode, said.decode()


def test_it_answers_and_stops_on_sigterm(server: ServerProcess) -> None:
    """With exit status 0, and within the promised time."""
    status, headers, answer = server.request("POST", "/predict", {"text": "good"})
    code, seconds = server.stop()

    assert (status, answer["predictions"][0]["label"]) == (200, "positive")
    assert headers["x-matinee-model"] == "obedient"
    assert (code, seconds < 8) == (0, True)


def test_ctrl_c_ends_it_with_status_0(server: ServerProcess) -> None:
    """A person at a terminal is not told of an error."""
    assert server.stop(signal.SIGINT)[0] == 0


def test_ctrl_c_while_a_graph_is_compiled_is_no_crash(tmp_path: Path) -> None:
    """The thread that compiles comes back from C++ to a Python that is ending: the process aborted."""
    for moment in range(4):
        process = launch(tmp_path, {"MODEL": "bundled:imdb-sentiment-transformer"})
        maps = Path(f"/proc/{process.pid}/maps")
        until(lambda maps=maps: "openvino_intel_cpu_plugin" in maps.read_text())  # type: ignore[misc]
        time.sleep(moment / 20)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, said.decode()


def test_half_sent_requests_do_not_hold_it_up(server: ServerProcess) -> None:
    """Neither do idle connections; each of the 40 is closed."""
    half = [b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{", b"GET /livez HTTP/1.1\r\nHo", b""]
    connections = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(40)]
    for number, connection in enumerate(connections):
        connection.sendall(half[number % len(half)])
    assert server.request("GET", "/livez")[0] == 200

    code, seconds = server.stop()

    assert (code, seconds < 8) == (0, True)
    for connection in connections:
        read_all(connection)
        connection.close()


def test_what_is_in_flight_is_answered(tmp_path: Path) -> None:
    """A request that was taken before SIGTERM gets its answer; the probe says that no more are wanted."""
    with running(tmp_path, {"DRAIN_SECONDS": "1", "ANSWER_CACHE": "0"}) as server:
        found: list[int] = []
        asking = threading.Thread(target=lambda: found.append(server.request("POST", "/predict", {"text": "nap"})[0]))
        asking.start()
        while b'queued_texts{model="obedient"} 1.0' not in server.request("GET", "/metrics")[2]:
            time.sleep(0.01)
        server.process.send_signal(signal.SIGTERM)
        while server.request("GET", "/readyz")[0] == 200:
            time.sleep(0.01)
        assert server.request("GET", "/readyz")[2]["status"] == "draining"
        code = server.process.wait(PATIENCE)
        asking.join()

    assert (code, found) == (0, [200])


def test_a_second_sigterm_is_harmless(tmp_path: Path) -> None:
    """It ends the draining early, and nothing else."""
    with running(tmp_path, {"DRAIN_SECONDS": "30"}) as server:
        server.process.send_signal(signal.SIGTERM)
        while server.request("GET", "/readyz")[0] == 200:
            time.sleep(0.01)
        code, seconds = server.stop()

    assert (code, seconds < 8) == (0, True)


def test_a_taken_port_is_one_sentence(tmp_path: Path) -> None:
    """With an exit status of its own, before any model is loaded."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        code, said = refusal(tmp_path, {"PORT": port})

    assert code == 5
    assert said.count("\n") == 1
    assert port in said
    assert "PORT" in said


def test_an_address_of_another_machine_is_one_sentence(tmp_path: Path) -> None:
    """It is HOST that is wrong, and no other PORT would help."""
    code, said = refusal(tmp_path, {"HOST": "192.0.2.1"})

    assert code == 5
    assert said.count("\n") == 1
    assert "set HOST" in said
    assert "PORT" not in said


def test_bad_settings_are_one_message(tmp_path: Path) -> None:
    """All of them, without values and without a traceback."""
    environ = {"WORKERS": "none", "MATINEE_PROT": "1", "ADMIN_KEY": SECRET[:5], "QUEUE_TEXTS": "-1"}
    code, said = refusal(tmp_path, environ)

    assert code == 2
    assert said.count("\n") == 1
    assert all(name in said for name in environ)
    assert "Traceback" not in said
    assert SECRET[:5] not in said


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_model_that_cannot_be_served_ends_it(tmp_path: Path, workers: str) -> None:
    """With the reason in one sentence and exit status 3."""
    code, said = refusal(tmp_path, {"MODEL": str(tmp_path / "missing"), "WORKERS": workers})

    assert code == 3
    assert "Error: " in said
    assert "Traceback" not in said


def test_nothing_secret_and_nothing_said_is_logged(tmp_path: Path) -> None:
    """Not by requests that work, fail or are refused, and not at any level."""
    secrets = {name: f"{SECRET}-{name}" for name in ("ADMIN_KEY", "SECRET_KEY", "WEBHOOK_SECRET")}
    with running(tmp_path, secrets | {"DEBUG": "true", "LOG_REQUESTS": "true"}) as server:
        for text in (f"{SECRET} good", f"{SECRET} fail", ""):
            server.request("POST", "/predict", {"text": text})
        server.request("GET", f"/{SECRET}?{SECRET}={SECRET}")
        metrics = server.request("GET", "/metrics")[2]
        shown = [server.request("GET", path)[2] for path in ("/models", "/readyz", "/openapi.json")]
        server.process.send_signal(signal.SIGTERM)
        _, rest = server.process.communicate(timeout=PATIENCE)

    assert SECRET not in "".join(server.lines) + rest.decode()
    assert SECRET.encode() not in metrics
    assert SECRET not in str(shown)


def test_several_workers_are_one_server(tmp_path: Path) -> None:
    """One port, figures that add up, a dead worker is replaced, and all of them stop together."""
    with running(tmp_path, {"WORKERS": "2"}) as server:
        assert [server.request("POST", "/predict", {"text": "good"})[0] for _ in range(20)] == [200] * 20
        counted = server.request("GET", "/metrics")[2].decode()
        before = server.children()
        killed, survivor = before
        os.kill(killed, signal.SIGKILL)
        while len(set(server.children()) - set(before)) < 1:
            time.sleep(0.05)
        assert server.request("POST", "/predict", {"text": "good"})[0] == 200
        code, seconds = server.stop()

    assert len(before) == 2
    assert 'matinee_requests_total{model="obedient"' in counted
    total = next(line for line in counted.splitlines() if line.startswith("matinee_requests_total"))
    assert total.endswith(" 20.0")
    assert (code, seconds < 10) == (0, True)
    for pid in (killed, survivor):
        assert not Path(f"/proc/{pid}").exists()


def test_what_an_administrator_does_reaches_every_worker(tmp_path: Path) -> None:
    """A reload and a rollback, asked of one of them, change the version of all."""
    model = tmp_path / "linear"
    shutil.copytree(ROOT / "src/matinee/bundled/imdb-sentiment-linear", model)
    environ = {"WORKERS": "2", "MODEL": str(model), "ADMIN_KEY": SECRET, "WARM_SECONDS": "600"}
    with running(tmp_path, environ) as server:
        (first,) = versions(server)
        manifest = model / "matinee.json"
        manifest.write_text(manifest.read_text("utf-8").replace('"version": "1"', '"version": "2"'), "utf-8")

        assert server.request("POST", "/models/linear/reload", key=SECRET)[0] == 200
        until(lambda: len(versions(server)) == 1 and versions(server) != {first})
        # a conflict, when the worker that is asked comes to the new version only now
        until(lambda: server.request("POST", "/models/linear/rollback", key=SECRET)[0] == 200)
        until(lambda: versions(server) == {first})


def versions(server: ServerProcess) -> set[str]:
    """What new connections are answered by; with so many, every worker has its turn."""
    return {server.request("GET", "/livez")[1]["x-matinee-version"] for _ in range(24)}
