"""Events for the tests of monitor."""

from matinee.core.events import Predicted
from matinee.core.prediction import ModelIdentity, Prediction

ONE = ModelIdentity("films", "v1", "sha256:" + "1" * 64, "wandb:team/films/model:production")
TWO = ModelIdentity("films", "v2", "sha256:" + "2" * 64, "wandb:team/films/model:production")


def predicted(model: ModelIdentity = ONE, *, positive: float = 0.9, texts: int = 1, cached: int = 0) -> Predicted:
    """A request of `texts` texts that was answered in 20 ms, 5 of them waiting."""
    scores = {"negative": 1 - positive, "positive": positive}
    label = max(scores, key=lambda name: scores[name])
    prediction = Prediction(label, scores, tokens=100, windows=1, truncated=False)
    return Predicted(
        model=model,
        predictions=(prediction,) * texts,
        seconds=0.02,
        queue_seconds=0.005,
        cached=cached,
        request_id="r-1",
        texts=("a secret opinion",) * texts,
    )
