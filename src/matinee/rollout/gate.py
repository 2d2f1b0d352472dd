"""May a candidate answer? It is tried out in a process of its own first, and its figures are held against limits.

In a process of its own, because what a candidate may do while loading (crash, hang, take all memory) must not
reach the callers of the version that is answering. The probe has a low priority, few threads, a bound on its
memory and a limit on its time.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile

from matinee.core.errors import InvalidSettings
from matinee.core.manifest import Example
from matinee.rollout.live import Version
from matinee.rollout.opening import Parcel
from matinee.rollout.options import GateLimits
from matinee.rollout.probing import Outcome, Probe
from matinee.rollout.recent import Seen, percentile
from matinee.rollout.trial import Answered


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate found; `reasons` is empty exactly when the candidate passed."""

    reasons: tuple[str, ...]
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """The candidate may answer."""
        return not self.reasons


def golden_examples(limits: GateLimits, parcel: Parcel) -> list[Example]:
    """The examples that must come out right, with labels as callers know them: the operator's, else the manifest's own.

    Raises `InvalidSettings` for a file that cannot be read.
    """
    if limits.golden is None:
        names = limits.label_names
        return [replace(example, label=names.get(example.label, example.label)) for example in parcel.examples]
    examples: list[Example] = []
    try:
        for line in limits.golden.read_text(encoding="utf-8-sig").split("\n"):  # not `splitlines`: a text has lines too
            if line.strip():
                document = json.loads(line)
                examples.append(Example(str(document["text"]), str(document["label"])))
    except OSError as error:
        raise InvalidSettings([f"GATE_GOLDEN: {limits.golden} cannot be read: {error.strerror}"]) from error
    except (ValueError, KeyError, TypeError) as error:
        problem = f'GATE_GOLDEN: {limits.golden} must hold lines like {{"text": …, "label": …}}'
        raise InvalidSettings([problem]) from error
    return examples


async def try_out(
    probe: Probe, parcel: Parcel, golden: Sequence[Example], against: Version, limits: GateLimits
) -> Verdict:
    """Have `probe` try `parcel` out and judge it against the version that is answering."""
    seen = against.recent.seen
    texts = [example.text for example in golden] + [item.text for item in seen]
    different = list(dict.fromkeys(texts))
    outcome = await probe.try_out(parcel, different)
    outcome = replace(outcome, answered=in_full(texts, different, outcome.answered))
    return judge(outcome, golden, seen, against.live.labels, limits)


def in_full(texts: Sequence[str], different: Sequence[str], answered: Sequence[Answered]) -> list[Answered]:
    """An answer for each of `texts`, of which each different one was answered once, as far as they were reached."""
    answers = dict(zip(different, answered, strict=False))
    return [answers[text] for text in takewhile(answers.__contains__, texts)]


def judge(
    outcome: Outcome, golden: Sequence[Example], seen: Sequence[Seen], labels: Sequence[str], limits: GateLimits
) -> Verdict:
    """Hold what the probe saw against the limits; every reason is listed."""
    figures = dict(outcome.figures)
    if outcome.problem:
        return Verdict((outcome.problem,), figures)
    names = renamed(outcome.labels, limits.label_names)
    answered = [
        Answered(limits.label_names.get(a.label, a.label), a.scores, a.seconds, a.error) for a in outcome.answered
    ]
    reasons = label_reasons(names, labels)
    found, measured = golden_reasons(golden, answered[: len(golden)], limits)
    reasons += found
    figures |= measured
    for judgement in (flip_reasons(seen, answered[len(golden) :], limits), latency_reasons(seen, answered, limits)):
        reasons += judgement[0]
        figures |= judgement[1]
    return Verdict(tuple(reasons), figures)


def renamed(labels: Sequence[str], names: Mapping[str, str]) -> tuple[str, ...]:
    """`labels` under the names that the operator gave them."""
    return tuple(names.get(label, label) for label in labels)


def label_reasons(candidate: Sequence[str], live: Sequence[str]) -> list[str]:
    """The labels must be the same; their order may differ, for callers know them by name."""
    if set(candidate) == set(live):
        return []
    return [f"its labels are {', '.join(candidate)}; callers know {', '.join(live)} (GATE_LABEL_NAMES renames them)"]


def golden_reasons(
    golden: Sequence[Example], answered: Sequence[Answered], limits: GateLimits
) -> tuple[list[str], dict[str, float]]:
    """Each golden example must get its label, and its scores where they are known."""
    if not golden:
        return [], {}
    if broken := [a for a in answered if a.error]:
        return [f"{len(broken)} of {len(golden)} golden examples got no answer ({broken[0].error})"], {}
    if len(answered) < len(golden):
        return [f"only {len(answered)} of {len(golden)} golden examples were answered in time"], {}
    right = sum(_as_expected(example, a, limits) for example, a in zip(golden, answered, strict=False))
    share = right / len(golden)
    figures = {"golden_examples": float(len(golden)), "golden_share": share}
    if share >= limits.golden_share:
        return [], figures
    return [f"{right} of {len(golden)} golden examples came out as expected, not {limits.golden_share:.0%}"], figures


def _as_expected(example: Example, answered: Answered, limits: GateLimits) -> bool:
    if answered.label != example.label:
        return False
    known = zip(example.scores, answered.scores, strict=False)
    return all(abs(expected - score) <= limits.score_tolerance for expected, score in known)


def flip_reasons(
    seen: Sequence[Seen], answered: Sequence[Answered], limits: GateLimits
) -> tuple[list[str], dict[str, float]]:
    """How many of the last texts would get another label, or none."""
    pairs = list(zip(seen, answered, strict=False))
    if not pairs:
        return [], {}
    flips = sum(a.label != item.label for item, a in pairs)
    share = flips / len(pairs)
    figures = {"flip_texts": float(len(pairs)), "flip_share": share}
    if len(pairs) < limits.flip_minimum or share <= limits.flips:
        return [], figures
    return [f"{flips} of the last {len(pairs)} texts would change their label, more than {limits.flips:.0%}"], figures


def latency_reasons(
    seen: Sequence[Seen], answered: Sequence[Answered], limits: GateLimits
) -> tuple[list[str], dict[str, float]]:
    """The 95th percentile of the candidate, alone, against the limit and against what callers see now."""
    if not answered:
        return [], {}
    candidate = percentile([a.seconds * 1000 for a in answered], 0.95)
    live = percentile([item.seconds * 1000 for item in seen], 0.95)
    figures = {
        "latency_p50_ms": percentile([a.seconds * 1000 for a in answered], 0.5),
        "latency_p95_ms": candidate,
        "live_latency_p95_ms": live,
    }
    if candidate > limits.latency_ms:
        return [f"a text takes {candidate:.0f} ms (95th percentile), more than {limits.latency_ms:.0f}"], figures
    enough = len(seen) >= limits.flip_minimum and candidate > limits.latency_floor_ms
    if enough and candidate > limits.latency_ratio * live:
        return [f"a text takes {candidate:.0f} ms (95th percentile), and {live:.0f} ms with the live one"], figures
    return [], figures
