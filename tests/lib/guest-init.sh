#!/bin/sh
# First process of a test guest: mounts, loads modules, then answers commands for ever.
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

cd /root || poweroff -f
serve-commands
echo "guest: no port for commands"
poweroff -f
