"""`.skops`: a zip of arrays and a schema that names classes, which have to be on the list that pickles are held to."""

import json
from typing import Any

from matinee.verify.archives import check_zip, read_member, zip_names
from matinee.verify.arrays import check_npy_member
from matinee.verify.folder import Listing, printable
from matinee.verify.pickle_names import CALLS, CLASSES, REFERENCES, UFUNCS
from matinee.verify.pickles import advice
from matinee.verify.policy import Policy
from matinee.verify.report import Broken, Findings

_MAX_SCHEMA = 512 * 1024 * 1024  # skops takes some 400 bytes for each word of a vocabulary
_KEYS = ("__loader__", "__module__", "__class__")
_CONTAINERS = {"builtins.dict", "builtins.list", "builtins.tuple", "builtins.set", "collections.OrderedDict"}
_BUNCH = {"sklearn.utils._bunch.Bunch", "sklearn.utils.Bunch"}
_LOSSES = {name for name in CALLS if "loss" in name or "_sgd_fast" in name}
# What each kind of node may be. Kinds that call what they name (MethodNode, PartialNode and so on) are not here.
_ALLOWED: dict[str, frozenset[str]] = {
    "ObjectNode": CLASSES,
    "TypeNode": REFERENCES,
    "FunctionNode": frozenset(name for name in REFERENCES if name.startswith("sklearn.")) | UFUNCS,
    "RandomStateNode": frozenset(),  # only with a name that the operator allows, as in a pickle
    "DictNode": frozenset(_CONTAINERS | _BUNCH),
    "ListNode": frozenset(_CONTAINERS),
    "TupleNode": frozenset(_CONTAINERS),
    "SetNode": frozenset(_CONTAINERS),
    "JsonNode": frozenset({"builtins.str"}),
    "BytesNode": frozenset({"builtins.bytes"}),
    "BytearrayNode": frozenset({"builtins.bytearray"}),
    "SliceNode": frozenset({"builtins.slice"}),
    "NdArrayNode": REFERENCES,
    "MaskedArrayNode": REFERENCES,
    "DtypeNode": frozenset({"numpy.dtype"}),
    "SparseMatrixNode": CLASSES,
    "TreeNode": frozenset({"sklearn.tree._tree.Tree"}),
    "LossNode": frozenset(_LOSSES),
}


def check_skops(listing: Listing, name: str, policy: Policy) -> Findings:
    """Every forbidden name at once; the names of a harmless file, for the loader to keep to."""
    path = listing.path(name)
    reasons = check_zip(path, policy)
    if reasons:
        return Findings(tuple(reasons))
    reader = _SchemaReader(policy.pickle_names)
    try:
        json.loads(read_member(path, "schema.json", _MAX_SCHEMA), object_pairs_hook=reader.node)
        for member in zip_names(path):
            if member.endswith(".npy"):
                check_npy_member(path, member)
    except Broken as broken:
        reader.reasons.append(str(broken))
    except (ValueError, RecursionError):
        reader.reasons.append("has a schema that is not JSON")
    return Findings(tuple(dict.fromkeys(reader.reasons)), names=frozenset(reader.names))


class _SchemaReader:
    """Sees each object of the schema, innermost first, and keeps only names: a large vocabulary makes a huge schema."""

    def __init__(self, extra: frozenset[str]) -> None:
        self._extra = extra
        self.names: set[str] = set()
        self.reasons: list[str] = []

    def node(self, pairs: list[tuple[str, Any]]) -> None:
        found = [(key, value) for key, value in pairs if key in _KEYS]
        if not found:
            return
        parts = dict(found)
        if len(parts) != len(found) or len(parts) != len(_KEYS) or not all(isinstance(v, str) for v in parts.values()):
            self.reasons.append("has a schema with an incomplete node")
            return
        loader, module, name = (parts[key] for key in _KEYS)
        dotted = f"{module}.{name}"
        self.names.add(dotted)
        if dotted not in _ALLOWED.get(loader, frozenset()) and not (dotted in self._extra and loader in _ALLOWED):
            self.reasons.append(
                f"refers to {printable(dotted)} ({printable(loader)}), which is not on the list of allowed names"
                f"{advice(dotted)}"
            )
