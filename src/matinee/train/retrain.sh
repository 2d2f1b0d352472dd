#!/bin/sh
# make models: train what is bundled, in an environment of its own (torch and friends: 1.2 GB). DATA names the data set.
set -eu
cd "$(dirname "$0")/../../.."
python=$1
data=${2:-imdb}
venv=.venv-train
bundled=src/matinee/bundled
work=$venv/work
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
if [ ! -e "$venv/.installed" ] || [ pyproject.toml -nt "$venv/.installed" ]; then
  # torch first and alone: its CPU build is chosen by pip's own settings.
  "$venv/bin/python" -m pip install --quiet torch==2.13.0
  "$venv/bin/python" -m pip install --quiet --editable ".[train]"
  touch "$venv/.installed"
fi
# Memory given back to the system and asked for again cost a third of the time with glibc's defaults.
export MALLOC_MMAP_THRESHOLD_=8589934592 MALLOC_TRIM_THRESHOLD_=17179869184
matinee() { "$venv/bin/python" -m matinee "$@"; }
matinee train linear --data "$data" --out $bundled/imdb-sentiment-linear
matinee train transformer --data "$data" --out $bundled/imdb-sentiment-transformer --work $work \
  --teacher $bundled/imdb-sentiment-linear
# What the transformer learned in its way, the linear model learns in its own.
matinee train labels --data "$data" --out src/matinee/train/labels.npz --model bundled:imdb-sentiment-transformer
matinee train linear --data "$data" --out $bundled/imdb-sentiment-linear --labels src/matinee/train/labels.npz
matinee train cascade --data "$data" --out $bundled/imdb-sentiment \
  --quick bundled:imdb-sentiment-linear --full bundled:imdb-sentiment-transformer
