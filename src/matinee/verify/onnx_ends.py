"""Does an ONNX graph give logits, or probabilities already? Its last operation tells."""

from pathlib import Path

from matinee.verify.protobuf import mapped, messages, text
from matinee.verify.report import Broken

_GRAPH, _NODE, _OUTPUT = 7, 1, 12
_NODE_INPUT, _NODE_OUTPUT, _NODE_OP = 1, 2, 4
_PROBABILITIES = {"Softmax", "Sigmoid"}
_CHANGES_NO_VALUE = {"Identity", "Cast", "Reshape", "Squeeze", "Unsqueeze", "Flatten"}
_MAX_STEPS = 16


def gives_probabilities(path: Path) -> bool:
    """Whether the first output comes out of a softmax or sigmoid; False for a file that is no graph."""
    try:
        with mapped(path) as view:
            return any(_ends_in_probabilities(graph) for graph in messages(view, _GRAPH))
    except Broken:
        return False


def _ends_in_probabilities(graph: memoryview) -> bool:
    makers = {text(node, _NODE_OUTPUT): node for node in messages(graph, _NODE)}
    name = next((text(output, 1) for output in messages(graph, _OUTPUT)), "")
    for _ in range(_MAX_STEPS):
        operation = text(makers[name], _NODE_OP) if name in makers else ""
        if operation not in _CHANGES_NO_VALUE:
            return operation in _PROBABILITIES
        name = next((bytes(value).decode("utf-8", "replace") for value in messages(makers[name], _NODE_INPUT)), "")
    return False
