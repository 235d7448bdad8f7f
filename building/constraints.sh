#!/bin/sh
# Usage: building/constraints.sh PYTHON FILE
# Installs the newest of everything that developing needs into an environment of its own and writes
# down what came: names and versions alone, not where they came from.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$1" -m venv "$folder/env"
pip="$folder/env/bin/python -m pip --disable-pip-version-check"
$pip install --editable '.[dev]' > "$folder/log" 2>&1 || { cat "$folder/log" >&2; exit 4; }
$pip freeze --exclude-editable | grep -E '^[A-Za-z0-9._-]+==' | sort -f > "$folder/list"
[ -s "$folder/list" ] || { echo "pip lists no package in $folder/env" >&2; exit 4; }
{
  echo "# Versions that kernprof's tests have passed with, for pip's option -c; refreshed by"
  echo "# 'make constraints' on $("$1" -c 'import platform as p; print("Python %s.%s, %s %s" % (*p.python_version_tuple()[:2], p.system(), p.machine()))')."
  cat "$folder/list"
} > "$2"
