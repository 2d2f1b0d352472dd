"""Ordinary models, as people save them; each has to be loaded."""

import io
import json
import pickle
import struct
from pathlib import Path
from typing import Any

import h5py
import joblib
import numpy as np
import skops.io
from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import TruncatedSVD
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfTransformer, TfidfVectorizer
from sklearn.feature_selection import SelectKBest, chi2
from sklearn.linear_model import LogisticRegression, RidgeClassifier, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import BernoulliNB, ComplementNB, MultinomialNB
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import MaxAbsScaler
from sklearn.svm import LinearSVC
from tests.corpus.encoder_cases import CONFIG
from tests.corpus.keras_cases import hdf5, keras
from tests.corpus.pickled import SIGNS, TEXTS

WORDS = ["good" if sign else "bad" for sign in SIGNS]
STARS = [0, 1, 2] * 4


def _tfidf(**settings: Any) -> TfidfVectorizer:
    return TfidfVectorizer(**settings)


def pipelines() -> dict[str, Any]:
    """Text pipelines of every usual kind, fitted."""
    union = FeatureUnion([("words", _tfidf()), ("marks", _tfidf(analyzer="char_wb", ngram_range=(2, 4)))])
    vote = VotingClassifier([("a", LogisticRegression()), ("b", MultinomialNB())], voting="soft")
    made = {
        "logistic": make_pipeline(_tfidf(ngram_range=(1, 2)), LogisticRegression()),
        "stop-words": make_pipeline(_tfidf(stop_words="english", strip_accents="unicode"), LogisticRegression()),
        "characters": make_pipeline(_tfidf(analyzer="char", ngram_range=(1, 3)), LogisticRegression()),
        "float32": make_pipeline(_tfidf(dtype=np.float32, sublinear_tf=True, norm="l1"), LogisticRegression()),
        "multinomial-nb": make_pipeline(CountVectorizer(), MultinomialNB()),
        "complement-nb": make_pipeline(CountVectorizer(binary=True), TfidfTransformer(), ComplementNB()),
        "bernoulli-nb": make_pipeline(CountVectorizer(binary=True), BernoulliNB()),
        "hashing-sgd": make_pipeline(HashingVectorizer(n_features=64), SGDClassifier(loss="log_loss", random_state=0)),
        "linear-svc": make_pipeline(_tfidf(), LinearSVC()),
        "calibrated": make_pipeline(_tfidf(), CalibratedClassifierCV(LinearSVC(), cv=2)),
        "isotonic": make_pipeline(_tfidf(), CalibratedClassifierCV(LinearSVC(), cv=2, method="isotonic")),
        "ridge": make_pipeline(_tfidf(), RidgeClassifier()),
        "union": make_pipeline(union, LogisticRegression()),
        "selected": make_pipeline(_tfidf(), SelectKBest(chi2, k=5), LogisticRegression()),
        "svd": make_pipeline(_tfidf(), TruncatedSVD(3, random_state=0), LogisticRegression()),
        "scaled": make_pipeline(CountVectorizer(), MaxAbsScaler(), LogisticRegression()),
        "forest": make_pipeline(_tfidf(), RandomForestClassifier(3, random_state=0)),
        "vote": make_pipeline(_tfidf(), vote),
        "grid": GridSearchCV(make_pipeline(_tfidf(), LogisticRegression()), {"logisticregression__C": [1, 9]}, cv=2),
    }
    for model in made.values():
        model.fit(TEXTS, SIGNS)
    made["words"] = make_pipeline(_tfidf(), LogisticRegression()).fit(TEXTS, np.array(WORDS, dtype=object))
    made["stars"] = make_pipeline(_tfidf(), LogisticRegression()).fit(TEXTS, STARS)
    made["stars-sgd"] = make_pipeline(_tfidf(), SGDClassifier(loss="log_loss", random_state=0)).fit(TEXTS, STARS)
    return made


def write(folder: Path) -> None:
    """Each model in a folder of its own."""
    made = pipelines()
    for name, model in made.items():
        _folder(folder, name)
        joblib.dump(model, folder / name / "model.joblib")
    for method in ("zlib", "gzip", "bz2", "lzma", "xz"):
        joblib.dump(made["logistic"], _folder(folder, f"logistic-{method}") / "model.joblib", compress=(method, 3))
    for protocol in (0, 2, 5):
        content = pickle.dumps(made["words"], protocol=protocol)
        (_folder(folder, f"pickle-{protocol}") / "model.pkl").write_bytes(content)
    for name in ("logistic", "words", "forest"):
        skops.io.dump(made[name], _folder(folder, f"skops-{name}") / "model.skops")
    _mlflow(_folder(folder, "mlflow-sklearn"), made["words"])
    _others(folder)


def _folder(parent: Path, name: str) -> Path:
    (parent / name).mkdir(parents=True)
    return parent / name


def _mlflow(folder: Path, model: Any) -> None:
    description = (
        "artifact_path: model\nflavors:\n  python_function:\n    loader_module: mlflow.sklearn\n"
        "    model_path: model.pkl\n"
        "  sklearn:\n    pickled_model: model.pkl\n    serialization_format: pickle\nmlflow_version: 3.11.1\n"
    )
    (folder / "MLmodel").write_text(description)
    (folder / "requirements.txt").write_text("scikit-learn\n")
    (folder / "model.pkl").write_bytes(pickle.dumps(model))


def _others(folder: Path) -> None:
    """Of flavors whose libraries are not here: they have to pass verification."""

    def fill(file: h5py.File) -> None:
        file.create_dataset("dense/kernel", data=np.ones((4, 2), dtype="f4"))

    dense = {"module": "keras.layers", "class_name": "Dense", "registered_name": None, "config": {"units": 2}}
    old = {"class_name": "Sequential", "config": {"layers": [{"class_name": "Dense", "config": {"units": 2}}]}}
    (_folder(folder, "keras-archive") / "model.keras").write_bytes(keras(dense, weights=hdf5(fill)))
    (_folder(folder, "keras-h5") / "model.h5").write_bytes(hdf5(fill, old))
    encoder = _folder(folder, "encoder-with-leftovers")
    header = json.dumps({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    (encoder / "config.json").write_text(json.dumps(CONFIG))
    (encoder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))
    (encoder / "training_args.bin").write_bytes(io.BytesIO(b"\x80\x02K\x01.").getvalue())
    (encoder / "README.md").write_text("# A model\n")
