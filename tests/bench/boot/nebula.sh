#!/bin/sh
# The same with nebula, which needs an address and knows its lighthouse: nothing is asked or fetched.
#
#   nebula.sh SETTINGS
set -eu
ip link set eth0 up
until [ "$(cat /sys/class/net/eth0/carrier)" = 1 ]; do sleep 1; done
udhcpc -f -q -n -i eth0 -s "$(dirname "$0")/udhcpc.script" >/dev/null 2>&1
exec nebula -config "$1"
