"""From a pickled or skops file to a scikit-learn model: only the names that verification listed, and nothing unsound.

Runs in the helper process first. What unpickles is not yet harmless: a tree whose nodes point outside of it, a sparse
matrix or a vocabulary with wild indices crash the library that follows them. So every part is looked at before it is
used.
"""

import bz2
import gzip
import lzma
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from matinee.core.errors import ModelRejected

_MAX_OBJECTS = 2_000_000
_MAX_NGRAM = 32
_SAVE = "save what make_pipeline(vectorizer, classifier).fit(texts, labels) gives, as one object"


def import_readers(path: Path) -> None:
    """Import what reads such a file, before anything of it is read; raises `ModuleNotFoundError`.

    Importing skops imports all of scikit-learn, and PyTorch where it is installed: that loads shared libraries, which
    a confined process may not.
    """
    import_module("sklearn")
    import_module("skops.io" if path.suffix == ".skops" or _is_zip(path) else "joblib.numpy_pickle")


def read_model(path: Path, names: Collection[str]) -> Any:
    """The model in `path`, ready to use; raises `ModelRejected` for what is not sound, and what unpickling raises."""
    model = _read_skops(path, names) if path.suffix == ".skops" or _is_zip(path) else _read_pickle(path, names)
    model = getattr(model, "best_estimator_", model)  # of a grid search, the pipeline that won
    problems = sorted({problem for part in _parts(model) if (problem := _problem(part))})
    if problems:
        raise ModelRejected([f"{path.name}: {problem}" for problem in problems])
    return model


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def _read_skops(path: Path, names: Collection[str]) -> Any:
    from skops.io import get_untrusted_types, load

    untrusted = set(get_untrusted_types(file=path))
    if untrusted - set(names):
        raise ModelRejected([f"{path.name}: refers to {name}" for name in sorted(untrusted - set(names))])
    return load(path, trusted=sorted(untrusted))


def _read_pickle(path: Path, names: Collection[str]) -> Any:
    import joblib
    from joblib.numpy_pickle import NumpyUnpickler

    if tuple(int(part) for part in joblib.__version__.split(".")[:2]) < (1, 6):
        # Before 1.6 arrays of objects went through an unpickler without any list of names.
        raise ModelRejected([f"joblib {joblib.__version__} is too old to read pickles safely: install 1.6 or newer"])
    allowed = frozenset(names)

    def find_class(module: str, name: str) -> Any:
        module = _canonical(module)
        if f"{module}.{name}" not in allowed:
            raise ModelRejected([f"{path.name}: refers to {module}.{name}, which verification did not list"])
        return getattr(import_module(module), name)

    with _opened(path) as file:
        unpickler = NumpyUnpickler(str(path), file, ensure_native_byte_order=True)
        unpickler.find_class = find_class  # as joblib itself does for arrays of objects, which go through this one too
        return unpickler.load()


def _opened(path: Path) -> IO[bytes]:
    """The file's content, unpacked as it is read, in the compressions that joblib writes."""
    from joblib.compressor import BinaryZlibFile

    with path.open("rb") as file:
        head = file.read(6)
    openers: dict[bytes, Callable[..., Any]] = {
        b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open, b"]\x00\x00": lzma.open,
        b"x": BinaryZlibFile,
    }  # fmt: skip
    opener = next((opener for mark, opener in openers.items() if head.startswith(mark)), open)
    return cast("IO[bytes]", opener(str(path), "rb"))


def _canonical(module: str) -> str:
    """The same translation of moved modules as in verification."""
    if module.startswith("numpy.core."):
        return "numpy._core." + module.removeprefix("numpy.core.")
    return {"__builtin__": "builtins", "copy_reg": "copyreg"}.get(module, module)


def _parts(model: Any) -> Iterator[Any]:
    """Every object that the model is made of, each once."""
    seen: set[int] = set()
    waiting = [model]
    while waiting:
        part = waiting.pop()
        if id(part) in seen or isinstance(part, str | bytes | int | float | bool | type(None)):
            continue
        seen.add(id(part))
        if len(seen) > _MAX_OBJECTS:
            raise ModelRejected(["the model is made of more objects than any text pipeline"])
        yield part
        waiting += _inside(part)


def _inside(part: Any) -> list[Any]:
    if isinstance(part, dict):
        # A vocabulary is half a million plain pairs: one look at its values' types instead of a visit to each.
        return [value for value in part.values() if not isinstance(value, np.generic | int | str)]
    if isinstance(part, list | tuple | set | frozenset):
        return [item for item in part if not isinstance(item, str)]
    if isinstance(part, np.ndarray):
        return list(part.flat) if part.dtype.hasobject else []
    return list(getattr(part, "__dict__", {}).values())


def _problem(part: Any) -> str:
    """What is wrong with one part, or nothing. Sets parallel jobs to none: a request is no place to start processes."""
    kind = type(part).__name__
    if kind == "Tree":
        return _tree_problem(part)
    if hasattr(part, "check_format") and hasattr(part, "indptr"):
        return _sparse_problem(part)
    attributes = getattr(part, "__dict__", {})
    if kind == "FunctionTransformer" and not (
        isinstance(attributes.get("func"), np.ufunc | type(None)) and not attributes.get("kw_args")
    ):
        return "its FunctionTransformer calls something that is no function of NumPy's for each number"
    if attributes.get("n_jobs") is not None:
        part.n_jobs = None
    if attributes.get("input", "content") != "content":
        return f"its {kind} would read files that a text names (input={attributes['input']!r})"
    return _columns_problem(part, kind)


