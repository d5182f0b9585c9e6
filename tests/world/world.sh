#!/bin/sh
# usage: world VERB, in the world guest: everything that a node finds outside itself.
#
#   node eth0 ───── eth0 world
#                   192.0.2.1/24   router; DHCP server, which names the resolver on this address
#                   9.9.9.9        a public resolver
#                   203.0.113.5    a gateway: TLS on 443, WireGuard on 51820
#
#   node eth1 ───── eth1 stub, a namespace of the world (world up-stub)
#                   198.51.100.1/24  router with nothing behind it; DHCP server
#
# All these addresses exist in here only.
set -eu

# A daemon ends by its pid file, and is gone when this returns.
stop() {
    [ -e "/run/$1.pid" ] || return 0
    pid=$(cat "/run/$1.pid")
    kill "$pid" 2>/dev/null || true
    while kill -0 "$pid" 2>/dev/null; do usleep 20000; done
    rm -f "/run/$1.pid"
}

# Runs a daemon that stays in the foreground; its words go to /var/log/NAME.log.
start() {
    name=$1
    shift
    stop "$name"
    "$@" >>"/var/log/$name.log" 2>&1 &
    echo $! >"/run/$name.pid"
}

# wait_for NAME CMD ARG...: until CMD succeeds. When it does not, or the daemon ends: their last words.
wait_for() {
    name=$1
    shift
    tries=300
    until "$@" >"/run/$name.tried" 2>&1; do
        tries=$((tries - 1))
        if [ "$tries" = 0 ] || ! kill -0 "$(cat "/run/$name.pid")" 2>/dev/null; then
            echo "world: $name is not ready:"
            tail -n 5 "/run/$name.tried"
            tail -n 20 "/var/log/$name.log"
            exit 1
        fi
        usleep 50000
    done
}

case $1 in
    up)
        sysctl -qw net.ipv6.conf.eth0.accept_ra=0
        ip link set eth0 up
        ip addr add 192.0.2.1/24 dev eth0
        ip link add outside type dummy
        ip link set outside up
        ip addr add 9.9.9.9/32 dev outside
        ip addr add 203.0.113.5/32 dev outside
        start dhcp dnsmasq -k -C /etc/world/dhcp.conf
        wait_for dhcp grep -q 'DHCP, IP range' /var/log/dhcp.log
        ;;
    up-stub)
        /bin/ip netns add stub
        /bin/ip link set eth1 netns stub
        /bin/ip -n stub link set eth1 up
        /bin/ip -n stub addr add 198.51.100.1/24 dev eth1
        # Else it would tell the node that nothing is reachable.
        /bin/ip netns exec stub sysctl -qw net.ipv4.ip_forward=1
        /bin/ip -n stub route add blackhole default
        start stub-dhcp /bin/ip netns exec stub dnsmasq -k -C /etc/world/stub-dhcp.conf
        wait_for stub-dhcp grep -q 'DHCP, IP range' /var/log/stub-dhcp.log
        ;;
    start-resolvers)
        start public-dns unbound -d -c /etc/world/public-dns.conf
        start dhcp-dns dnsmasq -k -C /etc/world/dhcp-dns.conf
        wait_for public-dns nslookup -type=a "$2" 9.9.9.9
        wait_for dhcp-dns nslookup -type=a "$2" 192.0.2.1
        ;;
    stop-resolvers)
        stop public-dns
        stop dhcp-dns
        ;;
    start-gateway)
        start gateway fortros-gateway serve --config "$2"
        wait_for gateway sh -c 'netstat -ltn | grep -q 203.0.113.5:443'
        ;;
    stop-gateway) stop gateway ;;
    *) exit 2 ;;
esac
