#!/bin/sh
# Answers the commands that tests/lib/commands.py sends, on the virtio port `commands`; ends only
# when there is no such port.
#
#   host to guest:  NUMBER SECONDS BASE64(shell command)
#   guest to host:  NUMBER STATUS =BASE64(standard output) =BASE64(standard error)
#
# A command that is not done after SECONDS is killed (status 137). Needs busybox, and /dev, /sys and
# /run mounted.
set -u

port=$(grep -lx commands /sys/class/virtio-ports/*/name) || exit 1
mkdir -p /run/command
exec 3<>"/dev/$(basename "$(dirname "$port")")"
echo ready >&3
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
