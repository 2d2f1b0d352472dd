"""The process that tries a candidate, started by `probing`, never by people.

It is started while the candidate is still being transferred, and imports meanwhile what the live version uses. Then it
reads one pickled request from its standard input (from the process that started it, so it is trusted), and
writes lines of JSON to what was its standard output: `{"began": true}`, `{"loaded": …}`, `{"answered": …}`, or
`{"refused": …}` instead of one of the last two. Whatever the model prints goes nowhere.
"""

import gc
import importlib
import json
import os
import pickle
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matinee.core.errors import MatineeError, ModelRejected
from matinee.core.residence import resident
from matinee.rollout.opening import load_parcel
from matinee.rollout.probing import Request
from matinee.rollout.trial import answer_all


def main(modules: Sequence[str]) -> None:
    """Import `modules`; then load what is asked for, answer the texts, report."""
    os.setpgid(0, 0)  # ended as a group; in a session of its own, its low priority would be void (autogroups)
    report = os.fdopen(os.dup(1), "wb", buffering=0)
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    _be_the_first_to_go()
    for name in modules:
        importlib.import_module(name)
    asked = sys.stdin.buffer.read()
    if not asked:  # there is nothing to try, or nobody any more to tell
        os._exit(0)
    request: Request = pickle.loads(asked)  # noqa: S301 - from our own parent
    signal.alarm(int(request.load_seconds + request.answer_seconds) + 60)  # an orphan does not live on

    def say(**document: Any) -> None:
        report.write(json.dumps(document).encode() + b"\n")

    try:
        _try(request, say)
    except MatineeError as error:
        reasons = error.reasons if isinstance(error, ModelRejected) else (error.message,)
        say(refused=[f"{reason}"[:500] for reason in reasons])
    os._exit(0)  # a model's own threads or exit handlers have nothing to say here


def _try(request: Request, say: Any) -> None:
    gc.collect()
    say(began=True)
    before, began = resident(os.getpid()), time.perf_counter()
    classifier = load_parcel(request.parcel, request.options)
    say(loaded=time.perf_counter() - began)
    answered = answer_all(classifier, request.texts, request.answer_seconds)
    say(
        answered=[[a.label, a.scores, a.seconds, a.error] for a in answered],
        labels=classifier.labels,
        memory=resident(os.getpid()) - before,
    )


def _be_the_first_to_go() -> None:
    """When the machine runs out of memory, this process is ended, not the one that answers (Linux)."""
    try:
        Path("/proc/self/oom_score_adj").write_text("1000")
    except OSError:
        return
