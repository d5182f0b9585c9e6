// The overlay's interfaces in the kernel: observed as a state, and brought to a plan by the
// difference and nothing else. Whoever applies a plan to an overlay that has it already sends no
// change, which is how the real root adopts what preboot made. The guard is not here: os/guard.h.
#pragma once

#include <cstddef>
#include <vector>

#include "base/result.h"
#include "core/handoff.h"
#include "core/key.h"
#include "core/overlay_plan.h"
#include "core/overlay_state.h"
#include "os/netlink.h"
#include "os/wireguard.h"

namespace fortros {

class OverlayLinks {
public:
    // Unsupported when the kernel has no WireGuard.
    static Result<OverlayLinks> create();

    // The WireGuard interfaces that bear an overlay interface's name, all others unseen.
    Result<std::vector<InterfaceState>> observe();

    struct Applied {
        std::vector<InterfaceHandOff> interfaces;  // as they are now: names, ports, ifindexes
        std::vector<OverlayChange> changes;        // what was done; empty: all was right already
    };
    // Brings the interfaces up as planned. A lighthouse keeps the interface that it has, an
    // interface its port when the plan names none. On an error what was done before it stays; apply
    // again to go on from there. Conflict when a name or a port is taken.
    Result<Applied> apply(OverlayPlan plan, const PrivateKey& key);
    // The same for who has observed just now.
    Result<Applied> apply(OverlayPlan plan, const PrivateKey& key,
                          const std::vector<InterfaceState>& observed);

    // Removes every overlay interface, with its addresses and routes; returns how many there were.
    Result<std::size_t> take_down();

    WireGuard& wireguard() { return m_wireguard; }

private:
    OverlayLinks(Netlink route, WireGuard wireguard)
        : m_route(std::move(route)), m_wireguard(std::move(wireguard)) {}

    Result<unsigned> ifindex_of(const std::string& interface);
    Status perform(const OverlayChange& change, const IpAddress& source, const PrivateKey& key);
    Status set_mtu(const OverlayChange& change);
    Status bring_up(const OverlayChange& change);
    Status change_address(const OverlayChange& change);
    Status change_route(const OverlayChange& change, const IpAddress& source);

    Netlink m_route;
    WireGuard m_wireguard;
};

}  // namespace fortros
