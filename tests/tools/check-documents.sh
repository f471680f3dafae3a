#!/bin/sh
# Runs every foreign checker over the generated documents; fails on any finding, warnings included.
#   tests/tools/check-documents.sh [FOLDER]        FOLDER is docs by default
# PYTHON names an interpreter that has the packages of clients/python/requirements-dev.lock.
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
docs=${1:-"$here/../../docs"}
status=0
node "$here/check-documents.mjs" "$docs" || status=1
"${PYTHON:-python3}" "$here/check_documents.py" "$docs" || status=1
exit $status
