#!/usr/bin/env bash
# Builds the C++ runner for 64-bit ARM into a folder (the first argument; build/arm64 unless given),
# and writes `run` beside it, which runs it here under QEMU. That shows whether ARM computes the same;
# how fast, it does not.
#
# It needs what build.sh needs, which has to have run; Debian's cross compiler; QEMU from version 8 on
# (7.2 ends within ONNX Runtime); and the package registry, for the ONNX Runtime of ARM that goes with
# the one in the venv (of $PYTHON; .venv/bin/python unless given).
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
mkdir -p "${1:-$root/build/arm64}"
build=$(cd "${1:-$root/build/arm64}" && pwd)
python=${PYTHON:-$root/.venv/bin/python}
. "$here/debian.sh"

need 'command -v aarch64-linux-gnu-g++' g++-aarch64-linux-gnu libc6-dev-arm64-cross

# The ONNX Runtime of the wheel for ARM, under the name that programs ask for at run time.
library=$build/lib/libonnxruntime.so.1
if [ ! -e "$library" ]; then
  version=$("$python" -c 'import onnxruntime; print(onnxruntime.__version__)')
  rm -rf "$build/wheel" && mkdir -p "$build/lib"
  "$python" -m pip download -q --no-deps --only-binary=:all: --platform manylinux_2_28_aarch64 \
    --platform manylinux_2_27_aarch64 -d "$build/wheel" "onnxruntime==$version"
  "$python" -m zipfile -e "$build"/wheel/*.whl "$build/wheel"
  mv "$build"/wheel/onnxruntime/capi/libonnxruntime.so.* "$library"
  rm -rf "$build/wheel"
fi

header=$(find "$root/build/cpp/headers" /usr/include /usr/local/include -name onnxruntime_cxx_api.h \
  2> /dev/null | head -n 1) || true
[ -n "$header" ] || fail "no ONNX Runtime headers: run build.sh first"

qemu=$(command -v qemu-aarch64) || true
[ -n "$qemu" ] && [ "$("$qemu" --version | sed -n 's/.* version \([0-9]*\).*/\1/p')" -ge 8 ] || {
  [ -d "$build/qemu" ] || fetch_newer qemu-user "$build/qemu"
  qemu=$build/qemu/usr/bin/qemu-aarch64
}

cmake -S "$here" -B "$build" -DCMAKE_TOOLCHAIN_FILE="$here/cmake/aarch64-linux-gnu.cmake" \
  -DEDGEMETA_WARNINGS_ARE_ERRORS=ON -DONNXRUNTIME_INCLUDE="$(dirname "$header")" \
  -DONNXRUNTIME_LIB="$library"
cmake --build "$build" --parallel "$(nproc)"
printf '#!/bin/sh\nexec "%s" -L /usr/aarch64-linux-gnu -E LD_LIBRARY_PATH="%s" "%s" "$@"\n' \
  "$qemu" "$build/lib" "$build/edgemeta-cpp" > "$build/run"
chmod +x "$build/run"
