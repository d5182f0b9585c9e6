// The overlay as values: the interfaces, addresses, routes and guard that a node should have. The
// agent makes a plan from the gateway's answer, the hand-off carries it, the maintainer adopts it.
//
//   fortros0          overlay /128, one peer a directly reached node (allowed /128 each)
//   fortros-lh0, ...  one peer: a lighthouse or gateway (allowed: the whole prefix)
//   fortros1, ...     a gateway's, as its fortros0, with another of its keys
//
// WireGuard accepts a packet only from the peer that owns its source address on that interface, so
// lighthouses, each of which relays for everyone, need an interface each. All use the node's key.
//
//   routes: each gateway's own /128 on its interface; /128 of direct peers on fortros0;
//           prefix on each lighthouse interface by metric; prefix on fortros0 with the worst
//           metric. Every route carries the overlay address as its preferred source.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "core/address.h"
#include "core/attestation.h"
#include "core/json.h"
#include "core/overlay.h"
#include "core/wireguard.h"

namespace fortros {

inline constexpr std::string_view direct_interface = "fortros0";
inline constexpr std::string_view direct_interface_prefix = "fortros";
inline constexpr std::string_view lighthouse_interface_prefix = "fortros-lh";
// Only for ip(8)'s readers: the longer prefix wins anyway.
inline constexpr std::uint32_t host_route_metric = 256;
inline constexpr std::uint32_t lighthouse_metric_base = 512;
inline constexpr std::uint32_t direct_prefix_metric = 4096;
// More lighthouses than this are left out of a plan, the last ones first.
inline constexpr std::size_t lighthouse_limit = 16;

struct RoutePlan {
    IpNetwork destination;
    std::uint32_t metric = 0;
    bool operator==(const RoutePlan&) const = default;
};

struct InterfacePlan {
    std::string name;
    std::uint16_t listen_port = 0;  // 0: the kernel's choice; an adopted one is kept
    std::uint32_t mtu = 1420;
    std::vector<IpNetwork> addresses{};
    std::vector<RoutePlan> routes{};
    std::vector<WireGuardPeer> peers{};
    bool operator==(const InterfacePlan&) const = default;
};

struct OverlayPlan {
    IpAddress address;  // preferred source of every route
    OrgPrefix prefix;   // what the guard protects
    std::vector<InterfacePlan> interfaces{};
    bool operator==(const OverlayPlan&) const = default;
};

// A peer as a gateway's answer names it, checked.
struct MeshPeer {
    PublicKey key;
    Role role = Role::Node;
    IpAddress overlay_address;
    std::vector<Endpoint> endpoints{};  // candidates, best first
    std::uint16_t keepalive_seconds = 0;
    Bytes attestation{};  // its own bytes, unchanged; may be empty for the gateway
    bool operator==(const MeshPeer&) const = default;
};

// Untrusted where a peer can't be reached there: inside the overlay that it should carry, or no
// address of a host.
Status check_endpoint(const Endpoint& endpoint, const OrgPrefix& prefix);

struct OverlayOptions {
    std::uint16_t listen_port = 0;
    std::uint32_t mtu = 1420;
    std::optional<IpAddress> reached{};  // where the gateway answered: its family works here
};

// Lighthouses and gateways get interfaces and metrics in the order of `peers`, the first being the
// preferred. A peer with this node's own address, a key seen before, and endpoints inside the
// overlay (a tunnel in itself) are left out.
OverlayPlan make_overlay_plan(const OrgPrefix& prefix, const IpAddress& own_address,
                              const std::vector<MeshPeer>& peers, const OverlayOptions& options);

// Whether `name` is one that a plan gives: only these interfaces are ever touched.
bool is_overlay_interface(std::string_view name);
bool is_lighthouse_interface(std::string_view name);

// The hand-off's form of an interface. Parsing checks form and bounds.
Json to_json(const InterfacePlan& plan);
Result<InterfacePlan> interface_plan_from(const Json& json, const std::string& where);

}  // namespace fortros
