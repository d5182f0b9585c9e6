#include "meshsim/world.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base/random.h"
#include "core/overlay.h"

namespace fortros::meshsim {

namespace {

constexpr NodeId site_nodes_limit = 200;  // what a private /24 has room for
constexpr unsigned lan_prefixes = 4;
constexpr OrgPrefix org{{0xfd, 0x46, 0x6f, 0x72, 0x74, 0x72}};

// How the nodes of an org are shared out, and what their networks are like. NATs: in parts of a
// hundred without one and with a cone; the others are symmetric.
struct KindOfSite {
    SiteKind kind;
    unsigned nodes_percent;
    double access_low_ms, access_high_ms;
    double lan_low_ms, lan_high_ms;
    unsigned none_percent, cone_percent;
    double spread_km;  // around the region's city
};
constexpr KindOfSite kinds[] = {
    {SiteKind::Datacentre, 40, 0.2, 0.9, 0.1, 0.4, 85, 15, 40},
    {SiteKind::Office, 40, 2, 10, 0.3, 1.5, 15, 60, 250},
    {SiteKind::Home, 15, 5, 20, 1, 4, 10, 75, 300},
    {SiteKind::Cellular, 5, 30, 60, 1, 2, 0, 40, 300},
};

double between(Random& random, double low, double high) {
    return low + (high - low) * random.unit();
}

bool chance(Random& random, unsigned percent) { return random.below(100) < percent; }

NodeId nodes_of_site(Random& random, SiteKind kind, unsigned lan_nodes) {
    switch (kind) {
        case SiteKind::Datacentre:
        case SiteKind::Office: {
            // From a quarter of the mean to about twice, few large ones.
            const double size = lan_nodes * (0.25 + 1.5 * random.unit() * random.unit() * 2);
            return std::clamp(static_cast<NodeId>(size), NodeId{2}, site_nodes_limit);
        }
        case SiteKind::Home: return 1 + static_cast<NodeId>(random.below(3));
        case SiteKind::Cellular: break;
    }
    return 1;
}

PublicKey key_of(Random& random, NodeId node) {
    PublicKey key;
    random.fill(key.bytes);
    key.bytes[31] &= 0x3f;  // below 2^255 - 19
    for (unsigned i = 0; i < 4; ++i)
        key.bytes[24 + i] = static_cast<std::uint8_t>(node >> (8 * i));  // world.node_of()
    return key;
}

class Builder {
public:
    explicit Builder(const WorldSpec& spec) : m_random(spec.seed * 2 + 1) { m_world.spec = spec; }

    World build() {
        choose_regions();
        lay_backbone();
        for (const auto& kind : kinds) settle(kind);
        choose_lighthouses();
        choose_who_is_odd();
        if (m_world.spec.traffic) choose_traffic();
        return std::move(m_world);
    }

private:
    void choose_regions() {
        const auto all = cities();
        unsigned count = m_world.spec.regions;
        if (count == 0)
            count = m_world.spec.nodes < 1000 ? 4 + static_cast<unsigned>(m_random.below(4)) : 14;
        count = std::min<unsigned>(count, static_cast<unsigned>(all.size()));
        std::vector<const City*> left;
        for (const auto& city : all) left.push_back(&city);
        while (m_world.regions.size() < count) {
            // Large ones first, but not always.
            const std::size_t window = std::min<std::size_t>(left.size(), 6);
            const auto chosen = static_cast<std::ptrdiff_t>(m_random.below(window));
            m_world.regions.push_back({left[static_cast<std::size_t>(chosen)]});
            left.erase(left.begin() + chosen);
        }
    }

    void lay_backbone() {
        const std::size_t count = m_world.regions.size();
        m_world.backbone_ms.assign(count, std::vector<double>(count, 0.0));
        for (std::size_t a = 0; a < count; ++a)
            for (std::size_t b = a + 1; b < count; ++b) {
                const double km = great_circle_km(place_of(a), place_of(b));
                const double ms = 1 + fibre_rtt_ms(km, between(m_random, 1.25, 1.8));
                m_world.backbone_ms[a][b] = m_world.backbone_ms[b][a] = ms;
            }
    }

    Place place_of(std::size_t region) const {
        const City& city = *m_world.regions[region].city;
        return {city.latitude, city.longitude};
    }

