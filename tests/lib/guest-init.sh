#!/bin/sh
# First process of a test guest: mounts, loads modules, then answers commands on a virtio port.
#
#   host to guest:  NUMBER SECONDS BASE64(shell command)
#   guest to host:  NUMBER STATUS =BASE64(standard output) =BASE64(standard error)
#
# A command that is not done after SECONDS is killed (status 137).
set -u
export PATH=/bin HOME=/root

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /run
ln -sf /proc/self/fd /dev/fd
hostname guest
ip link set lo up

while read -r module; do
    modprobe "$module" || echo "guest: no module $module"
done </etc/modules

port=$(grep -lx commands /sys/class/virtio-ports/*/name) || {
    echo "guest: no port for commands"
    poweroff -f
}
exec 3<>"/dev/$(basename "$(dirname "$port")")"
echo ready >&3
mkdir /run/command
cd /root
while :; do
    # The port reads as ended while nobody is at its other side.
    read -r number seconds words <&3 || {
        usleep 50000
        continue
    }
    printf '%s' "$words" | base64 -d >/run/command/script
    timeout -s KILL "$seconds" sh /run/command/script </dev/null >/run/command/out 2>/run/command/err 3>&-
    status=$?
    printf '%s %s =%s =%s\n' "$number" "$status" \
        "$(base64 -w0 </run/command/out)" "$(base64 -w0 </run/command/err)" >&3
done
