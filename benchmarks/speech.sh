#!/bin/sh
# Arabic speech commands as MFCC: new words by new speakers, from training to the baselines.
# usage: benchmarks/speech.sh DATA.npz OUT [SHOTS [TRAINING...]]
set -eu
data=$1 out=$2 shots=${3:-1}
[ $# -lt 3 ] && shift $# || shift 3
mkdir -p "$out"
. "$(dirname "$0")/say.sh"

say edgemeta train "$data" --by both --out "$out/run" --model ds-cnn --shots "$shots" \
  --iterations 1500 --validation-episodes 300 --threads 1 "$@"
say edgemeta baselines "$out/run"
say edgemeta export "$out/run" --out "$out/bundle"
say edgemeta bench "$out/bundle" --shots "$shots" --threads 1
