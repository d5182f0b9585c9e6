// The internet under the overlay as it is at the moment: who is up, what is cut, what a NAT lets
// through. It knows nothing of WireGuard: it carries UDP packets from a node to an endpoint, or not.
//
//   NAT        what others see            who gets in
//   none       its own address            everybody
//   cone       one endpoint for all       whom it has sent to within nat_timeout, from there
//   symmetric  an endpoint for each       the same; nobody else can know the port, so that two
//              other                      nodes behind NATs meet only if both are cones
#pragma once

#include <cstdint>
#include <unordered_set>
#include <vector>

#include "base/random.h"
#include "base/time.h"
#include "meshsim/world.h"

namespace fortros::meshsim {

// RFC 4787 REQ-5 asks for two minutes; many give as much and no more.
inline constexpr Duration nat_timeout = 120s;

class Underlay {
public:
    Underlay(const World& world, std::uint64_t seed);

    bool alive(NodeId node) const { return m_alive[node] != 0; }
    void set_alive(NodeId node, bool alive) { m_alive[node] = alive ? 1 : 0; }

    // Splits the sites in two; `side` has an entry for each. Cuts add up.
    std::size_t cut(std::vector<std::uint8_t> side);
    void heal(std::size_t cut);
    // Packets from a to b get lost, the others not.
    void block(NodeId from, NodeId to) { m_blocked.insert(pair_of(from, to)); }
    void unblock(NodeId from, NodeId to) { m_blocked.erase(pair_of(from, to)); }
    void set_loss(double share) { m_loss = share; }
    double loss() const { return m_loss; }

    // Whether the networks between them carry packets that way, NATs aside.
    bool connected(NodeId from, NodeId to) const;
    // As above, and this one packet is not lost.
    bool carries(NodeId from, NodeId to);
    Duration one_way(NodeId from, NodeId to);

    // Where `other` sees a packet that `node` has sent from `port` of its own.
    Endpoint seen_at(NodeId node, NodeId other) const;
    // The address of a node in its own network.
    IpAddress own_address(NodeId node) const;
    // What a packet from `from` to `endpoint` would meet: the node whose direct or lighthouse socket is
    // there, if a NAT lets it in; no_node where nobody is.
    NodeId at(NodeId from, const Endpoint& endpoint) const;

private:
    static std::uint64_t pair_of(NodeId from, NodeId to) { return std::uint64_t{from} << 32 | to; }
    std::uint16_t outer_port(NodeId node, NodeId other) const;

    const World& m_world;
    SeededRandom m_random;
    std::vector<std::uint8_t> m_alive;
    std::vector<std::vector<std::uint8_t>> m_cuts;  // empty: healed
    std::unordered_set<std::uint64_t> m_blocked;
    double m_loss = 0;
};

}  // namespace fortros::meshsim
