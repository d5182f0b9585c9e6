// Which way a packet takes from one node's overlay address to another's, by the sender's own routes,
// and whether it would arrive: the rules of WireGuard and of the routing tables together. Measures, never
// sends.
//
//   a's routes, best first                          a packet from a is accepted by b
//   b/128 on fortros0     b is a direct peer        if b has a as a direct peer
//   L/128 on fortros-lhN  b is a lighthouse of a's  always: L serves every member
//   prefix/48 there       a's best lighthouse       from any lighthouse of b's
//
// A /128 leads to a dead peer until the maintainer takes it away, and the answer takes b's routes.
#pragma once

#include <optional>
#include <vector>

#include "meshsim/wireguard.h"

namespace fortros::meshsim {

class Routes {
public:
    Routes(const World& world, const WireGuard& wireguard);

    void configure(NodeId node, const mesh::WantedOverlay& wanted);
    void reset(NodeId node) { m_lighthouses[node].clear(); }

    // The peer to which a packet goes first; no_node where there is no route.
    NodeId next_hop(NodeId from, NodeId to) const;
    // The lighthouse that the prefix leads to, no_node: there is none.
    NodeId lighthouse(NodeId node) const;
    const std::vector<NodeId>& lighthouses(NodeId node) const { return m_lighthouses[node]; }

    bool arrives(NodeId from, NodeId to, Instant now) const;
    // A packet arrives, and what `to` answers by its own routes does, too.
    bool answered(NodeId from, NodeId to, Instant now) const {
        return arrives(from, to, now) && arrives(to, from, now);
    }
    // There and back by each end's route, in milliseconds; absent where it is not answered.
    std::optional<double> round_trip_ms(NodeId a, NodeId b, Instant now) const;
    // As if each end's maintainer had moved the prefix to the best of its lighthouses that still carries to
    // the other, and had made no new link.
    bool reachable_by_tunnels(NodeId a, NodeId b, Instant now) const;

private:
    double way_ms(NodeId from, NodeId to) const;
    bool by_some_lighthouse(NodeId from, NodeId to, Instant now) const;

    const World& m_world;
    const WireGuard& m_wireguard;
    std::vector<std::vector<NodeId>> m_lighthouses;  // of each node, by rank
};

}  // namespace fortros::meshsim
