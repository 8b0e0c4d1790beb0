#!/usr/bin/env bash
# Installs what some tests need beyond npm: strace (which system calls a commit makes), mkfs for small file
# systems that can run full, a C compiler for the fault injector, and a browser that looks at the charts of the
# benchmark's report. Only what is missing, only as root, only on Debian and its kin. Never fails: a test that
# lacks its tool skips itself, and the runner says so.

set -u

packages=()
need() { # need COMMAND PACKAGE
  command -v "$1" >/dev/null 2>&1 || packages+=("$2")
}
PATH="$PATH:/usr/sbin:/sbin"
need strace strace
need mkfs.xfs xfsprogs
need mkfs.ext4 e2fsprogs
need gcc gcc
# gcc alone does not compile anything where the C library's headers are missing.
[ -e /usr/include/stdio.h ] || packages+=(libc6-dev)

browser=()
[ -e /usr/bin/chromium ] || [ -e /usr/bin/chromium-browser ] || [ -e /usr/bin/google-chrome ] || browser+=(chromium)

if [ ${#packages[@]} -eq 0 ] && [ ${#browser[@]} -eq 0 ]; then
  exit 0
fi
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  echo "not installed, so some tests will be skipped: ${packages[*]} ${browser[*]}"
  exit 0
fi

export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
install() { # install PACKAGE...: all of them or none
  [ $# -gt 0 ] || return
  echo "installing $*"
  if ! timeout 300 apt-get install -y --no-install-recommends "$@" </dev/null >"$log" 2>&1; then
    tail -n 5 "$log"
    echo "could not be installed, so some tests will be skipped: $*"
  fi
}
timeout 180 apt-get update </dev/null >"$log" 2>&1 || tail -n 5 "$log"
install "${packages[@]}"
# By itself: a distribution without this package keeps the others.
install "${browser[@]}"
exit 0
