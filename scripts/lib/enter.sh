#!/bin/bash
# First process of the namespaces that scripts/shell makes: mounts, changes root, runs the command.
#
#   enter.sh KIND ROOT PROJECT NET WRITABLE CMD ARG...
#
# KIND `dir`: ROOT is a Debian 13 root. KIND `host`: the host itself is one. Every mount exists only
# in our private mount namespace, so removing the root's folder from outside never reaches the host.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin # an ordinary user does not have these

kind=$1 root=$2 project=$3 net=$4 writable=$5
shift 5

fail() {
    printf 'shell: error: %s\n' "$*" >&2
    exit 125
}

mount --make-rprivate /

if [ "$kind" = host ]; then
    # A root of our own over the host's folders, for the place that /fortros needs.
    root=/mnt
    mount -t tmpfs -o mode=0755 tmpfs "$root"
    mkdir "$root"/{dev,proc,sys,run,tmp,root,fortros,mnt}
    for entry in /usr /etc /var /opt /boot /bin /sbin /lib /lib32 /lib64 /libx32; do
        if [ -L "$entry" ]; then
            cp -P "$entry" "$root$entry"
        elif [ -d "$entry" ]; then
            mkdir "$root$entry"
            mount --rbind "$entry" "$root$entry"
            mount -o remount,bind,ro "$root$entry" 2>/dev/null || true
        fi
    done
else
    mount --rbind "$root" "$root"
fi

mount --rbind "$project" "$root/fortros"
# The project was just mounted with the mount that makes its build/root a root: not wanted in there.
case $root in
    "$project"/*) umount "$root/fortros/${root#"$project"/}" ;;
esac
mount --rbind /dev "$root/dev"
mount -t proc -o nosuid,nodev,noexec proc "$root/proc" ||
    fail "a fresh /proc is refused here (a container with a masked /proc?): run as root on the machine itself"
# A fresh /sys belongs to our network namespace; without one of our own only the host's can be shown.
if [ "$net" = none ]; then
    mount -t sysfs -o nosuid,nodev,noexec sysfs "$root/sys" 2>/dev/null || mount --rbind /sys "$root/sys"
else
    mount --rbind /sys "$root/sys"
fi
for place in run tmp root var/tmp; do
    [ -d "$root/$place" ] || continue
    mount -t tmpfs -o mode=1777 tmpfs "$root/$place"
done
chmod 0755 "$root/run" && chmod 0700 "$root/root"

# In a worktree .git is a file that names a folder outside of the project: it is shown at another place.
if [ -f "$project/.git" ] && gitdir=$(git -C "$project" rev-parse --absolute-git-dir 2>/dev/null) &&
    [ -f "$gitdir/commondir" ]; then
    mkdir "$root/run/git"
    mount --bind "$(realpath "$gitdir/$(cat "$gitdir/commondir")")" "$root/run/git"
    printf 'gitdir: /run/git/worktrees/%s\n' "$(basename "$gitdir")" >"$root/run/gitdir"
    mount --bind "$root/run/gitdir" "$root/fortros/.git"
fi

if [ "$net" = host ]; then
    for file in /etc/resolv.conf /etc/hosts; do
        if [ -e "$file" ] && [ -e "$root$file" ] && [ "$kind" = dir ]; then
            mount --bind "$(readlink -f "$file")" "$root$file"
        fi
    done
else
    ip link set lo up 2>/dev/null || /sbin/ip link set lo up 2>/dev/null || need_lo=1
fi

if [ "$writable" != 1 ] && [ "$kind" = dir ]; then
    mount -o remount,bind,ro "$root" 2>/dev/null || true
fi

hostname fortros 2>/dev/null || true
cd "$root"
pivot_root . mnt
cd /fortros
umount -l /mnt
[ "${need_lo:-0}" = 0 ] || ip link set lo up

keep=()
for name in TERM CI COLUMNS SOURCE_DATE_EPOCH "${!FORTROS_@}"; do
    case $name in
        FORTROS_ROOT | FORTROS_ROOT_WRITABLE | FORTROS_MIRROR | FORTROS_TOP) continue ;;
    esac
    [ -z "${!name+set}" ] || keep+=("$name=${!name}")
done

# The first process of a PID namespace ignores signals that it does not handle; when it ends, all end.
trap 'exit 130' INT
trap 'exit 143' TERM
status=0
env -i "${keep[@]}" FORTROS_INSIDE=1 \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    HOME=/root USER=root SHELL=/bin/bash LANG=C.UTF-8 PYTHONDONTWRITEBYTECODE=1 \
    GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*' \
    "$@" || status=$?
exit "$status"
