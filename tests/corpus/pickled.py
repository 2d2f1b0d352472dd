"""Hostile pickles, and what they are made of."""

import bz2
import gzip
import importlib
import io
import lzma
import os
import pickle
import struct
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

import joblib
import numpy as np
import scipy.sparse
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.tree import DecisionTreeClassifier
from tests.corpus.files import Files

TEXTS = ["a good film", "a bad film", "fine and good", "awful and bad", "great fun", "poor and dull"] * 2
SIGNS = [1, 0, 1, 0, 1, 0] * 2
COMMAND = 'echo harmed >> "${MATINEE_CANARY:-/dev/null}"'
CODE = f"import os; os.system({COMMAND!r})"


class Calls:
    """Pickles as a call of `function` with `arguments`."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.function, self.arguments


def harm() -> Calls:
    """What would write the canary."""
    return Calls(os.system, COMMAND)


def pipeline() -> Pipeline:
    """A small text classifier."""
    return make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS, SIGNS)


def joblib_bytes(value: Any) -> bytes:
    """What `joblib.dump` writes."""
    file = io.BytesIO()
    joblib.dump(value, file)
    return file.getvalue()


def call(module: str, name: str, *arguments: str) -> bytes:
    """A pickle that calls something that need not be installed here."""
    strings = b"".join(_text(argument) for argument in arguments)
    return b"\x80\x04" + _text(module) + _text(name) + b"\x93(" + strings + b"tR."


def _text(value: str) -> bytes:
    return b"\x8c" + bytes([len(value.encode())]) + value.encode()


def _wrapper(**changes: Any) -> bytes:
    """Joblib's wrapper for an array, with some attributes of our own, and the raw pickle that a loader would follow."""
    wrapper = joblib.numpy_pickle.NumpyArrayWrapper(np.ndarray, (1,), "C", np.dtype("f8"))
    wrapper.__dict__.update(changes)
    return pickle.dumps(wrapper, protocol=2)[:-1]


def _wild_tree() -> bytes:
    """A tree whose root points far outside of it."""
    model = make_pipeline(TfidfVectorizer(), DecisionTreeClassifier()).fit(TEXTS, SIGNS)
    tree = model[-1].tree_
    state = tree.__getstate__()
    state["nodes"]["left_child"][0] = 1_000_000
    tree.__setstate__(state)
    return joblib_bytes(model)


def _wild_matrix() -> bytes:
    """Sparse weights whose indices point far outside of them."""
    model = pipeline()
    weights = scipy.sparse.csr_matrix(model[-1].coef_)
    weights.indices[:] = 100_000_000
    model[-1].coef_ = weights
    return joblib_bytes(model)


def _reads_files() -> bytes:
    """Takes each text for the name of a file."""
    model = pipeline()
    model[0].input = "filename"
    return joblib_bytes(model)


def _nested() -> bytes:
    model = pipeline()
    model[-1].coef_ = harm()
    return joblib_bytes(model)


def _stop_words() -> bytes:
    model = pipeline()
    model[0].stop_words = [harm()]
    return joblib_bytes(model)


def _object_array(value: Any) -> "np.ndarray[Any, Any]":
    array = np.empty(1, dtype=object)
    array[0] = value
    return array


def _npz() -> bytes:
    file = io.BytesIO()
    np.savez(file, a=_object_array(harm()))
    return file.getvalue()


def _npy() -> bytes:
    file = io.BytesIO()
    np.save(file, _object_array(harm()), allow_pickle=True)
    return file.getvalue()


def _function_transformer() -> bytes:
    model = Pipeline([("harm", FunctionTransformer(os.system)), ("rest", pipeline())])
    return joblib_bytes(model)


def _framed_array() -> bytes:
    """A frame that goes on behind an array: joblib reads the array from behind the frame, others from within it."""
    body = _wrapper(numpy_array_alignment_bytes=None) + b"\x00" * 8 + pickle.dumps(harm())[2:]
    return b"\x80\x04\x95" + struct.pack("<Q", len(body) - 2) + body[2:]


