"""The Deployment and the compose file, really started."""

import os
import subprocess
import time
from pathlib import Path

from deploy.bounded import end
from deploy.rehearsal.containers import ask, first_answer, free_port
from deploy.rehearsal.stage import ROOT, NotAsExpected, Stage, expect, needs, tool

_OVERLAY = """apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [{base}]
images: [{{name: matinee, newName: localhost/matinee, newTag: rehearsal}}]
patches:
  - target: {{kind: Deployment}}
    patch: |
      - {{op: add, path: /spec/replicas, value: 1}}
      - {{op: add, path: /spec/template/spec/containers/0/imagePullPolicy, value: Never}}
      - {{op: add, path: /spec/template/spec/containers/0/ports/0/hostPort, value: {port}}}
configMapGenerator: [{{name: matinee, behavior: merge, literals: ["MODEL={model}"]}}]
"""


def kube_play(stage: Stage) -> str:
    """The base Deployment, with its probes, limits and security context."""
    needs("kubectl", "podman", "catatonit")
    folder = stage.folder / "kube"
    folder.mkdir(exist_ok=True)
    port = free_port()
    base = os.path.relpath(ROOT / "deploy" / "kubernetes" / "base", folder.resolve())
    (folder / "kustomization.yaml").write_text(_OVERLAY.format(base=base, port=port, model=stage.model))
    documents = stage.run("kubectl", "kustomize", str(folder)).stdout.split("\n---\n")
    wanted = [each for each in documents if "kind: Deployment" in each or "kind: ConfigMap" in each]
    manifest = folder / "play.yaml"
    manifest.write_text("\n---\n".join(wanted))
    started = time.monotonic()
    try:
        stage.run("podman", "kube", "play", "--network=podman", str(manifest))
        answer = first_answer(port)
        seconds = time.monotonic() - started
    finally:
        stage.run("podman", "kube", "down", str(manifest), check=False)
    expect(answer["predictions"][0]["label"] == "positive", f"a wrong answer: {answer}")
    return f"Deployment and ConfigMap of the base, first answer after {seconds:.1f} s"


def compose(stage: Stage) -> str:
    """The compose file on podman's socket, up to the easter egg, and down again."""
    needs("podman")
    program = tool("docker-compose")
    socket = stage.folder / "podman.sock"
    port = free_port()
    extra = {
        "DOCKER_HOST": f"unix://{socket}", "SERVER_IMAGE": stage.image, "PORT": str(port), "MODEL": stage.model
    }  # fmt: skip
    service = subprocess.Popen(["podman", "system", "service", "--time=0", f"unix://{socket}"], env=stage.environment())
    try:
        _wait(socket)
        stage.run(program, "up", "--detach", "--no-build", "--pull=never", extra=extra)
        stage.run("sh", "deploy/compose/wait.sh", str(port))
        status, answer = ask(port, "POST", "/predict", {"text": "A wonderful film, superbly acted."})
        expect(status == 200 and answer["predictions"][0]["label"] == "positive", f"{status}: {answer}")
        egg = stage.run(
            program, "exec", "-T", "matinee", "/opt/venv/bin/python", "-m", "matinee", "easter", extra=extra
        )
        expect(egg.stdout.strip(), "the easter egg is empty")
    finally:
        stage.run(program, "--profile", "*", "down", extra=extra, check=False)
        end(service, "podman system service")
    return f"up, ready, answering on port {port}, easter egg of {len(egg.stdout.splitlines())} lines, down"


def _wait(socket: Path) -> None:
    for _ in range(100):
        if socket.exists():
            return
        time.sleep(0.1)
    raise NotAsExpected("podman's socket did not come up within 10 s")
