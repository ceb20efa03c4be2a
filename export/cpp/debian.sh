# Sourced by the scripts beside it: getting what is missing where that is possible (Debian or Ubuntu).

fail() {
  echo "$(basename "$0"): $1" >&2
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

# Unpacks a newer Debian's package "$1" into the folder "$2", which must not be there. Only this one
# package is fetched, from the mirror that this machine uses anyway, with lists of its own: nothing of
# the system changes.
fetch_newer() {
  local apt=$2.apt mirror keys=/usr/share/keyrings/debian-archive-keyring.gpg
  command -v apt-get > /dev/null || fail "no $1, and no apt-get to fetch it"
  mirror=$(grep -shoE 'https?://[^ ]*/debian/?( |$)' /etc/apt/sources.list \
    /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources | head -n 1 | tr -d ' ') || true
  [ -n "$mirror" ] || fail "no $1, and no Debian mirror in /etc/apt"
  mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/parts"
  echo "deb [signed-by=$keys] $mirror trixie main" > "$apt/sources.list"
  local options=(-q -o Dir::Etc::SourceList="$apt/sources.list" -o Dir::Etc::SourceParts="$apt/parts"
    -o Dir::State::Lists="$apt/lists" -o Dir::Cache="$apt/cache" -o APT::Sandbox::User=root
    -o Acquire::Languages=none)
  apt-get "${options[@]}" update > /dev/null
  (cd "$apt" && apt-get "${options[@]}" download "$1" > /dev/null)
  dpkg-deb -x "$apt"/"$1"_*.deb "$apt/unpacked"
  mv "$apt/unpacked" "$2"
  rm -rf "$apt"
}
