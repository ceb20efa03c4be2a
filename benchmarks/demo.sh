#!/bin/sh
# The whole way on embedded tasks: train, evaluate, export, verify, adapt, predict, latency.
# Run by `make demo`; leaves everything under demo-out/.
set -eu
out=demo-out
rm -rf "$out"
mkdir "$out"

. "$(dirname "$0")/say.sh"

say edgemeta train glyphs --out "$out/run" --width 32 --pool stride --iterations 600 \
  --validate-every 100 --test-episodes 200
say edgemeta eval "$out/run" glyphs --episodes 100
say edgemeta export "$out/run" --out "$out/bundle"
say edgemeta verify "$out/bundle"
say edgemeta eval "$out/bundle" glyphs --episodes 100
python benchmarks/sample_episode.py glyphs "$out"
say edgemeta adapt "$out/bundle" "$out/support.npz" --out "$out/state.safetensors"
say edgemeta predict "$out/bundle" "$out/query.npz" --state "$out/state.safetensors"
say edgemeta bench "$out/bundle"
