// The kernel's overlay interfaces in memory, for tests: does what a change asks for by the rules
// that the real one has, and refuses what the real one would refuse. Carries no packet.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "core/key.h"
#include "core/overlay_state.h"

namespace fortros {

class OverlayKernel {
public:
    // The key whose private half SetPrivateKey sets, and the source of every route.
    OverlayKernel(PublicKey node, IpAddress source) : m_node(node), m_source(source) {}

    // Fails where the kernel would: no such interface, a route through an interface that is down, a
    // route's source that is nobody's address.
    Status apply(const OverlayChange& change);

    std::vector<InterfaceState> interfaces;

private:
    Status create(const std::string& name, std::uint32_t mtu);
    Status change_route(InterfaceState& interface, const OverlayChange& change);
    static void change_peer(InterfaceState& interface, const WireGuardChange& change);

    PublicKey m_node;
    IpAddress m_source;
    unsigned m_next_ifindex = 2;
};

}  // namespace fortros
