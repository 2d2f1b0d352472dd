"""The names that a pickled text pipeline may refer to, and how each may be used. Exact names, no patterns.

`CLASSES` are made empty and then get their attributes; `REFERENCES` are passed along and never called by the pickle;
`CALLS` are called, each only with arguments of the one shape that scikit-learn, NumPy and SciPy write. None of them
runs what it is given, opens a file or imports anything.
"""

from collections.abc import Callable

from matinee.verify.pickle_machine import WRAPPER
from matinee.verify.pickle_opcodes import OPAQUE
from matinee.verify.pickle_symbols import Made, Name


def _names(module: str, *names: str) -> set[str]:
    return {f"{module}.{name}" for name in names}


CLASSES = frozenset(
    {WRAPPER}
    | _names("sklearn.pipeline", "Pipeline", "FeatureUnion")
    | _names("sklearn.compose._column_transformer", "ColumnTransformer")
    | _names(
        "sklearn.feature_extraction.text", "TfidfVectorizer", "CountVectorizer", "HashingVectorizer", "TfidfTransformer"
    )
    | _names("sklearn.feature_selection._univariate_selection", "SelectKBest", "SelectPercentile")
    | _names("sklearn.feature_selection._from_model", "SelectFromModel")
    | _names("sklearn.feature_selection._variance_threshold", "VarianceThreshold")
    | _names("sklearn.decomposition._truncated_svd", "TruncatedSVD")
    | _names("sklearn.preprocessing._data", "StandardScaler", "MaxAbsScaler", "MinMaxScaler", "Normalizer", "Binarizer")
    | _names("sklearn.preprocessing._label", "LabelBinarizer", "LabelEncoder")
    | _names("sklearn.linear_model._logistic", "LogisticRegression", "LogisticRegressionCV")
    | _names("sklearn.linear_model._stochastic_gradient", "SGDClassifier")
    | _names("sklearn.linear_model._passive_aggressive", "PassiveAggressiveClassifier")
    | _names("sklearn.linear_model._perceptron", "Perceptron")
    | _names("sklearn.linear_model._ridge", "RidgeClassifier", "RidgeClassifierCV")
    | _names("sklearn.naive_bayes", "MultinomialNB", "ComplementNB", "BernoulliNB")
    | _names("sklearn.svm._classes", "LinearSVC")
    | _names("sklearn.calibration", "CalibratedClassifierCV", "_CalibratedClassifier")
    | _names("sklearn.calibration", "_SigmoidCalibration", "_TemperatureScaling")
    | _names("sklearn.isotonic", "IsotonicRegression")
    | _names("sklearn.multiclass", "OneVsRestClassifier", "OneVsOneClassifier", "_ConstantPredictor")
    | _names("sklearn.dummy", "DummyClassifier")
    | _names("sklearn.ensemble._forest", "RandomForestClassifier", "ExtraTreesClassifier")
    | _names("sklearn.ensemble._voting", "VotingClassifier")
    | _names("sklearn.ensemble._stacking", "StackingClassifier")
    | _names("sklearn.ensemble._bagging", "BaggingClassifier")
    | _names("sklearn.ensemble._weight_boosting", "AdaBoostClassifier")
    | _names("sklearn.tree._classes", "DecisionTreeClassifier", "ExtraTreeClassifier")
    | _names("sklearn.model_selection._search", "GridSearchCV", "RandomizedSearchCV")
    | _names("sklearn.model_selection._split", "StratifiedKFold", "KFold")
    | _names("sklearn.metrics._scorer", "_PassthroughScorer", "_Scorer")
    | _names("sklearn.preprocessing._function_transformer", "FunctionTransformer")  # of a UFUNC, the loader sees to it
    | _names("sklearn.utils._bunch", "Bunch")
    | _names("sklearn.utils", "Bunch")
    | _names("scipy.sparse._csr", "csr_matrix", "csr_array")
    | _names("scipy.sparse._csc", "csc_matrix", "csc_array")
    | _names("scipy.sparse._dia", "dia_matrix", "dia_array")
)

