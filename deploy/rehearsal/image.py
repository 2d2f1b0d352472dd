"""The image: built, small, reproducible, and true to the contract of Cloud Run."""

import socket
import threading
import time
from pathlib import Path

from deploy.rehearsal.containers import LIMITS, Container, ask, first_answer, free_port
from deploy.rehearsal.stage import Stage, expect, needs, tool

_HERE = Path(__file__).parent
_REVIEW = "A wonderful film, superbly acted, and moving from the first minute to the last. "
_HALF_A_REQUEST = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"
_LIMIT_UNPACKED, _LIMIT_COMPRESSED = 300e6, 120e6
_TO_BUILD = ("buildah", "podman", "runc")  # what looks at the image needs what made it


def bases(stage: Stage) -> str:
    """Stand-ins for the official base images."""
    needs("mmdebstrap", "buildah", "podman", "runc")
    stage.run(str(_HERE / "bases.sh"))
    return "stand-ins for debian:bookworm-slim and distroless/python3-debian12, from Debian's packages"


def build(stage: Stage) -> str:
    """The shipped Dockerfile."""
    needs(*_TO_BUILD)
    stage.build("distroless", stage.image)
    size = int(stage.run("podman", "inspect", stage.image, "--format={{.Size}}").stdout)
    stage.figures["image, unpacked"] = f"{size / 1e6:.0f} MB (limit 300)"
    expect(size <= _LIMIT_UNPACKED, f"the image has {size / 1e6:.0f} MB, allowed are 300")
    return f"target distroless, {size / 1e6:.0f} MB unpacked"


def reproducible(stage: Stage) -> str:
    """A second build from nothing has the same layers."""
    needs(*_TO_BUILD)
    first = _layers(stage, stage.image)
    stage.run(str(_HERE / "build.sh"), "distroless", "localhost/matinee:again", extra={"NO_CACHE": "1"})
    second = _layers(stage, "localhost/matinee:again")
    stage.run("podman", "rmi", "--force", "localhost/matinee:again", check=False)
    expect(first == second, f"the layers differ: {first} and {second}")
    return f"two builds from nothing, the same {len(first.split())} layers"


def _layers(stage: Stage, image: str) -> str:
    return stage.run("podman", "inspect", image, "--format={{.RootFS.Layers}}").stdout.strip()


def contents(stage: Stage) -> str:
    """No shell, no secret, another user than root; a list of what is inside."""
    needs(*_TO_BUILD)
    probe = (
        "import os, sys; from pathlib import Path\n"
        "assert os.getuid() == 65532, os.getuid()\n"
        "assert not any(Path(p).exists() for p in ('/bin/sh', '/bin/bash', '/usr/bin/env', '/usr/bin/pip'))\n"
        "def refused(p):\n"
        "  try: Path(p).write_text('x')\n"
        "  except OSError: return True\n"
        "assert all(refused(p) for p in ('/x', '/opt/venv/x', '/home/nonroot/x'))\n"
        "Path('/tmp/x').write_text('x')\n"
    )
    stage.run(
        "podman", "run", "--rm", "--pull=never", *LIMITS, "--entrypoint=/opt/venv/bin/python", stage.image, "-c", probe
    )
    history = stage.run("podman", "history", "--no-trunc", "--format={{.CreatedBy}}", stage.image).stdout.lower()
    expect(not any(word in history for word in ("api_key=", "token=", "password=")), "a secret is in the history")
    return "uid 65532, no shell, only the temporary folder is writable, no secret in any layer's command"


def sbom(stage: Stage) -> str:
    """A list of everything inside, by syft."""
    needs(*_TO_BUILD)
    syft = tool("syft")
    archive = stage.folder / "image.tar"
    stage.run("podman", "save", "--quiet", "--format=oci-archive", f"--output={archive}", stage.image)
    target = stage.folder / "sbom.cdx.json"
    stage.run(syft, "scan", f"oci-archive:{archive}", "-o", f"cyclonedx-json={target}", "-q")
    archive.unlink()
    found = target.read_text().count('"type": "library"') or target.read_text().count('"type":"library"')
    expect(found > 20, f"the SBOM lists {found} packages")
    return f"CycloneDX with {found} packages"


def contract(stage: Stage) -> str:
    """PORT, 512 MiB, one CPU, read-only, SIGTERM with a half-sent request and one in flight."""
    needs(*_TO_BUILD)
    port = free_port()
    environment = {"PORT": str(port), "HOST": "127.0.0.1", "MODEL": stage.model}
    started = time.monotonic()
    container = Container(stage, stage.image, environment)
    try:
        answer = first_answer(port)
        seconds = time.monotonic() - started
        expect(answer["predictions"][0]["label"] == "positive", f"a wrong first answer: {answer}")
        return f"first correct answer {seconds:.2f} s after podman run; {_terminate(container, port)}"
    finally:
        container.stop()


def _terminate(container: Container, port: int) -> str:
    outcome: list[tuple[int, object]] = []
    texts = [_REVIEW * 5] * 200
    flight = threading.Thread(target=lambda: outcome.append(ask(port, "POST", "/predict", {"texts": texts})))
    with socket.create_connection(("127.0.0.1", port), timeout=10) as half:
        half.sendall(
            b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"
        )
        flight.start()
        time.sleep(0.05)
        began = time.monotonic()
        container.terminate()
        seconds = time.monotonic() - began
    flight.join(60)
    expect(outcome, "the request in flight had no answer after 60 s")
    code = container.exit_code()
    expect(code == 0, f"exit code {code} after SIGTERM: {container.logs()[-500:]}")
    expect(outcome[0][0] == 200, f"the request in flight was answered {outcome[0][0]}")
    expect(seconds < 10, f"it took {seconds:.1f} s to stop")
    return f"after SIGTERM the request in flight got its answer, and the process ended with 0 in {seconds:.1f} s"


def push(stage: Stage) -> str:
    """To a real registry on loopback; from here on the image has a digest."""
    needs("docker-registry", "skopeo", *_TO_BUILD)
    digest = stage.folder / "digest"
    stage.pushed = f"127.0.0.1:15000/demo-project/matinee/server@{push_image(stage, stage.image, digest)}"
    manifest = stage.run("skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{stage.pushed}").stdout
    size = sum(int(part.split(",")[0].split("}")[0]) for part in manifest.split('"size":')[2:])
    stage.figures["image, compressed"] = f"{size / 1e6:.0f} MB (limit 120)"
    expect(size <= _LIMIT_COMPRESSED, f"the image has {size / 1e6:.0f} MB compressed, allowed are 120")
    return f"{size / 1e6:.0f} MB compressed; {stage.pushed[-71:]}"


def push_image(stage: Stage, image: str, digest: Path) -> str:
    """Push under one name; gives the digest."""
    target = "docker://127.0.0.1:15000/demo-project/matinee/server:rehearsal"
    stage.run("buildah", "push", "--quiet", "--tls-verify=false", f"--digestfile={digest}", image, target)
    return digest.read_text().strip()
