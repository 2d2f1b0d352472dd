#!/bin/sh
# lock.sh UV: resolves what the full image and the wheel's build need, and writes full.lock and build.lock.
set -eu
uv=$1
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# The versions of requirements.lock hold here too, apart from what only the override leaves out there.
sed -n 's/^\([a-z0-9._-]*==[^ ]*\)\( ;.*\)\{0,1\} \\$/\1\2/p' requirements.lock | grep -v "sys_platform == 'never'" > "$work/constraints.txt"
set -- --extra onnxruntime --extra wandb --extra mlflow --extra hf --extra s3 --extra gcs --extra azure --extra otel --extra sklearn --extra tensorflow --extra keras
"$uv" pip compile pyproject.toml --quiet --python-version 3.11 --python-platform x86_64-unknown-linux-gnu \
  --generate-hashes --no-emit-index-url --no-header --no-annotate --constraint "$work/constraints.txt" \
  "$@" --output-file deploy/image/full.lock
echo "hatchling>=1.27" > "$work/build.in"
"$uv" pip compile "$work/build.in" --quiet --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
  --no-annotate --output-file deploy/image/build.lock
