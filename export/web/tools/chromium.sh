#!/bin/sh
# See to it that there is a Chromium for the tests: install Debian's where that is possible, else say
# in one line what is needed.
set -eu
chromium=${CHROMIUM:-/usr/bin/chromium}
[ -x "$chromium" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null && [ -z "${CHROMIUM:-}" ]; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null
  exit 0
fi
echo "$chromium is missing: install Chromium (Debian: apt-get install chromium), or name one with CHROMIUM=PATH" >&2
exit 1
