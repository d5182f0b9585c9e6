#include "meshsim/underlay.h"

#include <algorithm>

#include "base/result.h"

namespace fortros::meshsim {

namespace {

constexpr ByteArray<3> private_prefixes[] = {
    {192, 168, 1}, {192, 168, 0}, {10, 0, 0}, {192, 168, 178}};
constexpr std::uint8_t first_host = 10;
constexpr std::uint8_t public_node = 32;  // World::public_address()
constexpr std::uint8_t public_site = 64;  // 64.0.0.0/8: the outside of a site's NAT

IpAddress numbered(std::uint8_t net, std::uint32_t number) {
    return IpAddress::v4({net, static_cast<std::uint8_t>(number >> 16),
                          static_cast<std::uint8_t>(number >> 8),
                          static_cast<std::uint8_t>(number)});
}

std::uint32_t number_of(ByteView address) {
    return std::uint32_t{address[1]} << 16 | std::uint32_t{address[2]} << 8 | address[3];
}

// Any port but the well-known ones, from anything.
std::uint16_t port_from(std::uint64_t value) {
    value *= 0x9e3779b97f4a7c15;
    return static_cast<std::uint16_t>(1024 + (value >> 40) % 64000);
}

}  // namespace

Underlay::Underlay(const World& world, std::uint64_t seed)
    : m_world(world), m_random(seed), m_alive(world.nodes.size(), 0) {}

std::size_t Underlay::cut(std::vector<std::uint8_t> side) {
    ASSERT(side.size() == m_world.sites.size());
    m_cuts.push_back(std::move(side));
    return m_cuts.size() - 1;
}

void Underlay::heal(std::size_t cut) { m_cuts[cut].clear(); }

bool Underlay::connected(NodeId from, NodeId to) const {
    if (!m_blocked.empty() && m_blocked.contains(pair_of(from, to))) return false;
    const SiteId a = m_world.nodes[from].site;
    const SiteId b = m_world.nodes[to].site;
    return std::ranges::all_of(
        m_cuts, [&](const auto& side) { return side.empty() || side[a] == side[b]; });
}

bool Underlay::carries(NodeId from, NodeId to) {
    if (!connected(from, to)) return false;
    return m_loss <= 0 || m_random.unit() >= m_loss;
}

Duration Underlay::one_way(NodeId from, NodeId to) {
    const double ms = m_world.rtt_ms(from, to) / 2 * (1 + 0.1 * m_random.unit() * m_random.unit());
    return Duration{static_cast<std::int64_t>(ms * 1000) + 1};
}

// Each lighthouse has an interface of its own, and so a port; all others share the direct one.
static std::uint16_t inner_port(const World& world, NodeId node, NodeId other) {
    const std::uint16_t port = world.nodes[node].port;
    if (world.relays(node) || !world.relays(other)) return port;
    const auto place = std::ranges::find(world.lighthouses, other) - world.lighthouses.begin();
    return static_cast<std::uint16_t>(port + 1 + place);
}

std::uint16_t Underlay::outer_port(NodeId node, NodeId other) const {
    const Site& site = m_world.site_of(node);
    const std::uint16_t inner = inner_port(m_world, node, other);
    const std::uint64_t socket = std::uint64_t{node} << 16 | inner;
    if (site.nat == mesh::Nat::Symmetric) return port_from(socket << 24 ^ other);
    return site.preserves_ports ? inner : port_from(socket);
}

IpAddress Underlay::own_address(NodeId node) const {
    const Site& site = m_world.site_of(node);
    if (site.nat == mesh::Nat::None) return World::public_address(node);
    const auto& prefix = private_prefixes[site.prefix];
    return IpAddress::v4({prefix[0], prefix[1], prefix[2],
                          static_cast<std::uint8_t>(first_host + (node - site.first))});
}

Endpoint Underlay::seen_at(NodeId node, NodeId other) const {
    const Site& site = m_world.site_of(node);
    if (site.nat == mesh::Nat::None || m_world.same_site(node, other))
        return {own_address(node), inner_port(m_world, node, other)};
    return {numbered(public_site, m_world.nodes[node].site), outer_port(node, other)};
}

NodeId Underlay::at(NodeId from, const Endpoint& endpoint) const {
    if (!endpoint.address.is_v4()) return no_node;
    const ByteView address = endpoint.address.bytes();
    const Site& own = m_world.site_of(from);
    if (address[0] == public_node) {
        const NodeId node = number_of(address);
        if (node >= m_world.nodes.size() || m_world.site_of(node).nat != mesh::Nat::None)
            return no_node;
        return endpoint.port == inner_port(m_world, node, from) ? node : no_node;
    }
    if (address[0] == public_site) {
        const SiteId id = number_of(address);
        // No hairpin: most NATs do not turn round what comes from within.
        if (id >= m_world.sites.size() || &m_world.sites[id] == &own) return no_node;
        const Site& site = m_world.sites[id];
        if (site.nat == mesh::Nat::None) return no_node;
        for (NodeId node = site.first; node < site.first + site.count; ++node)
            if (outer_port(node, from) == endpoint.port) return node;
        return no_node;
    }
    if (own.nat == mesh::Nat::None) return no_node;
    if (!std::ranges::equal(address.first(3), private_prefixes[own.prefix])) return no_node;
    if (address[3] < first_host || address[3] >= first_host + own.count) return no_node;
    const NodeId node = own.first + (address[3] - first_host);
    return endpoint.port == inner_port(m_world, node, from) ? node : no_node;
}

}  // namespace fortros::meshsim
