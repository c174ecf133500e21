#!/usr/bin/env bash
# From nothing towards the papers' figures, for the first table of learning.md: SR_SHARED=PATH results/reproduce.sh [FOLDER [NAME...]]
# Three seeds of each, or of those named; minutes each on one core. A run that is there is gone on with. Validated are Set5's
# images, for the time to the figure alone: the last weights are measured, and settings were chosen by other images.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${SR_SHARED:?set SR_SHARED to the folder that holds data/train and data/benchmarks}"
out=$(realpath -m "${1:-outputs/reproduce}")
only=("${@:2}")
python=${PYTHON:-.venv/bin/python}
export OMP_NUM_THREADS=1
images="data_dir=$SR_SHARED/data data.val=$SR_SHARED/data/benchmarks/Set5/HR benchmarks=[set5,set14]"

for name in srcnn_x3 espcn_x3 fsrcnn_x3; do
    [[ ${#only[@]} -eq 0 || " ${only[*]} " == *" $name "* ]] || continue
    for seed in 0 1 2; do
        folder=$out/$name/seed$seed
        if [ -f "$folder/results.csv" ]; then continue; fi
        if [ -f "$folder/checkpoints/last.ckpt" ]; then
            $python train.py "resume=$folder"
        else
            # shellcheck disable=SC2086
            $python train.py "experiment=reproduce/$name" "seed=$seed" $images logger=csv trainer=cpu "hydra.run.dir=$folder"
        fi
    done
done
