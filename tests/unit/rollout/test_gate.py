"""What the gate makes of what a probe saw."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from matinee.core.bundle import Revision, VerifiedBundle
from matinee.core.errors import InvalidSettings
from matinee.core.manifest import Example, Manifest
from matinee.core.reference import ModelRef
from matinee.rollout.gate import Verdict, golden_examples, in_full, judge
from matinee.rollout.opening import Parcel
from matinee.rollout.options import GateLimits
from matinee.rollout.probing import Outcome
from matinee.rollout.recent import Seen
from matinee.rollout.trial import Answered

LABELS = ("negative", "positive")
LIMITS = GateLimits()
GOOD = Answered("positive", (0.1, 0.9), 0.01)
BAD = Answered("negative", (0.9, 0.1), 0.01)


def verdict(
    answered: Sequence[Answered],
    golden: Sequence[Example] = (),
    seen: Sequence[Seen] = (),
    limits: GateLimits = LIMITS,
    labels: Sequence[str] = LABELS,
) -> Verdict:
    """The verdict on a probe that answered like that."""
    return judge(Outcome(labels=tuple(labels), answered=answered), golden, seen, LABELS, limits)


def seen(number: int, label: str = "positive", seconds: float = 0.01) -> list[Seen]:
    """So many texts that the live version answered."""
    return [Seen(f"film {index}", label, seconds) for index in range(number)]


def test_passes_what_answers_as_before() -> None:
    """The figures are kept with the verdict."""
    example = Example("a good film", "positive", (0.1, 0.9))
    passed = verdict([GOOD] * 31, [example], seen(30))
    assert passed.passed
    assert passed.figures["golden_share"] == 1.0
    assert passed.figures["flip_share"] == 0.0
    assert passed.figures["latency_p95_ms"] == 10.0


def test_a_known_score_must_come_out_within_the_tolerance() -> None:
    """The label alone is not enough when the scores are known."""
    example = Example("a good film", "positive", (0.3, 0.7))
    assert not verdict([GOOD], [example]).passed
    assert verdict([GOOD], [example], limits=GateLimits(score_tolerance=0.21)).passed


def test_flips_are_counted_against_the_live_version() -> None:
    """A share above the limit refuses, from the least number of texts on; no answer counts as a flip."""
    answered = [GOOD] * 24 + [BAD] * 5 + [Answered("", (), 0.0, "text_too_long")]
    refused = verdict(answered, seen=seen(30), limits=GateLimits(flips=0.19))
    assert refused.reasons == ("6 of the last 30 texts would change their label, more than 19%",)
    assert verdict(answered, seen=seen(30), limits=GateLimits(flips=0.2)).passed
    assert verdict([BAD] * 19, seen=seen(19)).passed


def test_labels_may_change_their_order_and_be_renamed_but_not_change() -> None:
    """Callers know labels by name."""
    assert verdict([], labels=("positive", "negative")).passed
    assert not verdict([], labels=("positive", "negative", "neutral")).passed
    names = GateLimits(label_names={"POS": "positive", "NEG": "negative"})
    renamed = Answered("POS", (0.1, 0.9), 0.01)
    assert verdict([renamed], [Example("good", "positive")], limits=names, labels=("NEG", "POS")).passed


def test_a_manifests_own_examples_have_the_names_that_callers_know(tmp_path: Path) -> None:
    """Else a version whose labels are renamed would fail its own examples."""
    manifest = Manifest(name="m", flavor="linear", labels=("NEG", "POS"), examples=[Example("good", "POS")])
    parcel = Parcel(VerifiedBundle(tmp_path, Revision(ModelRef.parse("./m"), "1"), "sha256:1", manifest))
    limits = GateLimits(label_names={"POS": "positive", "NEG": "negative"})
    answered = [Answered("POS", (0.1, 0.9), 0.01)]
    assert verdict(answered, golden_examples(limits, parcel), limits=limits, labels=("NEG", "POS")).passed


def test_latency_is_judged_alone_and_against_what_callers_see_now() -> None:
    """The absolute limit always counts; the ratio only with enough texts and above the floor."""
    slow = Answered("positive", (0.1, 0.9), 0.3)
    assert verdict([slow] * 30, limits=GateLimits(latency_ms=299)).reasons[0].startswith("a text takes 300 ms")
    assert verdict([slow] * 30, seen=seen(30, seconds=0.059)).reasons[0].endswith("and 59 ms with the live one")
    assert verdict([slow] * 30, seen=seen(30, seconds=0.061)).passed
    assert verdict([GOOD] * 30, seen=seen(30, seconds=0.0001)).passed
    assert verdict([slow] * 5, seen=seen(5, seconds=0.001)).passed


def test_every_reason_is_listed() -> None:
    """Whoever repairs a model wants to know all of it at once."""
    refused = verdict([BAD] * 30, [Example("good", "positive")], seen(29), GateLimits(latency_ms=1), ("a", "b"))
    assert len(refused.reasons) == 4


def test_golden_examples_that_were_not_reached_refuse() -> None:
    """A probe that ran out of time has not shown anything."""
    golden = [Example("good", "positive")] * 3
    assert verdict([GOOD], golden).reasons == ("only 1 of 3 golden examples were answered in time",)


def test_the_operators_golden_file_replaces_the_manifests_examples(tmp_path: Path) -> None:
    """It is read at each judgement; a broken one is an error that names the setting."""
    file = tmp_path / "golden.jsonl"
    file.write_text('{"text": "fine", "label": "positive"}\n\n{"text": "awful", "label": "negative"}\n')
    manifest = Manifest(name="m", flavor="linear", labels=LABELS, examples=[Example("a", "positive", (0.2, 0.8))])
    parcel = Parcel(VerifiedBundle(tmp_path, Revision(ModelRef.parse("./m"), "1"), "sha256:1", manifest))
    assert golden_examples(GateLimits(), parcel) == [Example("a", "positive", (0.2, 0.8))]
    both = Parcel(parcel.bundle, (parcel, parcel))
    assert golden_examples(GateLimits(), both) == [Example("a", "positive")]
    assert golden_examples(GateLimits(golden=file), parcel) == [
        Example("fine", "positive"),
        Example("awful", "negative"),
    ]
    file.write_text('{"text": "fine"}\n')
    with pytest.raises(InvalidSettings, match="GATE_GOLDEN"):
        golden_examples(GateLimits(golden=file), parcel)
    file.write_text('\ufeff{"text": "one\u2028two", "label": "positive"}\r\n', encoding="utf-8")
    assert golden_examples(GateLimits(golden=file), parcel) == [Example("one\u2028two", "positive")]
    file.unlink()
    with pytest.raises(InvalidSettings, match=r"GATE_GOLDEN: .* cannot be read: No such file"):
        golden_examples(GateLimits(golden=file), parcel)


def test_a_text_that_was_asked_often_is_tried_once_and_counts_often() -> None:
    """Nothing is said of texts that were not reached in time, nor of those behind them."""
    assert in_full(["a", "b", "a", "b"], ["a", "b"], [GOOD, BAD]) == [GOOD, BAD, GOOD, BAD]
    assert in_full(["a", "a", "b", "a"], ["a", "b"], [GOOD]) == [GOOD, GOOD]
