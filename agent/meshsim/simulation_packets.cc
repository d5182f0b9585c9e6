// What nodes send: datagrams of maintainers, beacons on LANs, and the apps' traffic.
#include <algorithm>

#include "meshsim/host.h"
#include "meshsim/simulation.h"

namespace fortros::meshsim {

namespace {

constexpr std::uint32_t inner_headers = 48;  // IPv6 and UDP
constexpr std::uint32_t courier_bytes = 76;  // mesh/courier.h
constexpr std::uint32_t attestation_in_message = attestation_size;
constexpr std::uint32_t beacon_bytes = 20 + 8 + 40;  // IPv4, UDP, and what names a key and a port
constexpr std::uint32_t answer_share = 4;  // an app's answers are a quarter of what it gets
constexpr Duration app_patience = 30s;     // then an app tries again only so often

std::uint64_t pair_of(NodeId from, NodeId to) { return std::uint64_t{from} << 32 | to; }

// What a liar makes of it; false: it says nothing.
bool twist(Lie lie, mesh::LinkMessage& message) {
    if (lie == Lie::Mute) return message.verb == mesh::LinkVerb::Want;
    if (lie == Lie::Standing) {
        message.standing.links = 0;
        message.standing.room = 1000;
    }
    return true;
}

std::uint32_t bytes_of(const mesh::LinkMessage& message) {
    auto bytes = static_cast<std::uint32_t>(encode(message).size());
    // In a simulation attestations are left out; on a node they are there.
    const bool attested =
        message.verb == mesh::LinkVerb::Want || message.verb == mesh::LinkVerb::Accept;
    if (attested && message.attestation.empty()) bytes += attestation_in_message;
    return inner_headers + courier_bytes + bytes;
}

}  // namespace

// --- datagrams of maintainers ------------------------------------------------------------------

std::uint32_t Simulation::add_parcel(Parcel parcel) {
    if (m_free_parcels.empty()) {
        m_parcels.push_back(std::move(parcel));
        return static_cast<std::uint32_t>(m_parcels.size() - 1);
    }
    const std::uint32_t place = m_free_parcels.back();
    m_free_parcels.pop_back();
    m_parcels[place] = std::move(parcel);
    return place;
}

void Simulation::free_parcel(std::uint32_t parcel) {
    m_parcels[parcel] = {};
    m_free_parcels.push_back(parcel);
}

void Simulation::say(NodeId node, mesh::Outgoing outgoing) {
    const NodeId to = m_world.node_of(outgoing.to);
    if (to == no_node || to == node) return;
    if (!twist(m_world.nodes[node].lie, outgoing.message)) return;
    ++m_messages;
    ++m_verbs[static_cast<std::size_t>(outgoing.message.verb) % std::size(m_verbs)];
    if (outgoing.message.verb == mesh::LinkVerb::MayLeave)
        m_monitor.asked_to_leave(node, to, m_now);
    NodeId hop = to;
    if (outgoing.via == mesh::Via::Overlay) hop = m_routes.next_hop(node, to);
    if (outgoing.via == mesh::Via::Relay && !m_world.relays(to) && !m_world.relays(node))
        hop = m_routes.lighthouse(node);
    if (hop == no_node) return;
    const std::uint32_t bytes = bytes_of(outgoing.message);
    carry(node, hop, add_parcel({node, to, std::move(outgoing.message), bytes}));
}

void Simulation::carry(NodeId from, NodeId to, std::uint32_t parcel) {
    switch (m_wireguard.send(from, to, m_parcels[parcel].bytes, Load::Message, m_now)) {
        case Sent::Carried:
            m_events.push(m_now + m_underlay.one_way(from, to), EventKind::Parcel, from, to,
                          parcel);
            return;
        case Sent::Staged: {
            auto& waiting = m_staged[pair_of(from, to)];
            if (waiting.size() < staged_limit) return waiting.push_back(parcel);
            break;
        }
        case Sent::Lost: break;
    }
    free_parcel(parcel);
}

void Simulation::unstage(NodeId from, NodeId to) {
    const auto found = m_staged.find(pair_of(from, to));
    if (found == m_staged.end()) return;
    const auto waiting = std::move(found->second);
    m_staged.erase(found);
    for (const std::uint32_t parcel : waiting) carry(from, to, parcel);
}

void Simulation::drop_staged(NodeId from, NodeId to) {
    const auto found = m_staged.find(pair_of(from, to));
    if (found == m_staged.end()) return;
    for (const std::uint32_t parcel : found->second) free_parcel(parcel);
    m_staged.erase(found);
}

void Simulation::drop_all_staged(NodeId node) {
    std::vector<NodeId> to;
    for (const auto& [pair, waiting] : m_staged)
        if (pair >> 32 == node) to.push_back(static_cast<NodeId>(pair));
    for (const NodeId other : to) drop_staged(node, other);
}

void Simulation::parcel_arrives(NodeId from, NodeId at, std::uint32_t parcel) {
    const NodeId to = m_parcels[parcel].to;
    if (!alive(at)) return free_parcel(parcel);
    if (at != to) {
        const NodeId hop = m_world.relays(at) ? m_routes.next_hop(at, to) : no_node;
        if (hop == no_node) return free_parcel(parcel);
        return carry(at, hop, parcel);
    }
    const NodeId origin = m_parcels[parcel].from;
    const mesh::LinkMessage message = std::move(m_parcels[parcel].message);
    free_parcel(parcel);
    const mesh::Via via = from != origin         ? mesh::Via::Relay
                          : m_world.relays(from) ? mesh::Via::Lighthouse
                                                 : mesh::Via::Direct;
    m_hosts[at]->mesh.received(m_world.nodes[origin].key, via, message, m_now);
    round(at);
}

// --- beacons -----------------------------------------------------------------------------------

void Simulation::beacon(SiteId id) {
    const Site& site = m_world.sites[id];
    m_events.push(m_now + m_spec.beacon_every, EventKind::Beacon, id);
    for (NodeId from = site.first; from < site.first + site.count; ++from) {
        if (!alive(from)) continue;
        mesh::LanHint hint{m_world.nodes[from].key,
                           {m_underlay.own_address(from), m_world.nodes[from].port}};
        // A stray packet, a replay from elsewhere, a neighbour's joke: the address is here, the key is not.
        if (m_random.below(100) < m_spec.false_hints_percent)
            hint.key = m_world.nodes[m_random.below(m_world.nodes.size())].key;
        m_wireguard.meter(from).beacons += beacon_bytes;
        for (NodeId at = site.first; at < site.first + site.count; ++at) {
            if (at == from || !alive(at)) continue;
            m_wireguard.meter(at).beacons += beacon_bytes;
            m_hosts[at]->mesh.heard(hint, m_now);
            wake_at(at, m_hosts[at]->mesh.next_step());
        }
    }
}

// --- apps --------------------------------------------------------------------------------------

// A packet of an app on its whole way; true if it arrives.
bool Simulation::transmit(NodeId from, NodeId to, std::uint32_t bytes) {
    const NodeId hop = m_routes.next_hop(from, to);
    if (hop == no_node) return false;
    if (m_wireguard.send(from, hop, bytes, Load::Data, m_now) != Sent::Carried) return false;
    if (hop == to) return true;
    return m_wireguard.send(hop, to, bytes, Load::Data, m_now) == Sent::Carried;
}

// What one app sends in an interval, as one packet; true if it is answered.
bool Simulation::flow(const Flow& flow) {
    const auto seconds = std::chrono::duration<double>(m_spec.traffic_every).count();
    const auto bytes = static_cast<std::uint32_t>(flow.bytes_per_s * seconds) + 1;
    const auto demand = [&](NodeId from, NodeId to, std::uint32_t some) {
        if (m_routes.next_hop(from, to) == to) return;
        auto& list = m_hosts[from]->demand;
        const auto found = std::ranges::find(list, to, &std::pair<NodeId, std::uint64_t>::first);
        if (found != list.end())
            found->second += some;
        else
            list.emplace_back(to, some);
    };
    demand(flow.from, flow.to, bytes);
    if (!transmit(flow.from, flow.to, bytes)) return false;
    demand(flow.to, flow.from, bytes / answer_share + 1);
    const bool answered = transmit(flow.to, flow.from, bytes / answer_share + 1);
    // The answerer's maintainer sees, too, that nothing comes back on the way that it uses.
    if (!answered) wake_at(flow.to, m_now + observe_pause);
    return answered;
}

void Simulation::traffic() {
    m_events.push(m_now + m_spec.traffic_every, EventKind::Traffic);
    if (!m_traffic_on) return;
    for (std::size_t i = 0; i < m_flows.size(); ++i) {
        const Flow& what = m_world.flows[i];
        FlowState& state = m_flows[i];
        if (!alive(what.from) || m_now < state.next) continue;
        const bool answered = flow(what);
        if (answered) {
            if (m_outages_kept && state.unanswered != never)
                m_outages.push_back({i, state.unanswered, m_now});
            state = {};
            continue;
        }
        if (state.unanswered == never) state.unanswered = m_now;
        if (m_now - state.unanswered >= app_patience) state.next = m_now + app_patience;
        wake_at(what.from, m_now + observe_pause);
    }
}

}  // namespace fortros::meshsim
