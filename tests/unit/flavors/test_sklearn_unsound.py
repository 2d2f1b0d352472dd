"""Models whose names are all allowed and whose numbers lead out of their own arrays: scikit-learn would follow them."""

from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeClassifier
from sklearn.tree._tree import Tree
from tests.unit.flavors.bundles import verified

from matinee.core.errors import ModelRejected
from matinee.flavors import load

TEXTS = ["good film fine", "bad film awful", "good great fine", "awful bad dull"]


def _fitted(classifier: Any) -> Any:
    return make_pipeline(CountVectorizer(), classifier).fit(TEXTS, ["yes", "no", "yes", "no"])


@pytest.mark.parametrize("column", [1 << 30, -1, 1.0])
@pytest.mark.parametrize("classifier", [LogisticRegression(), RandomForestClassifier(3)])
def test_a_word_whose_column_is_not_there_is_refused(classifier: Any, column: object, tmp_path: Path) -> None:
    """A text with that one word ended the process that serves, by reading far behind the weights."""
    model = _fitted(classifier)
    del model[0].vocabulary_["good"]
    model[0].vocabulary_["xyzzy"] = column
    joblib.dump(model, tmp_path / "model.joblib")
    with pytest.raises(ModelRejected, match="a vocabulary whose numbers are no columns"):
        load(verified(tmp_path))


@pytest.mark.parametrize("own_width", [True, False])
def test_a_tree_that_reads_behind_its_input_is_refused(own_width: bool, tmp_path: Path) -> None:
    """It says that texts have a billion columns; scikit-learn compares only what the estimator says, if it does."""
    model = _fitted(DecisionTreeClassifier())
    state = model[1].tree_.__getstate__()
    state["nodes"] = state["nodes"].copy()
    state["nodes"]["feature"][0] = 300
    wide = Tree(10**9, np.array([2], dtype=np.intp), 1)
    wide.__setstate__(state)
    model[1].tree_ = wide
    if not own_width:
        del model[1].n_features_in_
    joblib.dump(model, tmp_path / "model.joblib")
    with pytest.raises(ModelRejected, match="its DecisionTreeClassifier reads other columns than it is given"):
        load(verified(tmp_path))
