"""Workers are watched: one that falls silent is replaced, and one that has only begun is given time."""

import os
import subprocess
import sys
from pathlib import Path

# In a process of its own, since it forks. A worker notes its birth, and then does what `behaviour` says.
SCENE = """
import asyncio, os, signal, sys, time
from pathlib import Path
from matinee.cli import workers

workers.SILENCE_SECONDS = 0.2
births, behaviour = Path(sys.argv[1]), sys.argv[2]

def run(line):
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    signal.alarm(120)  # an orphan does not live on
    with births.open("a") as file:
        file.write("born\\n")
    if behaviour == "bug":
        raise ZeroDivisionError
    if behaviour == "busy":
        talk(line)
    if behaviour == "slow":
        time.sleep(1.0)
    elif births.read_text().count("born") == 1:
        line.tell("hint", "")
        time.sleep(3600)
    line.started()
    time.sleep(3600)

def talk(line):
    "One tells much while the other does not listen."
    try:
        (births.parent / "speaker").touch(exist_ok=False)
    except FileExistsError:
        time.sleep(1.0)
        heard = []
        loop = asyncio.new_event_loop()
        loop.call_soon(line.listen, lambda _, subject: heard.append(int(subject)) or len(heard) == 300 and loop.stop())
        loop.run_forever()
        births.with_name("heard").write_text("all" if heard == list(range(300)) else "not all")
        line.started()
        time.sleep(3600)
    for number in range(300):
        line.tell("leave", str(number))
    line.started()
    while True:
        time.sleep(0.01)
        line.beat()

def ready():
    supervisor.stopping = True

supervisor = workers.Supervisor(1 + (behaviour == "busy"), run, ready, stop_seconds=30.0)
try:
    raise SystemExit(supervisor.loop())
finally:
    print("cleaned up")
"""


def play(folder: Path, behaviour: str) -> "subprocess.CompletedProcess[str]":
    """The scene, to its end."""
    environ = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)}
    command = [sys.executable, "-c", SCENE, str(folder / "births"), behaviour]
    return subprocess.run(command, env=environ, timeout=120, check=False, stdout=subprocess.PIPE, text=True)


def births(folder: Path, behaviour: str) -> int:
    """How many workers it took until one had started."""
    assert play(folder, behaviour).returncode == 0
    return (folder / "births").read_text().count("born")


def test_a_worker_that_is_long_in_starting_is_not_taken_for_frozen(tmp_path: Path) -> None:
    """Its event loop says nothing while it imports: killed for that, it would be killed again and again."""
    assert births(tmp_path, "slow") == 1


def test_a_worker_that_falls_silent_is_replaced(tmp_path: Path) -> None:
    """It has been heard once, and then no more."""
    assert births(tmp_path, "silent") == 2


def test_a_worker_with_a_bug_leaves_what_belongs_to_its_parent_alone(tmp_path: Path) -> None:
    """It must not run its parent's `finally` as well: that removes the folder of everybody's metrics."""
    played = play(tmp_path, "bug")
    assert played.returncode == 1
    assert played.stdout == "cleaned up\n"


def test_what_a_worker_tells_reaches_one_that_was_busy(tmp_path: Path) -> None:
    """Everything, in its order: a rollback that does not arrive would leave two versions answering."""
    assert play(tmp_path, "busy").returncode == 0
    assert (tmp_path / "heard").read_text() == "all"
