#!/bin/sh
# contain.sh ROOT MOUNTS UID GID GROUP COMMAND...
#
# Ends as COMMAND in the same process, in a read-only root at the empty folder ROOT, as this user, without a capability, and
# with the environment that COMMAND says (`env -i ...`). Each line of MOUNTS is one of
#
#   ro SOURCE TARGET      a file or a folder
#   rw SOURCE TARGET
#   link TEXT TARGET      a symbolic link
#
# Wants a mount namespace of its own.
set -eu

root=$1 mounts=$2 uid=$3 gid=$4 group=$5
shift 5

mount -t tmpfs -o mode=755 tmpfs "$root"
while read -r kind source target; do
  mkdir -p "$root$(dirname "$target")"
  if [ "$kind" = link ]; then
    ln -s "$source" "$root$target"
    continue
  fi
  if [ -d "$source" ]; then
    mkdir -p "$root$target"
  else
    : >"$root$target"
  fi
  mount --bind "$source" "$root$target"
  if [ "$kind" = ro ]; then
    mount -o remount,bind,ro "$root$target"
  fi
done <"$mounts"
mount -o remount,ro "$root"

exec chroot "$root" setpriv --reuid "$uid" --regid "$gid" --groups "$group" --no-new-privs --bounding-set=-all --inh-caps=-all "$@"
