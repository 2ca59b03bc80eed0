#!/bin/sh
# Finds the Chromium that the tests drive; on Debian and Ubuntu, as root, installs it when missing.
set -eu

for name in "${CHROMIUM:-}" chromium chromium-browser google-chrome google-chrome-stable; do
    if [ -n "$name" ] && command -v "$name" >/dev/null 2>&1; then
        exit 0
    fi
done
if [ "$(id -u)" = 0 ] && grep -q '^ID=debian' /etc/os-release 2>/dev/null && command -v apt-get >/dev/null 2>&1; then
    echo "browser: installing Debian's package chromium" >&2
    export DEBIAN_FRONTEND=noninteractive
    apt-get -q update >&2
    apt-get -q install --yes --no-install-recommends chromium fonts-noto-cjk >&2
    exit 0
fi
{
    echo "error: the tests drive a real Chromium, and none was found"
    echo "  next: install one (Debian: apt install chromium), or set CHROMIUM=/path/to/chrome"
} >&2
exit 3