    void settle(const KindOfSite& kind) {
        unsigned weights = 0;
        for (const auto& region : m_world.regions) weights += region.city->weight;
        for (std::size_t region = 0; region < m_world.regions.size(); ++region) {
            const double share =
                static_cast<double>(m_world.regions[region].city->weight) / weights;
            auto left = static_cast<std::int64_t>(
                std::llround(m_world.spec.nodes * share * kind.nodes_percent / 100));
            while (left > 0) left -= build_site(kind, region, static_cast<NodeId>(left));
        }
    }

    NodeId build_site(const KindOfSite& kind, std::size_t region, NodeId at_most) {
        Site site;
        site.kind = kind.kind;
        site.region = static_cast<std::uint16_t>(region);
        const std::uint64_t nat = m_random.below(100);
        site.nat = nat < kind.none_percent                       ? mesh::Nat::None
                   : nat < kind.none_percent + kind.cone_percent ? mesh::Nat::Cone
                                                                 : mesh::Nat::Symmetric;
        site.preserves_ports = chance(m_random, 80);
        site.prefix = static_cast<std::uint8_t>(m_random.below(lan_prefixes));
        // A place near the city: a degree of latitude is 111 km, one of longitude a bit less.
        const Place city = place_of(region);
        site.place.latitude = city.latitude + between(m_random, -1, 1) * kind.spread_km / 111;
        site.place.longitude = city.longitude + between(m_random, -1, 1) * kind.spread_km / 80;
        site.access_ms = between(m_random, kind.access_low_ms, kind.access_high_ms) +
                         fibre_rtt_ms(great_circle_km(site.place, city), 1.5);
        site.lan_ms = between(m_random, kind.lan_low_ms, kind.lan_high_ms);
        site.first = static_cast<NodeId>(m_world.nodes.size());
        site.count = std::min(at_most, nodes_of_site(m_random, kind.kind, m_world.spec.lan_nodes));
        const auto id = static_cast<SiteId>(m_world.sites.size());
        for (NodeId i = 0; i < site.count; ++i) {
            Node node;
            node.site = id;
            node.port = static_cast<std::uint16_t>(20000 + m_random.below(30000));
            node.key = key_of(m_random, static_cast<NodeId>(m_world.nodes.size()));
            node.overlay = overlay_address(org, node.key);
            node.metered = kind.kind == SiteKind::Cellular;
            m_world.nodes.push_back(node);
        }
        m_world.regions[region].sites.push_back(id);
        m_world.sites.push_back(site);
        return site.count;
    }

    // One in a public datacentre of each of the heaviest regions; a second round where more are asked for.
    void choose_lighthouses() {
        unsigned count = m_world.spec.lighthouses;
        if (count == 0)
            count = std::clamp(static_cast<unsigned>(m_world.regions.size() * 2 / 3), 3U, 10U);
        std::vector<const Region*> by_weight;
        for (const auto& region : m_world.regions) by_weight.push_back(&region);
        std::ranges::stable_sort(by_weight, {}, [](const Region* region) {
            return -static_cast<int>(region->city->weight);
        });
        for (unsigned round = 0; round < 4; ++round)
            for (const Region* region : by_weight)
                if (m_world.lighthouses.size() < count) choose_lighthouse(*region, round);
    }

    void choose_lighthouse(const Region& region, unsigned round) {
        for (const SiteId id : region.sites) {
            const Site& site = m_world.sites[id];
            if (site.kind != SiteKind::Datacentre || site.nat != mesh::Nat::None) continue;
            if (site.count <= round) continue;
            const NodeId chosen = site.first + round;
            if (m_world.relays(chosen)) continue;
            m_world.nodes[chosen].role = Role::Lighthouse;
            m_world.lighthouses.push_back(chosen);
            return;
        }
    }

    void choose_who_is_odd() {
        for (auto& node : m_world.nodes) {
            if (node.role != Role::Node) continue;
            node.stale = chance(m_random, m_world.spec.stale_percent);
            if (chance(m_random, m_world.spec.liars_percent))
                node.lie = static_cast<Lie>(1 + m_random.below(3));
        }
    }

