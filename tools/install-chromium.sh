#!/bin/sh
# The end-to-end tests drive a Chromium that the system has: $CHROMIUM, or one on the PATH.
# Where there is none, Debian's package is installed if we may; else one sentence says what to do.
set -eu

[ -n "${CHROMIUM:-}" ] && exit 0
for name in chromium chromium-browser google-chrome; do
  command -v "$name" >/dev/null && exit 0
done

if [ "$(id -u)" = 0 ] && grep -qs '^ID=debian' /etc/os-release; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get -o Acquire::Retries=3 update -q
  # The fonts are only recommended by chromium, but screenshots without them show no text.
  exec apt-get -o Acquire::Retries=3 install -q -y --no-install-recommends chromium fonts-liberation
fi

echo "The end-to-end tests need Chromium or Chrome: install it from your system's packages" \
  "(Debian: apt-get install chromium), or set CHROMIUM to its path." >&2
exit 1
