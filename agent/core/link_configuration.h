// What is to be put on a link, as a value: addresses, routes and MTU, from a lease or from the
// settings. It says what, never how; os/link_control.h applies it by difference.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "core/address.h"
#include "core/dhcp6_lease.h"
#include "core/dhcp_lease.h"
#include "core/settings.h"

namespace fortros {

// Whose routes they are; network managers of the real root look at it.
enum class ConfiguredBy : std::uint8_t { Dhcp, Settings };

struct AddressSetting {
    IpNetwork network;
    std::optional<IpAddress> broadcast{};           // IPv4 only
    std::chrono::seconds lifetime{endless_lease};   // from now
    std::chrono::seconds preferred{endless_lease};  // at most the lifetime, or that is meant
    bool operator==(const AddressSetting&) const = default;
};

// How the kernel is to find the gateway: OnLink skips its test that some address of ours is in the
// gateway's network.
enum class GatewayReach : std::uint8_t { ByAddress, OnLink };

struct RouteSetting {
    IpNetwork destination;
    std::optional<IpAddress> gateway{};  // absent: the destination is on the link itself
    GatewayReach reach = GatewayReach::ByAddress;
    std::optional<IpAddress> source{};  // preferred for what leaves by this route
    bool operator==(const RouteSetting&) const = default;
};

struct LinkConfiguration {
    ConfiguredBy by = ConfiguredBy::Settings;
    std::uint32_t metric = 0;  // of every route
    std::vector<AddressSetting> addresses{};
    std::vector<RouteSetting> routes{};
    std::optional<std::uint16_t> mtu{};
    bool operator==(const LinkConfiguration&) const = default;
};

LinkConfiguration configuration_of(const DhcpLease& lease, std::uint32_t metric);
// The address alone: the ways out of an IPv6 network are its routers' word.
LinkConfiguration configuration_of(const Dhcp6Lease& lease, std::uint32_t metric);
// Of Mode=static.
LinkConfiguration static_configuration_of(const Settings& settings, std::uint32_t metric);

}  // namespace fortros
