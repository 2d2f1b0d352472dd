#!/usr/bin/env bash
# build.sh TARGET TAG: the shipped Dockerfile, built by buildah on the stand-in bases, with one date on every file.
# NO_CACHE=1 builds every layer anew.
set -euo pipefail
. "$(dirname "$0")/environment.sh"
cd "$(dirname "$0")/../.."
cache=(--layers)
[ -z "${NO_CACHE:-}" ] || cache+=(--no-cache)
exec nice -n "${REHEARSAL_NICE:-5}" buildah bud --quiet "${cache[@]}" --pull-never --timestamp 1700000000 "${BUILD_MOUNTS[@]}" \
  --build-arg "BASE_IMAGE=$SLIM_BASE" --build-arg "DISTROLESS_IMAGE=$DISTROLESS_BASE" \
  --target "$1" --tag "$2" .