    // Heavy: some nodes of one site with some of another, most from datacentre to datacentre. Random:
    // half of all nodes with anybody, little.
    void choose_traffic() {
        std::vector<SiteId> large;
        for (SiteId id = 0; id < m_world.sites.size(); ++id)
            if (m_world.sites[id].count >= 2) large.push_back(id);
        if (large.size() < 2) return;
        const std::size_t pairs = std::max<std::size_t>(1, m_world.sites.size() / 10);
        for (std::size_t i = 0; i < pairs; ++i) {
            const SiteId a = large[m_random.below(large.size())];
            const SiteId b = large[m_random.below(large.size())];
            if (a == b) continue;
            const std::uint64_t lanes = 1 + m_random.below(4);
            for (std::uint64_t lane = 0; lane < lanes; ++lane)
                add_flow(some_node(a), some_node(b), 20'000 + m_random.below(180'000));
        }
        for (NodeId node = 0; node < m_world.nodes.size(); ++node)
            if (chance(m_random, 50))
                add_flow(node, static_cast<NodeId>(m_random.below(m_world.nodes.size())),
                         100 + m_random.below(1900));
    }

    NodeId some_node(SiteId site) {
        return m_world.sites[site].first +
               static_cast<NodeId>(m_random.below(m_world.sites[site].count));
    }

    void add_flow(NodeId from, NodeId to, std::uint64_t bytes_per_s) {
        if (from == to || m_world.relays(from) || m_world.relays(to)) return;
        m_world.flows.push_back({from, to, static_cast<std::uint32_t>(bytes_per_s)});
    }

    World m_world;
    SeededRandom m_random;
};

}  // namespace

const char* name_of(SiteKind kind) {
    switch (kind) {
        case SiteKind::Datacentre: return "datacentre";
        case SiteKind::Office: return "office";
        case SiteKind::Home: return "home";
        case SiteKind::Cellular: break;
    }
    return "cellular";
}

World make_world(const WorldSpec& spec) { return Builder(spec).build(); }

double World::rtt_ms(NodeId a, NodeId b) const {
    const Site& from = site_of(a);
    const Site& to = site_of(b);
    if (&from == &to) return from.lan_ms;
    return from.access_ms + to.access_ms + backbone_ms[from.region][to.region] +
           (from.region == to.region ? 0.5 : 0.0);
}

NodeId World::node_of(const PublicKey& key) const {
    NodeId node = 0;
    for (unsigned i = 0; i < 4; ++i) node |= static_cast<NodeId>(key.bytes[24 + i]) << (8 * i);
    return node < nodes.size() && nodes[node].key == key ? node : no_node;
}

mesh::Member World::member(NodeId node) const {
    mesh::Member member;
    member.key = nodes[node].key;
    member.address = nodes[node].overlay;
    member.role = nodes[node].role;
    member.serial = 1;
    member.not_after = WallTime{std::chrono::days{40'000}};
    if (relays(node)) member.endpoints.push_back({public_address(node), nodes[node].port});
    return member;
}

// 32.0.0.0/8
IpAddress World::public_address(NodeId node) {
    return IpAddress::v4({32, static_cast<std::uint8_t>(node >> 16),
                          static_cast<std::uint8_t>(node >> 8), static_cast<std::uint8_t>(node)});
}

std::string text_of(const World& world) {
    std::size_t nats[4] = {};
    std::size_t site_kinds[4] = {};
    std::size_t nodes_of_kind[4] = {};
    for (const auto& site : world.sites) {
        nats[static_cast<std::size_t>(site.nat)] += site.count;
        ++site_kinds[static_cast<std::size_t>(site.kind)];
        nodes_of_kind[static_cast<std::size_t>(site.kind)] += site.count;
    }
    char line[160];
    std::string text;
    std::snprintf(line, sizeof line, "%zu nodes in %zu sites of %zu regions, %zu lighthouses\n",
                  world.nodes.size(), world.sites.size(), world.regions.size(),
                  world.lighthouses.size());
    text += line;
    for (const SiteKind kind :
         {SiteKind::Datacentre, SiteKind::Office, SiteKind::Home, SiteKind::Cellular}) {
        const auto i = static_cast<std::size_t>(kind);
        std::snprintf(line, sizeof line, "  %-10s %6zu sites %7zu nodes\n", name_of(kind),
                      site_kinds[i], nodes_of_kind[i]);
        text += line;
    }
    std::snprintf(line, sizeof line,
                  "  nodes without NAT %zu, behind a cone %zu, behind a symmetric one %zu\n"
                  "  %zu flows\n",
                  nats[static_cast<std::size_t>(mesh::Nat::None)],
                  nats[static_cast<std::size_t>(mesh::Nat::Cone)],
                  nats[static_cast<std::size_t>(mesh::Nat::Symmetric)], world.flows.size());
    text += line;
    return text;
}

}  // namespace fortros::meshsim
