// A simulated org as it is built: regions, sites, nodes, NATs, lighthouses, who talks to whom. All from
// one seed, and never changed afterwards: what happens to it is the underlay's and the faults' business.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/address.h"
#include "core/attestation.h"
#include "core/key.h"
#include "mesh/link_message.h"
#include "mesh/member.h"
#include "meshsim/geography.h"

namespace fortros::meshsim {

using NodeId = std::uint32_t;
using SiteId = std::uint32_t;
inline constexpr NodeId no_node = UINT32_MAX;

enum class SiteKind : std::uint8_t { Datacentre, Office, Home, Cellular };
const char* name_of(SiteKind kind);

// One LAN, behind one NAT or none.
struct Site {
    SiteKind kind = SiteKind::Office;
    std::uint16_t region = 0;
    mesh::Nat nat = mesh::Nat::None;
    bool preserves_ports = true;  // a cone that gives the port from outside that is used inside
    std::uint8_t prefix = 0;      // which of the few private prefixes it uses; many use the same
    Place place{};
    double access_ms = 0;  // its share of every round trip that leaves it
    double lan_ms = 0;     // round trip within
    NodeId first = 0;      // its nodes are first .. first + count - 1
    NodeId count = 0;
};

// What a member does that it should not. Nothing is promised to it, all to those who meet it.
enum class Lie : std::uint8_t {
    None,
    Standing,  // claims to have no link and endless room
    Mute,      // never answers
    Idle,      // accepts, and configures nobody
};

struct Node {
    SiteId site = 0;
    Role role = Role::Node;
    Lie lie = Lie::None;
    bool metered = false;
    bool stale = false;      // begins with an older list of members
    std::uint16_t port = 0;  // of its direct interface
    PublicKey key;
    IpAddress overlay;
};

// Constant traffic of a pair; a quarter of it flows back.
struct Flow {
    NodeId from = 0;
    NodeId to = 0;
    std::uint32_t bytes_per_s = 0;
};

struct WorldSpec {
    std::uint64_t seed = 1;
    unsigned nodes = 200;
    unsigned regions = 0;      // 0: by size, 4 to 14
    unsigned lighthouses = 0;  // 0: one for each of the larger regions, 3 to 10
    unsigned liars_percent = 0;
    unsigned stale_percent = 0;
    unsigned lan_nodes = 24;  // of an office, in the mean
    bool traffic = true;
};

struct Region {
    const City* city = nullptr;
    std::vector<SiteId> sites{};
};

struct World {
    WorldSpec spec;
    std::vector<Region> regions{};
    std::vector<std::vector<double>> backbone_ms{};  // round trip from region to region
    std::vector<Site> sites{};
    std::vector<Node> nodes{};
    std::vector<NodeId> lighthouses{};
    std::vector<Flow> flows{};

    const Site& site_of(NodeId node) const { return sites[nodes[node].site]; }
    bool relays(NodeId node) const { return nodes[node].role != Role::Node; }
    bool same_site(NodeId a, NodeId b) const { return nodes[a].site == nodes[b].site; }
    // Between two nodes as the underlay carries it, in milliseconds.
    double rtt_ms(NodeId a, NodeId b) const;
    // The node that a key belongs to, or no_node: keys are made so that they tell.
    NodeId node_of(const PublicKey& key) const;
    mesh::Member member(NodeId node) const;
    // Of a node that no NAT stands before.
    static IpAddress public_address(NodeId node);
};

World make_world(const WorldSpec& spec);

// One line for each fact that a reader of a table needs: regions, sites, NATs, lighthouses, flows.
std::string text_of(const World& world);

}  // namespace fortros::meshsim
