"""TensorFlow's `saved_model.pb`: no operation that reads or writes files, reaches out, or calls Python.

Field numbers are those of saved_model.proto, meta_graph.proto, graph.proto and function.proto.
"""

from collections.abc import Iterator

from matinee.verify.folder import Listing
from matinee.verify.policy import Policy
from matinee.verify.protobuf import mapped, messages, text
from matinee.verify.report import Broken, Findings

_META_GRAPHS, _GRAPH_DEF, _NODES, _LIBRARY, _FUNCTIONS, _FUNCTION_NODES, _OP = 2, 2, 1, 2, 1, 3, 2
# Exact names; the words below catch their relatives (ReadFile, WriteFile, MatchingFiles, EagerPyFunc, ...V2).
_FORBIDDEN = {"Save", "SaveSlices", "PrintV2", "Print", "LoadLibrary", "IteratorFromStringHandle", "Batch", "Unbatch"}
_FORBIDDEN_WORDS = (
    "PyFunc", "WriteFile", "ReadFile", "MatchingFiles", "Summary", "Reader", "Dataset", "Socket", "Debug", "Tpu", "Xla",
    "RemoteCall", "Rpc", "Decode", "Dump", "OutfeedEnqueue",
)  # fmt: skip
# A SavedModel always holds these to read and write its own variables; the loader runs only the first.
_OWN = {"SaveV2", "RestoreV2", "MergeV2Checkpoints", "ShardedFilename"}


def check_savedmodel(listing: Listing, name: str, _: Policy) -> Findings:
    """Every forbidden operation at once."""
    try:
        with mapped(listing.path(name)) as view:
            operations = set(_operations(view))
    except Broken as broken:
        return Findings((str(broken),))
    if not operations:
        return Findings(("holds no operations",))
    forbidden = sorted(operation for operation in operations if _forbidden(operation))
    return Findings(tuple(f"has the operation {name[:80]!a}, which reaches out of the model" for name in forbidden))


def _operations(view: memoryview) -> Iterator[str]:
    for meta in messages(view, _META_GRAPHS):
        for graph in messages(meta, _GRAPH_DEF):
            yield from (text(node, _OP) for node in messages(graph, _NODES))
            for library in messages(graph, _LIBRARY):
                for function in messages(library, _FUNCTIONS):
                    yield from (text(node, _OP) for node in messages(function, _FUNCTION_NODES))


def _forbidden(operation: str) -> bool:
    if operation in _OWN:
        return False
    return operation in _FORBIDDEN or any(word in operation for word in _FORBIDDEN_WORDS)
