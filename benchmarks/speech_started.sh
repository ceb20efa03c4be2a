#!/bin/sh
# Speech commands again, meta-trained from the pre-trained weights that `speech.sh` left.
# usage: benchmarks/speech_started.sh DATA.npz SPEECH OUT   (SPEECH: OUT of benchmarks/speech.sh)
set -eu
data=$1 pretrained=$2/run/baselines/pretrained out=$3
mkdir -p "$out"
. "$(dirname "$0")/say.sh"

say edgemeta train "$data" --by both --out "$out/run" --model ds-cnn --start "$pretrained" \
  --iterations 500 --validation-episodes 300 --threads 1 --algorithm anil --inner-steps 5 \
  --optimizer adamw --weight-decay 0.1 --meta-lr 0.002
mkdir -p "$out/run/baselines"
cp -r "$pretrained" "$out/run/baselines"
say edgemeta baselines "$out/run" --pretrain-iterations 1500