def _columns_problem(part: Any, kind: str) -> str:
    attributes = getattr(part, "__dict__", {})
    if "vocabulary_" in attributes and not _is_numbering(attributes["vocabulary_"]):
        return f"its {kind} has a vocabulary whose numbers are no columns"
    if hasattr(part, "tree_") and attributes.get("n_features_in_") != part.tree_.n_features:
        return f"its {kind} reads other columns than it is given"
    sizes = attributes.get("ngram_range", (1, 1))
    if not isinstance(sizes, tuple | list) or not all(isinstance(n, int) and 0 < n <= _MAX_NGRAM for n in sizes):
        return f"its {kind} has an impossible ngram_range"
    return ""


def _is_numbering(vocabulary: Any) -> bool:
    """Whether every term has a column of a matrix as wide as there are terms, which nobody checks afterwards."""
    if not isinstance(vocabulary, dict):
        return False
    width = len(vocabulary)
    return all(isinstance(column, int | np.integer) and 0 <= column < width for column in vocabulary.values())


def _sparse_problem(matrix: Any) -> str:
    try:
        matrix.check_format(full_check=True)
    except (ValueError, TypeError, IndexError) as error:
        return f"has a sparse matrix that is not sound ({error})"
    return ""


def _tree_problem(tree: Any) -> str:
    """Children have to be nodes that come later, and features within the input: then every walk ends at a leaf."""
    nodes = np.arange(tree.node_count)
    left, right, feature = tree.children_left, tree.children_right, tree.feature
    inner = left != -1
    later = (left[inner] > nodes[inner]) & (right[inner] > nodes[inner])
    within = (left[inner] < tree.node_count) & (right[inner] < tree.node_count)
    features = (feature[inner] >= 0) & (feature[inner] < tree.n_features)
    sound = bool((later & within & features).all()) and tree.node_count > 0
    return "" if sound else "has a tree that is not sound"


def quietly_read(path: Path, names: Collection[str]) -> tuple[Any, list[str]]:
    """`read_model`, and the warnings of the libraries as notes (a model that another version saved, mostly)."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = read_model(path, names)
    notes = dict.fromkeys(str(warning.message).split("\n")[0].split(". This")[0] for warning in caught)
    return model, list(notes)[:10]


def _first_line(error: Exception) -> str:
    """The library's words without the values that it goes on with."""
    return (str(error).splitlines() or [type(error).__name__])[0][:200].rstrip(":,. ")


class Scored:
    """Any text pipeline, asked in one way: probabilities, float64 [texts, classes].

    A classifier that only decides (LinearSVC, RidgeClassifier) has its decisions put through a sigmoid or softmax: in
    the right order, and not calibrated.
    """

    def __init__(self, model: Any) -> None:
        if not hasattr(model, "classes_"):
            raise ModelRejected([f"a {type(model).__name__} is not a fitted classifier of texts: {_SAVE}"])
        if not (hasattr(model, "predict_proba") or hasattr(model, "decision_function")):
            last = type(model.steps[-1][1] if hasattr(model, "steps") else model).__name__
            raise ModelRejected([f"its {last} has no predict_proba and no decision_function: it gives no scores"])
        classes = model.classes_
        if not isinstance(classes, np.ndarray) or classes.ndim != 1 or len(classes) < 2:
            raise ModelRejected(["the model does not choose one of several classes"])
        self.numeric = not any(isinstance(one, str) for one in classes.tolist())
        self.classes = [str(int(one)) if self.numeric and one == int(one) else str(one) for one in classes.tolist()]
        self._model = model

    def probabilities(self, texts: Sequence[str]) -> Any:
        """Ask the model; raises `ModelRejected` when it takes no texts, or gives no finite number for each class."""
        try:
            given = self._ask(list(texts))
        except (ValueError, TypeError, AttributeError) as error:
            raise ModelRejected([f"the model does not take a list of texts ({_first_line(error)}): {_SAVE}"]) from None
        if given.shape != (len(texts), len(self.classes)) or not np.isfinite(given).all():
            raise ModelRejected(["the model does not give one finite number for each class"])
        return given

    def _ask(self, texts: list[str]) -> Any:
        if hasattr(self._model, "predict_proba"):
            return np.asarray(self._model.predict_proba(texts), dtype=np.float64)
        decided = np.asarray(self._model.decision_function(texts), dtype=np.float64)
        if decided.ndim == 1 or self._several_labels():
            positive = 0.5 * (1.0 + np.tanh(decided / 2))
            return positive if decided.ndim > 1 else np.stack([1.0 - positive, positive], axis=1)
        shares = np.exp(decided - decided.max(axis=1, keepdims=True))
        return shares / shares.sum(axis=1, keepdims=True)

    def _several_labels(self) -> bool:
        """Whether a text may have several labels at once, each by itself."""
        last = self._model.steps[-1][1] if hasattr(self._model, "steps") else self._model
        return bool(getattr(last, "multilabel_", False))