UFUNCS = frozenset(_names("numpy", "log1p", "log", "expm1", "sqrt", "square", "absolute", "sign", "tanh"))
# What a search was scored with; it is kept with the search, and nothing of it is called when the model answers.
_SCORES = (
    _names("sklearn.metrics._classification", "accuracy_score", "balanced_accuracy_score", "f1_score", "fbeta_score")
    | _names("sklearn.metrics._classification", "precision_score", "recall_score", "jaccard_score", "log_loss")
    | _names("sklearn.metrics._classification", "matthews_corrcoef", "cohen_kappa_score", "brier_score_loss")
    | _names("sklearn.metrics._ranking", "roc_auc_score", "average_precision_score", "top_k_accuracy_score")
)
REFERENCES = frozenset(
    _names("numpy", "ndarray", "float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16")
    | _names("numpy", "uint32", "uint64", "bool_", "bool", "str_")
    | _names("numpy.ma", "MaskedArray")
    | _names("builtins", "object", "int", "float", "str", "bool", "dict", "list", "tuple")
    | _names("sklearn.feature_selection._univariate_selection", "chi2", "f_classif")
    | _names("sklearn.feature_selection._mutual_info", "mutual_info_classif")
    | {"copyreg._reconstructor"}
    | UFUNCS
    | _SCORES
)


def _is_dtype(made: Made) -> bool:
    """`numpy.dtype('f8', False, True)`."""
    kinds = [type(argument) for argument in made.arguments]
    return kinds[:1] == [str] and len(kinds) <= 3 and all(kind in {bool, int} for kind in kinds[1:])


def _is_empty_array(made: Made) -> bool:
    """`_reconstruct(numpy.ndarray, (0,), b'b')`: an empty array, whose state follows."""
    return len(made.arguments) == 3 and _refers(made.arguments[0], "numpy.ndarray") and made.arguments[1] == (0,)


def _is_empty_masked(made: Made) -> bool:
    """`_mareconstruct(MaskedArray, numpy.ndarray, (0,), 'b')`."""
    if len(made.arguments) != 4 or made.arguments[2] != (0,):
        return False
    return _refers(made.arguments[0], "numpy.ma.MaskedArray") and _refers(made.arguments[1], "numpy.ndarray")


def _refers(argument: object, dotted: str) -> bool:
    return isinstance(argument, Name) and argument.dotted == dotted


def _is_data(made: Made) -> bool:
    """A dtype or numbers beside bytes: `scalar(dtype, bytes)`, `_frombuffer(bytes, dtype, shape, order)`."""
    return all(_is_plain(argument) for argument in made.arguments)


def _is_plain(argument: object) -> bool:
    if isinstance(argument, tuple):
        return all(type(part) is int for part in argument)
    is_numpy = isinstance(argument, Made) and argument.name.module.partition(".")[0] == "numpy"
    return is_numpy or argument is OPAQUE or argument is None or isinstance(argument, str | bytes | int | float)


def _is_latin(made: Made) -> bool:
    """`_codecs.encode(text, 'latin1')`: bytes, as protocols 0 to 2 write them."""
    return len(made.arguments) == 2 and made.arguments[1] == "latin1"


def _is_container(made: Made) -> bool:
    """`set([…])`, `OrderedDict()`, `bytes()`: an empty one, or one filled from the pickle itself; never a size."""
    return all(argument is OPAQUE or isinstance(argument, str | bytes | tuple) for argument in made.arguments)


def _is_small(made: Made) -> bool:
    """A loss function or a tree with its few parameters."""
    return len(made.arguments) <= 3 and all(_is_plain(argument) for argument in made.arguments)


CALLS: dict[str, Callable[[Made], bool]] = {
    "numpy.dtype": _is_dtype,
    "numpy._core.multiarray.scalar": _is_data,
    "numpy._core.multiarray._reconstruct": _is_empty_array,
    "numpy._core.numeric._frombuffer": _is_data,
    "numpy.ma.core._mareconstruct": _is_empty_masked,
    "_codecs.encode": _is_latin,
    "builtins.set": _is_container,
    "builtins.frozenset": _is_container,
    "builtins.bytearray": _is_container,
    "builtins.slice": _is_data,
    "collections.OrderedDict": _is_container,
    "sklearn.tree._tree.Tree": _is_small,
    **dict.fromkeys(_names("sklearn._loss._loss", "CyHalfBinomialLoss", "CyHalfMultinomialLoss"), _is_small),
    **dict.fromkeys(
        _names(
            "sklearn.linear_model._sgd_fast", "Hinge", "Log", "ModifiedHuber", "SquaredHinge", "Huber", "SquaredLoss"
        ),
        _is_small,
    ),
}
# What a call gives is a value of which nothing need be known any more; keeping half a million of them would cost.
VALUES = frozenset({"numpy._core.multiarray.scalar", "_codecs.encode", "builtins.slice"})
