#!/usr/bin/env bash
# The zoo's networks under all metrics, for the table of docs/zoo.md: SR_SHARED=PATH results/zoo.sh [FOLDER [NAME...]]
# About a minute of one core each (one on clips, which takes images for clips of one frame, two); what is there is left alone. AlexNet's and VGG-16's weights lie where torchvision keeps them.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${SR_SHARED:?set SR_SHARED to the folder that holds data/benchmarks and weights}"
out=$(realpath -m "${1:-outputs/zoo}")
only=("${@:2}")
python=${PYTHON:-.venv/bin/python}
export OMP_NUM_THREADS=1
export MALLOC_TRIM_THRESHOLD_=8589934592 MALLOC_TOP_PAD_=268435456 # a quarter less time: memory of features is kept

measure() { # name, arguments of evaluate.py
    [[ ${#only[@]} -eq 0 || " ${only[*]} " == *" $1 "* ]] || return 0
    if [ ! -f "$out/$1/results.csv" ]; then
        $python evaluate.py "${@:2}" "benchmarks=[set5,set14]" "protocols=[y]" \
            "metrics=[psnr,ssim,lpips,lpips_vgg,dists,niqe,lr_psnr]" panels=0 baseline=false \
            "data_dir=$SR_SHARED/data" "zoo.dir=$SR_SHARED/weights" "hydra.run.dir=$out/$1"
    fi
    $python results/page.py --add zoo "$out/$1"
}

for scale in 4 3 2; do
    measure "bicubic_x$scale" model=bicubic "scale=$scale"
    measure "plain_m10c32_x$scale" "weights=plain_m10c32_x$scale"
    measure "vdsr_x$scale" "weights=vdsr_x$scale" "scale=$scale"
done
for name in span_ntire_x4 disp_x4 rlfn_ntire_x4 bsrn_s_x4 rlfn_s_x4 rlfn_x4 rfdn_aim_x4 imdn_x4 bsrn_x4 lapsrn_x4 \
    srcnn_915_91_x3 srcnn_955_imagenet_x3 fsrcnn_x2 basicvsr_vimeo_bi; do
    measure "$name" "weights=$name"
done
