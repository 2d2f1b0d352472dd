#!/bin/sh
# check_wheel.sh PYTHON: builds the wheel into dist/ and asks it for an answer in an empty folder, where no source is.
set -eu
python=$1
cd "$(dirname "$0")/../.."
here=$(pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$python" -m venv "$work/build"
"$work/build/bin/pip" install --quiet --require-hashes --no-deps -r deploy/image/build.lock
rm -rf dist
"$work/build/bin/python" -m pip wheel --quiet --no-build-isolation --no-deps --wheel-dir dist .

"$python" -m venv "$work/run"
"$work/run/bin/pip" install --quiet --require-hashes --no-deps -r requirements.lock
"$work/run/bin/pip" install --quiet --no-deps --no-index "$here"/dist/*.whl
mkdir "$work/empty"
cd "$work/empty"
"$work/run/bin/matinee" --version
answer=$("$work/run/bin/matinee" predict --json "A wonderful film: superb acting, and a story that moved me to tears.")
case $answer in
  *'"positive"'*) echo "the installed wheel answers: $answer" ;;
  *) echo "the installed wheel does not answer as expected: $answer" >&2; exit 1 ;;
esac
