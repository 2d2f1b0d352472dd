#!/usr/bin/env bash
# Stand-ins for the two base images, made from Debian's own packages and tagged with the official names, so that the
# shipped Dockerfile builds unchanged on a machine that reaches no image registry.
set -euo pipefail
. "$(dirname "$0")/environment.sh"

have() { buildah images --quiet "$1" >/dev/null 2>&1; }

if ! have "$SLIM_BASE"; then
  mmdebstrap --quiet --mode=root --variant=minbase --include=ca-certificates,netbase,tzdata \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' bookworm "$REHEARSAL_DIR/slim.tar"
  buildah bud --quiet --tag "$SLIM_BASE" --file "$(dirname "$0")/Dockerfile.slim" "$REHEARSAL_DIR"
  rm "$REHEARSAL_DIR/slim.tar"
fi

if ! have "$DISTROLESS_BASE"; then
  # The packages that the official image is put together from.
  mmdebstrap --quiet --mode=root --variant=extract --include=base-files,netbase,tzdata,ca-certificates,media-types,libc6,libgcc-s1,libstdc++6,libgomp1,libssl3,python3.11-minimal,libpython3.11-minimal,libpython3.11-stdlib \
    bookworm "$REHEARSAL_DIR/distroless.tar"
  buildah bud --quiet --pull-never --tag "$DISTROLESS_BASE" --file "$(dirname "$0")/Dockerfile.distroless" "$REHEARSAL_DIR"
  rm "$REHEARSAL_DIR/distroless.tar"
fi
