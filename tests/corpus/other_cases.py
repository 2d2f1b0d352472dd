"""Hostile archives, MLflow models, skops files and manifests."""

import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import skops.io
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from tests.corpus.files import Files, to_json, to_zip
from tests.corpus.pickled import COMMAND, harm, joblib_bytes, pipeline


def _tar(name: str, link: str = "") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        member = tarfile.TarInfo(name)
        if link:
            member.type, member.linkname = tarfile.SYMTYPE, link
        archive.addfile(member, io.BytesIO())
    return file.getvalue()


def _skops(change: Callable[[dict[str, bytes]], None]) -> bytes:
    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(pipeline()))) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    return to_zip(members)


def _method_node(members: dict[str, bytes]) -> None:
    schema = json.loads(members["schema.json"])
    schema["content"]["content"]["memory"] = {
        "__class__": "system", "__module__": "os", "__loader__": "MethodNode", "content": {"obj": {}, "func": "system"},
    }  # fmt: skip
    members["schema.json"] = to_json(schema)


def _duplicate_keys(members: dict[str, bytes]) -> None:
    members["schema.json"] = members["schema.json"].replace(
        b'"__class__": "Pipeline"', b'"__class__": "Pipeline", "__class__": "system"', 1
    )


def _traversal(members: dict[str, bytes]) -> None:
    members["../../evil.npy"] = b"x"


def _object_member(members: dict[str, bytes]) -> None:
    file = io.BytesIO()
    array = np.empty(1, dtype=object)
    array[0] = harm()
    np.save(file, array, allow_pickle=True)
    name = next(name for name in members if name.endswith(".npy"))
    members[name] = file.getvalue()


def _mlmodel(text: str, **files: bytes) -> Files:
    return {"MLmodel": text.encode(), **files}


def _manifest(name: str, **changes: Any) -> Files:
    content = joblib_bytes(pipeline())
    entry = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    document = {
        "schema": 1, "name": "m", "flavor": "sklearn", "labels": ["negative", "positive"],
        "files": {"model.joblib": entry}, "options": {"file": "model.joblib"},
    }  # fmt: skip
    return {"matinee.json": to_json(document | changes), name: content}


def other_cases() -> dict[str, Files]:
    """Archives, MLflow models, skops files, manifests."""
    pickled = "flavors:\n  sklearn:\n    pickled_model: model.pkl\n"
    outside_options = {"file": "../../model.joblib", "pickle_names": ["os.system"]}
    letters = "abcdefghijklmnopqrst"
    laughs = "a: &a [x, x]\n" + "".join(f"{two}: &{two} [*{one}, *{one}]\n" for one, two in pairwise(letters))
    wrong = {"model.joblib": {"size": 12, "sha256": "0" * 64}}
    outside = {"../model.joblib": {"size": 12, "sha256": "0" * 64}}
    transformer = make_pipeline(FunctionTransformer(print), pipeline())
    return {
        "tar-traversal": {"model.tar": _tar("../evil")},
        "tar-link": {"model.tar": _tar("link", link="/etc/passwd")},
        "zip-traversal": {"model.zip": to_zip({"../evil": b"x"})},
        "zip-with-pickle": {"model.zip": to_zip({"model.pkl": joblib_bytes(harm())})},
        "mlflow-python-function": _mlmodel("flavors:\n  python_function:\n    loader_module: evil\n"),
        "mlflow-yaml-object": _mlmodel(f'flavors: !!python/object/apply:os.system ["{COMMAND[:20]}"]\n'),
        "mlflow-aliases": _mlmodel(laughs),
        "mlflow-outside": _mlmodel("flavors:\n  sklearn:\n    pickled_model: ../../model.pkl\n"),
        "mlflow-cloudpickle": _mlmodel(pickled, **{"model.pkl": joblib_bytes(harm())}),
        "skops-function-transformer": {"model.skops": skops.io.dumps(transformer)},
        "skops-method-node": {"model.skops": _skops(_method_node)},
        "skops-duplicate-keys": {"model.skops": _skops(_duplicate_keys)},
        "skops-traversal": {"model.skops": _skops(_traversal)},
        "skops-object-array": {"model.skops": _skops(_object_member)},
        "manifest-wrong-digest": _manifest("model.joblib", files=wrong),
        "manifest-unlisted": _manifest("model.joblib") | {"extra.joblib": b"x"},
        "manifest-absent": _manifest("other.joblib"),
        "manifest-outside": _manifest("model.joblib", files=outside),
        "manifest-custom": _manifest("model.joblib", flavor="custom", options={"class": "os:system"}),
        "manifest-pickle-names": _manifest("model.joblib", options=outside_options),
        "manifest-python-function": _manifest("model.joblib", flavor="mlflow"),
    }  # fmt: skip
