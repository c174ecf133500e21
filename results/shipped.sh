#!/usr/bin/env bash
# The networks that travel with the package, trained, put into sr/zoo/shipped and measured: SR_SHARED=PATH results/shipped.sh
# One core. A run that is there is gone on with. It needs the extra `export`; sr/zoo/entries.csv takes the checksums.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${SR_SHARED:?set SR_SHARED to the folder that holds data/train and data/benchmarks}"
out=$(realpath -m "${1:-outputs/shipped}")
python=${PYTHON:-.venv/bin/python}
export OMP_NUM_THREADS=1
network="model=plain model.num_blocks=10 model.channels=32 recipe=shipped"
settings="data_dir=$SR_SHARED/data benchmarks=[] logger=csv callbacks=[] trainer=cpu"

train() { # scale, other arguments of train.py
    local folder=$out/x$1
    if [ -f "$folder/checkpoints/last.ckpt" ]; then
        $python train.py "resume=$folder"
    else
        # shellcheck disable=SC2086
        $python train.py $network $settings data=t91_bsd200_general100 "scale=$1" "${@:2}" "hydra.run.dir=$folder"
    fi
}

train 2
train 4 "init_from=$out/x2" steps=10000 patch_size=19 batch_size=24 # the smallest image is 19 LR pixels high
train 3 "init_from=$out/x2" steps=8000
for scale in 2 3 4; do
    $python export.py "model=$out/x$scale" formats=safetensors "output=$out/files" overwrite=true
    cp "$out/files/plain_x$scale.safetensors" "sr/zoo/shipped/plain_m10c32_x$scale.safetensors"
done
sha256sum sr/zoo/shipped/*.safetensors
$python evaluate.py "checkpoint=[$out/x2,$out/x3,$out/x4]" "benchmarks=[set5,set14,b100]" "data_dir=$SR_SHARED/data" \
    "protocols=[y,rgb]" panels=0
