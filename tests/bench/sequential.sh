#!/bin/sh
# What an initramfs does without an agent: one thing after the other, by busybox udhcpc, dig and curl.
#
#   sequential.sh [--carrier SECONDS] [--dhcp] [--dns RESOLVER] NAME SERVICE CA ADDRESS
#
# --carrier: looks for the carrier every SECONDS; --dhcp: takes an address from DHCP; --dns: asks for
# the service and for both families, otherwise ADDRESS is what it knows. It ends when the gateway's
# certificate is verified, and prints how long curl went on after that, in seconds.
set -eu
carrier='' dhcp='' resolver=''
while :; do
    case $1 in
        --carrier) carrier=$2 && shift 2 ;;
        --dhcp) dhcp=1 && shift ;;
        --dns) resolver=$2 && shift 2 ;;
        *) break ;;
    esac
done
name=$1 service=$2 ca=$3 address=$4

if [ -n "$carrier" ]; then
    until [ "$(cat /sys/class/net/eth0/carrier)" = 1 ]; do sleep "$carrier"; done
fi
[ -z "$dhcp" ] || busybox udhcpc -f -q -n -i eth0 -s "$(dirname "$0")/udhcpc.script" >/dev/null 2>&1
port=443
if [ -n "$resolver" ]; then
    ask() { dig +short +time=2 +tries=2 "@$resolver" "$1" "$2"; }
    offered=$(ask "$service" SRV | sort -n | head -n 1)
    if [ -n "$offered" ]; then
        # shellcheck disable=SC2086  # four words: priority, weight, port, target
        set -- $offered
        port=$3
    fi
    found=$(ask "$name" AAAA | head -n 1)
    [ -n "$found" ] || found=$(ask "$name" A | head -n 1)
    address=${found:?nothing found}
fi
curl --silent --show-error --max-time 10 --cacert "$ca" --output /dev/null --resolve "$name:$port:$address" \
    --write-out '%{time_appconnect} %{time_total}\n' "https://$name:$port/healthz"
