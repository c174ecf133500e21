#!/usr/bin/env bash
# Every check and every timing that needs a GPU, in one run of under eight minutes: see README.md in this folder.
#
#   bash benchmarks/gpu.sh OUT             writes OUT/gpu.json, OUT/gpu.md and OUT/gpu.log
#   bash benchmarks/gpu.sh --toy OUT       the same at toy sizes on the processor
#
# PYTHON: the interpreter (python3). SR_SHARED: a folder with data/train and data/benchmarks, if there is one.
here=$(cd "$(dirname "$0")" && pwd) || exit
export PYTHONPATH="$here/..:$here${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1 PYTHONFAULTHANDLER=1
exec "${PYTHON:-python3}" -m gpu "$@"
