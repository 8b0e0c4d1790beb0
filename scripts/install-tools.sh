#!/usr/bin/env bash
# Installs what some tests need beyond npm: strace (which system calls a commit makes), mkfs for small file
# systems that can run full, and a C compiler for the fault injector. Only what is missing, only as root, only
# on Debian and its kin. Never fails: a test that lacks its tool skips itself, and the runner says so.

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

if [ ${#packages[@]} -eq 0 ]; then
  exit 0
fi
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  echo "not installed, so some tests will be skipped: ${packages[*]}"
  exit 0
fi

echo "installing ${packages[*]}"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
if ! { timeout 180 apt-get update && timeout 300 apt-get install -y --no-install-recommends "${packages[@]}"; } \
  </dev/null >"$log" 2>&1; then
  tail -n 5 "$log"
  echo "could not be installed, so some tests will be skipped: ${packages[*]}"
fi
rm -f "$log"
exit 0
