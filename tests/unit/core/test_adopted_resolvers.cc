#include "core/adopted_resolvers.h"

#include <doctest/doctest.h>

#include <string>

using namespace fortros;

static std::string resolvers_in(std::string_view text) {
    std::string all;
    for (const IpAddress& address : parse_adopted_resolvers(text))
        all += (all.empty() ? "" : " ") + address.text();
    return all;
}

// An initramfs-tools image: the node would ask no resolver although there is one.
TEST_CASE("ipconfig's file gives its resolvers, and 0.0.0.0 is none") {
    CHECK(resolvers_in("DEVICE='eth0'\nPROTO='dhcp'\nIPV4ADDR='192.0.2.77'\n"
                       "IPV4BROADCAST='192.0.2.255'\nIPV4NETMASK='255.255.255.0'\n"
                       "IPV4GATEWAY='192.0.2.1'\nIPV4DNS0='192.0.2.53'\nIPV4DNS1='198.51.100.53'\n"
                       "HOSTNAME='node7'\nDNSDOMAIN='example.org'\nNISDOMAIN=''\n"
                       "ROOTSERVER='192.0.2.1'\nROOTPATH=''\nfilename=''\nUPTIME='3'\n"
                       "DHCPLEASETIME='600'\nDOMAINSEARCH=''\n") == "192.0.2.53 198.51.100.53");
    CHECK(resolvers_in("IPV4DNS0='0.0.0.0'\nIPV4DNS1='0.0.0.0'\n").empty());
    // Its newer relatives, with IPv6 and other quotes.
    CHECK(resolvers_in("IPV4DNS0=192.0.2.53\nDEVICE6=\"eth0\"\nIPV6DNS0=\"2001:db8::53\"\n") ==
          "192.0.2.53 2001:db8::53");
}

// A dracut image, with any of the programs that may do its network.
TEST_CASE("the files of dracut's helpers give their resolvers") {
    CHECK(resolvers_in("search example.org\nnameserver 192.0.2.53\nnameserver\t2001:db8::53\n"
                       "options edns0\n# nameserver 192.0.2.1\n") == "192.0.2.53 2001:db8::53");
    CHECK(resolvers_in("new_ip_address='192.0.2.77'\n"
                       "new_domain_name_servers='192.0.2.53 198.51.100.53'\n"
                       "new_dhcp6_name_servers='2001:db8::53'\n") ==
          "192.0.2.53 198.51.100.53 2001:db8::53");
    CHECK(resolvers_in(
              "[device]\nmanaged=true\nroute-metric-default-current=100\n\n[dhcp4]\n"
              "dhcp4.domain_name_servers=192.0.2.53 192.0.2.54\ndhcp4.ip_address=192.0.2.77\n"
              "\n[dhcp6]\ndhcp6.dhcp6_name_servers=2001:db8::53\n") ==
          "192.0.2.53 192.0.2.54 2001:db8::53");
}

// A systemd initrd.
TEST_CASE("networkd's state of a link gives its resolvers, with whatever is added to them") {
    CHECK(resolvers_in("# This is private data. Do not parse.\nADMIN_STATE=configured\n"
                       "OPER_STATE=routable\nNETWORK_FILE=/run/systemd/network/lan.network\n"
                       "DNS=192.0.2.53 fe80::53%eth0 [2001:db8::54]:5353#resolver.example "
                       "198.51.100.53:53\nNTP=192.0.2.123\nDOMAINS=example.org\n") ==
          "192.0.2.53 fe80::53 2001:db8::54 198.51.100.53");
    CHECK(resolvers_in("ADDRESS=192.0.2.77\nROUTER=192.0.2.1\nDNS=192.0.2.53\n") == "192.0.2.53");
}

// The boot would ask itself, or nobody.
TEST_CASE("what is no resolver's address is skipped") {
    CHECK(resolvers_in("nameserver 127.0.0.53\nnameserver ::1\nnameserver ff02::1\n").empty());
    CHECK(resolvers_in("nameserver=192.0.2.53\nDNS 192.0.2.53\nDNS\nIPV4DNS=192.0.2.53\n"
                       "IPV4DNSx=192.0.2.53\nxDNS=192.0.2.53\nDNS=resolver.example\n=192.0.2.53\n")
              .empty());
    CHECK(resolvers_in("").empty());
    CHECK(resolvers_in("nameserver 192.0.2.53\nnameserver 192.0.2.53\r\n") == "192.0.2.53");
    CHECK(resolvers_in("IPV4DNS0='\nIPV4DNS1='192.0.2.53\nDNS=\"192.0.2.54'\n").empty());
}

// A file of any size would cost memory without end.
TEST_CASE("of a long file only so many resolvers are taken") {
    std::string text;
    for (int i = 1; i < 200; ++i) text += "nameserver 192.0.2." + std::to_string(i) + "\n";
    CHECK(parse_adopted_resolvers(text).size() == adopted_resolvers_limit);
    CHECK(resolvers_in(std::string(adopted_text_limit, '#') + "\nnameserver 192.0.2.1\n").empty());
}
