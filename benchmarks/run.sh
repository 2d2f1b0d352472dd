#!/bin/sh
# The whole matrix (or --quick): makes its environments, measures, prints the table.
# usage: run.sh PYTHON [--quick]; DATA names the Parquet file with the test reviews.
set -eu
cd "$(dirname "$0")/.."
python=$1
data=${DATA:-../shared/data/imdb/test.parquet}
[ -f "$data" ] || { echo "No reviews at $data: set DATA to a Parquet file with a column text" >&2; exit 2; }
command -v wrk >/dev/null || { echo "wrk is not installed: apt-get install wrk" >&2; exit 2; }
here=benchmarks/.envs/matinee
if [ ! -f $here/.installed ] || [ requirements.lock -nt $here/.installed ]; then
  "$python" -m venv $here
  $here/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
  $here/bin/pip install --quiet --disable-pip-version-check --no-deps --editable .
  $here/bin/pip install --quiet --disable-pip-version-check pyarrow
  touch $here/.installed
fi
if [ "${2:-}" = --quick ]; then
  set -- --rounds 1 --seconds 4 --scout-seconds 2 --only FastAPI LitServe --name quick
else
  set -- --name servers
fi
$here/bin/python benchmarks/bench.py --data "$data" "$@"
while [ "$#" -gt 1 ] && [ "$1" != --name ]; do shift; done
$here/bin/python benchmarks/report.py "$2"
