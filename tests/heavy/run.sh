#!/bin/sh
# make test-heavy: the tests that need torch, TensorFlow and the like, in an environment of their own (3.5 GB).
set -eu
cd "$(dirname "$0")/../.."
venv=.venv-heavy
[ -x "$venv/bin/python" ] || "$1" -m venv "$venv"
if ! cmp -s tests/heavy/requirements.txt "$venv/requirements.txt"; then
  # torch first and alone: its CPU build is chosen by pip's own settings.
  "$venv/bin/python" -m pip install --quiet torch==2.13.0
  "$venv/bin/python" -m pip install --quiet -r tests/heavy/requirements.txt --editable .
  cp tests/heavy/requirements.txt "$venv/requirements.txt"
fi
# TF classes of transformers want Keras 2; Keras 3 runs on TensorFlow, to be compared with.
export TF_USE_LEGACY_KERAS=1 KERAS_BACKEND=tensorflow CUDA_VISIBLE_DEVICES= TF_CPP_MIN_LOG_LEVEL=2
exec "$venv/bin/python" -m pytest -m heavy -W default tests/heavy
