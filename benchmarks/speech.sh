#!/bin/sh
# Arabic speech commands as MFCC: new words by new speakers, from training to the baselines.
# usage: benchmarks/speech.sh DATA.npz OUT [SHOTS]
set -eu
data=$1 out=$2 shots=${3:-1}
mkdir -p "$out"
. "$(dirname "$0")/say.sh"

say edgemeta train "$data" --by both --out "$out/run" --model ds-cnn --algorithm anil \
  --inner-steps 5 --shots "$shots" --meta-lr 0.002 --iterations 4000 --threads 1
say edgemeta baselines "$out/run"
say edgemeta export "$out/run" --out "$out/bundle"
say edgemeta eval "$out/bundle" "$data" --by both --shots "$shots"
say edgemeta bench "$out/bundle" --shots "$shots" --threads 1
say edgemeta report "$out/run"
