#include "meshsim/simulation.h"

#include <algorithm>

#include "meshsim/host.h"

namespace fortros::meshsim {

namespace {

constexpr Duration relay_observe_pause = 10s;  // of a large org's lighthouse: thousands of peers
constexpr std::size_t small_org = 2000;
constexpr Duration first_keepalive = 5s;
constexpr Duration keepalive_every = 25s;
constexpr std::size_t demand_limit = 16;
constexpr Duration shortest_pause = 1ms;

std::uint64_t host_seed(const World& world, NodeId node, Instant now) {
    return world.spec.seed * 1'000'003 + node * 7919ULL +
           static_cast<std::uint64_t>(now.time_since_epoch().count());
}

}  // namespace

Simulation::Simulation(const World& world, const SimulationSpec& spec)
    : m_world(world),
      m_spec(spec),
      m_random(spec.seed ^ 0x5eed),
      m_underlay(world, spec.seed ^ 0x1a7e),
      m_wireguard(world, m_underlay, m_events),
      m_routes(world, m_wireguard),
      m_monitor(world),
      m_hosts(world.nodes.size()),
      m_member(world.nodes.size(), 1),
      m_flows(world.flows.size()) {
    for (SiteId site = 0; site < world.sites.size(); ++site)
        if (world.sites[site].count > 1)
            m_events.push(m_now + Duration{static_cast<std::int64_t>(m_random.below(
                                      static_cast<std::uint64_t>(m_spec.beacon_every.count())))},
                          EventKind::Beacon, site);
    m_events.push(m_now + m_spec.traffic_every, EventKind::Traffic);
    leave_out({});
}

Simulation::~Simulation() = default;

const mesh::Mesh& Simulation::mesh(NodeId node) const { return m_hosts[node]->mesh; }

// --- members -----------------------------------------------------------------------------------

void Simulation::leave_out(const std::vector<NodeId>& nodes) {
    for (const NodeId node : nodes) m_member[node] = 0;
    auto all = std::make_shared<mesh::Members>();
    auto old = std::make_shared<mesh::Members>();
    for (NodeId node = 0; node < m_world.nodes.size(); ++node) {
        if (!is_member(node)) continue;
        all->put(m_world.member(node));
        // An older list: one in twenty was no member yet.
        if (m_world.spec.stale_percent > 0 && (m_world.relays(node) || m_random.below(20) != 0))
            old->put(m_world.member(node));
    }
    m_members = std::move(all);
    m_old_members = std::move(old);
}

void Simulation::spread_news(Duration spread) {
    for (NodeId node = 0; node < m_world.nodes.size(); ++node)
        if (alive(node))
            m_events.push(m_now + Duration{static_cast<std::int64_t>(m_random.below(
                                      static_cast<std::uint64_t>(spread.count()) + 1))},
                          EventKind::News, node);
}

void Simulation::join(NodeId node, Duration spread) {
    m_member[node] = 1;
    auto changed = std::make_shared<mesh::Members>(*m_members);
    changed->put(m_world.member(node));
    m_members = std::move(changed);
    spread_news(spread);
    boot(node);
}

void Simulation::revoke(NodeId node, Duration spread) {
    m_member[node] = 0;
    auto changed = std::make_shared<mesh::Members>(*m_members);
    changed->remove(m_world.nodes[node].key);
    m_members = std::move(changed);
    // A stale list holds back newcomers, never a revocation.
    auto old = std::make_shared<mesh::Members>(*m_old_members);
    old->remove(m_world.nodes[node].key);
    m_old_members = std::move(old);
    spread_news(spread);
}

void Simulation::end_staleness() {
    m_stale = false;
    spread_news(10s);
}

void Simulation::news(NodeId node) {
    if (!alive(node)) return;
    Host& host = *m_hosts[node];
    const auto before = host.members;  // what the mesh may still point into
    host.members = m_stale && m_world.nodes[node].stale ? m_old_members : m_members;
    host.mesh.members_changed(*host.members);
    if (m_world.relays(node)) {
        std::vector<NodeId> members;
        for (NodeId other = 0; other < m_world.nodes.size(); ++other)
            if (is_member(other))
                members.push_back(other);
            else
                m_wireguard.forget(node, other);
        m_wireguard.serve(node, members);
    }
    round(node);
}

// --- life and death ----------------------------------------------------------------------------

void Simulation::boot_all() {
    for (NodeId node = 0; node < m_world.nodes.size(); ++node)
        if (is_member(node))
            m_events.push(m_now + Duration{static_cast<std::int64_t>(m_random.below(
                                      static_cast<std::uint64_t>(m_spec.boot_spread.count())))},
                          EventKind::Boot, node);
}

void Simulation::boot(NodeId node) {
    if (alive(node) || !is_member(node)) return;
    m_underlay.set_alive(node, true);
    const Node& what = m_world.nodes[node];
    const mesh::Self self{
        .key = what.key, .address = what.overlay, .role = what.role, .metered = what.metered};
    const auto& known = m_stale && what.stale ? m_old_members : m_members;
    m_hosts[node] = std::make_unique<Host>(self, known, host_seed(m_world, node, m_now), m_now);
    if (m_world.relays(node)) {
        std::vector<NodeId> members;
        for (NodeId other = 0; other < m_world.nodes.size(); ++other)
            if (is_member(other)) members.push_back(other);
        m_wireguard.serve(node, members);
    }
    m_events.push(m_now + first_keepalive, EventKind::Keepalive, node);
    wake_at(node, m_now);
}

void Simulation::kill(NodeId node) {
    if (!alive(node)) return;
    m_underlay.set_alive(node, false);
    m_hosts[node].reset();
    m_wireguard.reset(node);
    m_routes.reset(node);
    drop_all_staged(node);
}

void Simulation::restart_maintainer(NodeId node) {
    if (!alive(node)) return;
    auto kept = m_hosts[node]->mesh.overlay().peers;
    std::vector<PublicKey> preferred;
    for (const auto& lighthouse : m_hosts[node]->mesh.overlay().lighthouses)
        preferred.push_back(lighthouse.key);
    for (auto& peer : kept)
        if (const Tunnel* tunnel = m_wireguard.find(node, m_world.node_of(peer.key)))
            peer.endpoint =
                tunnel->endpoint.port != 0 ? std::optional(tunnel->endpoint) : std::nullopt;
    const Node& what = m_world.nodes[node];
    const mesh::Self self{
        .key = what.key, .address = what.overlay, .role = what.role, .metered = what.metered};
    const auto known = m_hosts[node]->members;
    m_hosts[node] = std::make_unique<Host>(self, known, host_seed(m_world, node, m_now), m_now);
    m_hosts[node]->mesh.adopt(kept, preferred, m_now);
    m_wireguard.forget_looks(node);
    wake_at(node, m_now);
}

bool Simulation::linked(NodeId a, NodeId b) const {
    return alive(a) && alive(b) && m_wireguard.find(a, b) != nullptr &&
           m_wireguard.find(b, a) != nullptr;
}

// --- rounds ------------------------------------------------------------------------------------

void Simulation::wake_at(NodeId node, Instant when) {
    Host& host = *m_hosts[node];
    when = std::max(when, m_now);
    if (host.wake > m_now && host.wake <= when) return;
    host.wake = when;
    m_events.push(when, EventKind::Wake, node);
}

void Simulation::wake(NodeId node, Instant planned) {
    if (!alive(node) || m_hosts[node]->wake != planned) return;
    m_hosts[node]->wake = never;
    round(node);
}

void Simulation::observe(NodeId node) {
    Host& host = *m_hosts[node];
    const bool slow = m_world.relays(node) && m_world.nodes.size() > small_org;
    if (m_now - host.observed < (slow ? relay_observe_pause : observe_pause)) return;
    host.observed = m_now;
    mesh::Observation seen;
    m_wireguard.look(node, [&](const Tunnel& tunnel) {
        mesh::PeerObservation peer{
            .key = m_world.nodes[tunnel.peer].key, .rx_bytes = tunnel.rx, .tx_bytes = tunnel.tx};
        if (tunnel.since != never) peer.handshake_age = m_now - tunnel.since;
        if (tunnel.endpoint.port != 0) peer.endpoint = tunnel.endpoint;
        (m_world.relays(tunnel.peer) ? seen.lighthouses : seen.direct).push_back(std::move(peer));
    });
    seen.underlay.push_back(m_underlay.own_address(node));
    seen.direct_port = m_world.nodes[node].port;
    for (const auto& [to, bytes] : host.demand)
        seen.demand.push_back({m_world.nodes[to].overlay, bytes});
    host.demand.clear();
    std::ranges::stable_sort(seen.demand, std::greater{}, &mesh::Observation::Demand::bytes);
    if (seen.demand.size() > demand_limit) seen.demand.resize(demand_limit);
    host.mesh.observed(seen, m_now);
}

void Simulation::round(NodeId node) {
    ++m_rounds;
    observe(node);
    Host& host = *m_hosts[node];
    auto outgoing = host.mesh.step(m_now);
    apply(node);
    for (auto& message : outgoing) say(node, std::move(message));
    wake_at(node, std::max(host.mesh.next_step(), m_now + shortest_pause));
}

void Simulation::apply(NodeId node) {
    Host& host = *m_hosts[node];
    if (host.mesh.overlay_revision() == host.revision) return;
    host.revision = host.mesh.overlay_revision();
    const mesh::WantedOverlay& wanted = host.mesh.overlay();
    if (!m_world.relays(node)) judge_change(node);
    m_wireguard.configure(node, wanted, m_now);
    m_wireguard.forget_looks(node);
    m_routes.configure(node, wanted);
}

void Simulation::judge_change(NodeId node) {
    std::vector<NodeId> after;
    for (const auto& peer : m_hosts[node]->mesh.overlay().peers)
        if (const NodeId id = m_world.node_of(peer.key); id != no_node) after.push_back(id);
    std::ranges::sort(after);
    std::vector<NodeId> before;
    for (const Tunnel& tunnel : m_wireguard.tunnels(node))
        if (!m_world.relays(tunnel.peer)) before.push_back(tunnel.peer);
    m_monitor.judge_change(*this, node, before, after);
}

// --- time --------------------------------------------------------------------------------------

void Simulation::at(Instant when, std::function<void()> what) {
    m_plans.push_back(std::move(what));
    m_events.push(when, EventKind::Plan, no_node, no_node,
                  static_cast<std::uint32_t>(m_plans.size() - 1));
}

void Simulation::run_until(Instant end) {
    while (!m_events.empty() && m_events.next() <= end) {
        const Event event = m_events.pop();
        m_now = event.at;
        handle(event);
    }
    m_now = end;
}

void Simulation::handle(const Event& event) {
    switch (event.kind) {
        case EventKind::Wake: return wake(event.a, event.at);
        case EventKind::Boot: return boot(event.a);
        case EventKind::News: return news(event.a);
        case EventKind::Beacon: return beacon(event.a);
        case EventKind::Traffic: return traffic();
        case EventKind::Plan: return m_plans[event.what]();
        case EventKind::Parcel: return parcel_arrives(event.a, event.b, event.what);
        case EventKind::Initiation:
            return m_wireguard.initiation_arrives(event.a, event.b, event.what, m_now);
        case EventKind::Response:
            if (m_wireguard.response_arrives(event.a, event.b, event.what, m_now)) {
                unstage(event.b, event.a);
                unstage(event.a, event.b);
            }
            return;
        case EventKind::Retry:
            if (m_wireguard.retry(event.a, event.b, m_now)) drop_staged(event.a, event.b);
            return;
        case EventKind::Keepalive:
            if (!alive(event.a)) return;
            m_wireguard.keep_alive(event.a, m_now);
            m_events.push(m_now + keepalive_every, EventKind::Keepalive, event.a);
            return;
    }
}

}  // namespace fortros::meshsim
