"""What the kustomize folders come to."""

import shutil
import subprocess
from pathlib import Path

import yaml

_FOLDER = Path(__file__).parents[1] / "kubernetes"
BASE = "base"
OVERLAYS = (
    BASE, "overlays/plain", "overlays/monitored", "overlays/kserve-knative", "overlays/kserve-standard"
)  # fmt: skip
_CUSTOM = ("serving.kserve.io/", "monitoring.coreos.com/")


def render(overlay: str) -> tuple[str, str]:
    """The overlay as YAML: first Kubernetes' own kinds, then the custom ones."""
    program = ["kubectl", "kustomize"] if shutil.which("kubectl") else ["kustomize", "build"]
    done = subprocess.run([*program, str(_FOLDER / overlay)], capture_output=True, text=True, check=True)
    documents = list(yaml.safe_load_all(done.stdout))
    custom = [each for each in documents if each["apiVersion"].startswith(_CUSTOM)]
    core = [each for each in documents if each not in custom]
    return (yaml.safe_dump_all(core) if core else "", yaml.safe_dump_all(custom) if custom else "")
