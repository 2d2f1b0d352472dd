#!/usr/bin/env bash
# build.sh TARGET TAG: the shipped Dockerfile, built by buildah on the stand-in bases, with one date on every file.
set -euo pipefail
. "$(dirname "$0")/environment.sh"
cd "$(dirname "$0")/../.."
exec nice -n 5 buildah bud --quiet --layers --pull-never --timestamp 1700000000 "${BUILD_MOUNTS[@]}" \
  --build-arg "BASE_IMAGE=$SLIM_BASE" --build-arg "DISTROLESS_IMAGE=$DISTROLESS_BASE" \
  --target "$1" --tag "$2" .
