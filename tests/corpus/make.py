"""Write the corpus anew: `python -m tests.corpus.make`."""

import shutil
import warnings
from pathlib import Path

from tests.corpus import benign
from tests.corpus.encoder_cases import transformers_cases
from tests.corpus.files import write_cases
from tests.corpus.graph_cases import graph_cases
from tests.corpus.keras_cases import keras_cases
from tests.corpus.other_cases import other_cases
from tests.corpus.pickled import pickle_cases

FOLDER = Path(__file__).parent


def main() -> None:
    """Replace `hostile/` and `benign/`."""
    warnings.simplefilter("ignore")  # of models fitted on six texts
    for part in ("hostile", "benign"):
        shutil.rmtree(FOLDER / part, ignore_errors=True)
    for cases in (pickle_cases(), keras_cases(), transformers_cases(), graph_cases(), other_cases()):
        write_cases(FOLDER / "hostile", cases)
    benign.write(FOLDER / "benign")


if __name__ == "__main__":
    main()
