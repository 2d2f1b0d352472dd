#!/bin/sh
# wait.sh PORT: until the server is ready to answer, or for a minute.
set -eu
tries=60
until curl --silent --fail --max-time 5 --output /dev/null "http://127.0.0.1:$1/readyz"; do
  tries=$((tries - 1))
  [ "$tries" -gt 0 ] || { echo "the server is not ready after a minute: docker compose logs matinee" >&2; exit 1; }
  sleep 1
done
