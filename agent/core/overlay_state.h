// The overlay as the kernel has it, and the changes that turn it into a plan. Pure: it neither asks
// the kernel nor changes it (os/overlay_links.h does), so that an overlay that is right already
// provably gets no change, and its tunnels never blink.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/address.h"
#include "core/key.h"
#include "core/overlay_plan.h"
#include "core/wireguard.h"

namespace fortros {

struct RouteState {
    IpNetwork destination;
    std::uint32_t metric = 0;
    std::optional<IpAddress> source{};  // preferred source
    bool operator==(const RouteState&) const = default;
};

// One interface as observed. Routes are those of the main table that leave through it.
struct InterfaceState {
    WireGuardStatus wireguard;
    std::uint32_t mtu = 0;
    bool up = false;
    std::vector<IpNetwork> addresses{};
    std::vector<RouteState> routes{};
};

struct OverlayChange {
    enum class Kind {
        CreateInterface,  // with `number` as its MTU
        SetPrivateKey,
        SetListenPort,  // `number`
        ChangePeer,     // `peer`
        SetMtu,         // `number`
        BringUp,
        AddAddress,     // `network`
        AddRoute,       // `network`, metric `number`, preferred source the plan's address
        RemoveRoute,    // `network`, metric `number`
        RemoveAddress,  // `network`
        RemoveInterface,
    };
    Kind kind = Kind::CreateInterface;
    std::string interface;
    std::uint32_t number = 0;
    IpNetwork network{};
    WireGuardChange peer{};

    // For people: "fortros0: add route fd12::/48 metric 4096".
    std::string text() const;
};

// Gives the plan's lighthouses the interfaces that they already have, whatever numbers the plan
// chose: an answer that lists lighthouses in another order must not swap their tunnels.
void keep_lighthouse_interfaces(OverlayPlan& plan, const std::vector<InterfaceState>& have);

// The changes in an order in which they can be applied one by one: an interface before its
// addresses, all addresses before the routes that name one as their source, and what is wanted
// before what is superfluous goes. `node` is the public key of the private key that all interfaces
// should have. Addresses and routes outside the org's prefix are somebody else's and stay.
std::vector<OverlayChange> difference(const OverlayPlan& plan, const PublicKey& node,
                                      const std::vector<InterfaceState>& have);

}  // namespace fortros
