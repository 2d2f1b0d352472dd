"""From many requests to few batches: who runs with whom, when, and who is refused?

One `Engine` serves one loaded version: `await engine.predict(texts)`. An `Admission` bounds the work that the versions
of one deployment hold between them. Inside: texts become jobs (`jobs`), jobs become rows (`waiting`), rows of similar
length become batches (`packing`, `batcher`), and answers are kept for repeats (`answers`). Everything but
`Classifier.encode` and `Classifier.run` happens on the event loop, so that no state here needs a lock.
"""

from matinee.engine.admission import Admission
from matinee.engine.engine import Engine, EngineLimits

__all__ = ["Admission", "Engine", "EngineLimits"]
