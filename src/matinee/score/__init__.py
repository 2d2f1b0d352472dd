"""How does a whole file get answered?

`score_file` reads rows, asks the engine, and writes them back with their predictions: in order, in constant memory,
and so that a killed run continues with the same command without losing or repeating a row.
"""

from matinee.score.job import Job, Summary, check_target, score_file
from matinee.score.readers import FORMATS, InvalidInput, format_of, is_of_rows

__all__ = ["FORMATS", "InvalidInput", "Job", "Summary", "check_target", "format_of", "is_of_rows", "score_file"]
