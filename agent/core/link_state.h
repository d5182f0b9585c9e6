// A network link as the kernel has it at one moment, and what follows from it: whether it may be
// used at all, and what it offers once it works. Pure: os/link_control.h reads it and changes it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/address.h"
#include "core/dhcp6_client.h"
#include "core/dhcp6_lease.h"
#include "core/dhcp_lease.h"
#include "core/handoff.h"
#include "core/mac_address.h"
#include "core/settings.h"

namespace fortros {

// Of one link; a flood of router advertisements may bring more, which are not looked at.
inline constexpr std::size_t link_addresses_limit = 32;
inline constexpr std::size_t link_gateways_limit = 8;

struct LinkAddress {
    IpNetwork network;
    bool global = false;   // reaches beyond the link
    bool settled = false;  // neither being checked for duplicates, nor failed that, nor deprecated
    bool duplicate = false;  // another host answered for it
    bool operator==(const LinkAddress&) const = default;
};

struct LinkState {
    unsigned ifindex = 0;
    std::string name{};
    bool ethernet = false;  // with a MAC of six bytes
    MacAddress mac{};
    std::string kind{};    // what made it: "veth", "wireguard"; empty for hardware
    bool is_port = false;  // of a bridge, a bond, ...
    bool up = false;
    bool carrier = false;
    std::uint32_t carrier_changes = 0;  // grows with each coming and going, however short
    std::uint32_t mtu = 0;
    Dhcp6Wish dhcp6_wish = Dhcp6Wish::Nothing;  // of the router that was heard last
    std::vector<LinkAddress> addresses{};
    std::vector<IpAddress> gateways{};  // of default routes, the preferred first
};

// Why an interface is none of ours, in words; empty when it may be brought up and configured.
std::string reason_to_leave(const LinkState& link, const Settings& settings);

// What is known of a link that works. One type with what is handed to the real root in the end.
using LinkReport = UplinkHandOff;

// What others than the kernel know about a link.
struct LinkKnowledge {
    const DhcpLease* lease = nullptr;     // that is in force
    const Dhcp6Lease* lease6 = nullptr;   // likewise
    std::vector<IpAddress> resolvers{};   // by configuration or router advertisement
    std::vector<IpAddress> discounted{};  // addresses that do not make the link work
};

// A link without a usable address is of no use yet: then `addresses` is empty.
LinkReport report_of(const LinkState& link, const LinkKnowledge& knowledge);

}  // namespace fortros
