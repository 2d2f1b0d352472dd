# shellcheck shell=bash
# Sourced by every script of the rehearsal: where its container storage lies, and how podman and buildah run there.
# Nothing outside $REHEARSAL_DIR is written, and no daemon is needed.

REHEARSAL_DIR=${REHEARSAL_DIR:-"$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/build/rehearsal"}
mkdir -p "$REHEARSAL_DIR"
REHEARSAL_DIR=$(cd "$REHEARSAL_DIR" && pwd)
export REHEARSAL_DIR

export BUILDAH_ISOLATION=chroot
export CONTAINERS_STORAGE_CONF="$REHEARSAL_DIR/storage.conf"
export CONTAINERS_CONF="$REHEARSAL_DIR/containers.conf"

cat >"$CONTAINERS_STORAGE_CONF" <<CONF
[storage]
driver = "overlay"
graphroot = "$REHEARSAL_DIR/storage"
runroot = "$REHEARSAL_DIR/run"
CONF

# runc, because crun refuses hybrid cgroups; the limits, because an unprivileged host refuses podman's own larger ones.
cat >"$CONTAINERS_CONF" <<CONF
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=4096:4096"]
netns = "host"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
CONF

# Builds trust what this machine trusts; a mount leaves nothing in the image.
CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt
BUILD_MOUNTS=()
[ -f "$CA_BUNDLE" ] && BUILD_MOUNTS=(--volume "$CA_BUNDLE:$CA_BUNDLE:ro")
export BUILD_MOUNTS

SLIM_BASE=docker.io/library/debian:bookworm-slim
DISTROLESS_BASE=gcr.io/distroless/python3-debian12:nonroot
export SLIM_BASE DISTROLESS_BASE