def pickle_cases() -> dict[str, Files]:
    """Pickles, plain, packed, renamed and malformed."""
    plain, packed = pickle.dumps(harm()), joblib_bytes([harm()])
    good = joblib_bytes(pipeline())
    load = partial(call, "importlib", "import_module")
    named = {
        "os-system": ("model.pkl", plain),
        "os-system-joblib": ("model.joblib", packed),
        "os-system-zlib": ("model.joblib", zlib.compress(packed)),
        "os-system-gzip": ("model.joblib", gzip.compress(packed, mtime=0)),
        "os-system-bz2": ("model.joblib", bz2.compress(packed)),
        "os-system-lzma": ("model.joblib", lzma.compress(packed, format=lzma.FORMAT_ALONE)),
        "os-system-xz": ("model.joblib", lzma.compress(packed)),
        "renamed-model": ("model.model", plain),
        "renamed-txt": ("model.txt", plain),
        "renamed-onnx": ("model.onnx", plain),
        "renamed-safetensors": ("model.safetensors", plain),
        "renamed-json": ("tokenizer.json", plain),
        "renamed-skops": ("model.skops", plain),
        "renamed-zlib-bin": ("model.bin", zlib.compress(packed)),
        "imaplib": ("model.pkl", call("imaplib", "IMAP4_stream", COMMAND)),
        "pip-main": ("model.pkl", call("pip", "main", "--version")),
        "import-module": ("model.pkl", load("os")),
        "getattr": ("model.pkl", pickle.dumps(Calls(getattr, Calls(importlib.import_module, "os"), "system"))),
        "numpy-runstring": ("model.pkl", call("numpy.testing._private.utils", "runstring", CODE)),
        "exec": ("model.pkl", pickle.dumps(Calls(exec, CODE))),
        "eval": ("model.pkl", pickle.dumps(Calls(eval, f"__import__('os').system({COMMAND!r})"))),
        "dunder-import": ("model.pkl", call("builtins", "__import__", "antigravity")),
        "subprocess": ("model.pkl", call("subprocess", "Popen", "true")),
        "functools-partial": ("model.pkl", pickle.dumps(partial(os.system, COMMAND))),
        "operator-methodcaller": ("model.pkl", call("operator", "methodcaller", "system", COMMAND)),
        "runpy": ("model.pkl", call("runpy", "run_path", "payload.py")),
        "cloudpickle-function": ("model.pkl", call("cloudpickle.cloudpickle", "_make_function", "x")),
        "torch-load": ("model.pkl", call("torch.serialization", "load", "second.pt")),
        "joblib-load-chain": ("model.joblib", call("joblib.numpy_pickle", "load", "second.joblib")),
        "pandas-read-pickle": ("model.pkl", call("pandas.io.pickle", "read_pickle", "second.pkl")),
        "sklearn-load-files": ("model.pkl", call("sklearn.datasets._base", "load_files", "/")),
        "estimator-called": ("model.pkl", call("sklearn.pipeline", "Pipeline", "steps")),
        "dotted-name": ("model.pkl", call("sklearn.pipeline", "joblib.os.system", COMMAND)),
        "bytearray-bomb": ("model.pkl", b"\x80\x04cbuiltins\nbytearray\n\x8a\x06\x00\x00\x00\x00\x00\x40\x85R."),
        "ndarray-bomb": ("model.pkl", b"\x80\x04cnumpy\nndarray\n\x8a\x06\x00\x00\x00\x00\x00\x10\x85\x85R."),
        "protocol-0": ("model.pkl", f"cposix\nsystem\n(V{COMMAND}\ntR.".encode()),
        "opcode-inst": ("model.pkl", f"(V{COMMAND}\niposix\nsystem\n.".encode()),
        "opcode-obj": ("model.pkl", f"(cposix\nsystem\nV{COMMAND}\no.".encode()),
        "opcode-ext": ("model.pkl", b"\x80\x02\x82\x01."),
        "opcode-persid": ("model.pkl", b"Pfile:///etc/passwd\n."),
        "truncated-after-reduce": ("model.pkl", plain[:-1]),
        "second-pickle": ("model.joblib", good + plain),
        "trailing-bytes": ("model.joblib", good + b"PK\x03\x04"),
        "behind-gzip": ("model.joblib", gzip.compress(good, mtime=0) + gzip.compress(plain, mtime=0)),
        "nested-in-weights": ("model.joblib", _nested()),
        "nested-in-stop-words": ("model.joblib", _stop_words()),
        "function-transformer": ("model.joblib", _function_transformer()),
        "object-array": ("model.joblib", joblib_bytes(_object_array(harm()))),
        "object-npy": ("model.npy", _npy()),
        "object-npz": ("model.npz", _npz()),
        "crafted-wrapper": ("model.joblib", _wrapper(dtype=np.dtype("O")) + plain + b"."),
        "wrapper-overridden": ("model.joblib", _wrapper(read=np.float64) + b"\x00" * 8 + b"."),
        "wrapper-negative": ("model.joblib", _wrapper(shape=(-8,)) + plain),
        "wrapper-gigantic": ("model.joblib", _wrapper(shape=(1 << 44,)) + b"\x00" * 64 + b"."),
        "framed-array": ("model.joblib", _framed_array()),
        "wild-tree": ("model.joblib", _wild_tree()),
        "wild-matrix": ("model.joblib", _wild_matrix()),
        "reads-files": ("model.joblib", _reads_files()),
    }
    return {case: {name: content} for case, (name, content) in named.items()}
