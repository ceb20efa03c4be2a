#!/usr/bin/env bash
# Builds the C++ runner into a folder (the first argument; build/cpp unless given), with warnings as
# errors. Further arguments go to cmake.
#
# It needs a C++17 compiler, cmake, make, nlohmann's JSON headers and ONNX Runtime. The latter is an
# installed one if there is any; else the library of the onnxruntime package in a venv (of $PYTHON;
# .venv/bin/python unless given), with the headers of Debian's libonnxruntime-dev. What is missing
# is installed with apt where that is possible (Debian or Ubuntu, as root); elsewhere the script says
# what it needs.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
mkdir -p "${1:-$root/build/cpp}"
build=$(cd "${1:-$root/build/cpp}" && pwd)
shift $(($# > 0))
python=${PYTHON:-$root/.venv/bin/python}

fail() {
  echo "build.sh: $1" >&2
  exit 1
}

can_install() {
  command -v apt-get > /dev/null && [ "$(id -u)" = 0 ]
}

# Installs those of the Debian packages in "$2"... whose test, the command "$1", fails.
need() {
  eval "$1" > /dev/null 2>&1 && return
  can_install || fail "missing: ${*:2} (Debian's names); install it, and run this again"
  echo "installing ${*:2}" >&2
  apt-get update -q > /dev/null
  DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${@:2}" > /dev/null
}

installed_onnxruntime() {
  local test=$build/try
  rm -rf "$test" && mkdir -p "$test"
  printf '%s\n' 'cmake_minimum_required(VERSION 3.18)' 'project(try LANGUAGES CXX)' \
    "include($here/cmake/edgemeta-onnxruntime.cmake)" > "$test/CMakeLists.txt"
  cmake -S "$test" -B "$test/build" > /dev/null 2>&1
}

# Unpacks the headers of a newer Debian's libonnxruntime-dev into "$1". Only this one package is
# fetched, from the mirror that this machine uses anyway, with lists of its own: nothing of the
# system changes.
fetch_headers() {
  local apt=$build/apt mirror keys=/usr/share/keyrings/debian-archive-keyring.gpg
  command -v apt-get > /dev/null || fail "no ONNX Runtime headers: pass -DONNXRUNTIME_INCLUDE=..."
  mirror=$(grep -shoE 'https?://[^ ]*/debian/?( |$)' /etc/apt/sources.list \
    /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources | head -n 1 | tr -d ' ') || true
  [ -n "$mirror" ] || fail "no Debian mirror in /etc/apt: pass -DONNXRUNTIME_INCLUDE=..."
  mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/parts"
  echo "deb [signed-by=$keys] $mirror trixie main" > "$apt/sources.list"
  local options=(-q -o Dir::Etc::SourceList="$apt/sources.list" -o Dir::Etc::SourceParts="$apt/parts"
    -o Dir::State::Lists="$apt/lists" -o Dir::Cache="$apt/cache" -o APT::Sandbox::User=root
    -o Acquire::Languages=none)
  apt-get "${options[@]}" update > /dev/null
  (cd "$apt" && apt-get "${options[@]}" download libonnxruntime-dev > /dev/null)
  dpkg-deb -x "$apt"/libonnxruntime-dev_*.deb "$apt/unpacked"
  mv "$apt/unpacked" "$1"
  rm -rf "$apt"
}

need 'command -v c++' g++
need 'command -v cmake' cmake
need 'command -v make' make
need 'test -e /usr/include/nlohmann/json.hpp || test -e /usr/local/include/nlohmann/json.hpp' nlohmann-json3-dev

options=()
if ! installed_onnxruntime; then
  library=$(ls "$(dirname "$python")"/../lib/python3*/site-packages/onnxruntime/capi/libonnxruntime.so.* \
    2> /dev/null | head -n 1) || true
  [ -n "$library" ] || fail "no ONNX Runtime: neither an installed one, nor the onnxruntime package of $python"
  headers=$build/headers
  [ -d "$headers" ] || fetch_headers "$headers"
  header=$(find "$headers" -name onnxruntime_cxx_api.h)
  # Linked under the name that programs ask for at run time.
  mkdir -p "$build/lib"
  ln -sf "$(realpath "$library")" "$build/lib/libonnxruntime.so.1"
  options=("-DONNXRUNTIME_INCLUDE=$(dirname "$header")" "-DONNXRUNTIME_LIB=$build/lib/libonnxruntime.so.1")
fi

cmake -S "$here" -B "$build" -DEDGEMETA_WARNINGS_ARE_ERRORS=ON "${options[@]}" "$@"
cmake --build "$build" --parallel "$(nproc)"
