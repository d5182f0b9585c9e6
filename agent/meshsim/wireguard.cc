#include "meshsim/wireguard.h"

#include <algorithm>

namespace fortros::meshsim {

namespace {

constexpr std::uint32_t initiation_bytes = 148;
constexpr std::uint32_t response_bytes = 92;
constexpr std::uint32_t data_overhead = 32;  // header and tag
constexpr std::uint32_t ip_and_udp = 28;     // over IPv4

// A packet inside is padded to 16 bytes.
constexpr std::uint32_t sealed(std::uint32_t bytes) {
    return (bytes + 15) / 16 * 16 + data_overhead;
}

bool has_session(const Tunnel& tunnel, Instant now) {
    return tunnel.session != 0 && now - tunnel.since < reject_after;
}

}  // namespace

WireGuard::WireGuard(const World& world, Underlay& underlay, EventQueue& events)
    : m_world(world),
      m_underlay(underlay),
      m_events(events),
      m_tunnels(world.nodes.size()),
      m_meters(world.nodes.size()) {}

const Tunnel* WireGuard::find(NodeId node, NodeId peer) const {
    const auto& tunnels = m_tunnels[node];
    const auto found = std::ranges::lower_bound(tunnels, peer, {}, &Tunnel::peer);
    return found != tunnels.end() && found->peer == peer ? &*found : nullptr;
}

Tunnel* WireGuard::changeable(NodeId node, NodeId peer) {
    return const_cast<Tunnel*>(find(node, peer));
}

Tunnel& WireGuard::add(NodeId node, NodeId peer) {
    auto& tunnels = m_tunnels[node];
    const auto place = std::ranges::lower_bound(tunnels, peer, {}, &Tunnel::peer);
    return *tunnels.insert(place, Tunnel{.peer = peer});
}

void WireGuard::set_endpoint(NodeId node, Tunnel& tunnel, const Endpoint& endpoint) {
    if (tunnel.endpoint == endpoint) return;
    tunnel.endpoint = endpoint;
    tunnel.leads_to = m_underlay.at(node, endpoint);
    tunnel.opened = never;
    tunnel.is_news = true;
}

// An authentic packet from outside tells where the peer is.
void WireGuard::learn(NodeId node, Tunnel& tunnel, Instant now) {
    tunnel.endpoint = m_underlay.seen_at(tunnel.peer, node);
    tunnel.leads_to = tunnel.peer;
    tunnel.opened = now;
    tunnel.is_news = true;
}

void WireGuard::configure(NodeId node, const mesh::WantedOverlay& wanted, Instant now) {
    auto& tunnels = m_tunnels[node];
    if (m_world.nodes[node].lie == Lie::Idle) return;
    std::vector<NodeId> kept;
    const auto take = [&](const auto& peer) {
        const NodeId id = m_world.node_of(peer.key);
        if (id == no_node || id == node) return;
        kept.push_back(id);
        Tunnel* tunnel = changeable(node, id);
        if (tunnel == nullptr) tunnel = &add(node, id);
        if (peer.endpoint) set_endpoint(node, *tunnel, *peer.endpoint);
        const bool begins = peer.keepalive_s != 0 && tunnel->keepalive_s == 0;
        tunnel->keepalive_s = peer.keepalive_s;
        // The kernel sends a first keepalive when one is set.
        if (begins) send(node, id, 0, Load::Keepalive, now);
    };
    // A lighthouse serves all members anyway, whatever its maintainer says of each.
    const bool serves = m_world.relays(node);
    if (!serves)
        for (const auto& peer : wanted.peers) {
            take(peer);
            if (Tunnel* tunnel = changeable(node, m_world.node_of(peer.key)))
                tunnel->routed = peer.routed;
        }
    for (const auto& lighthouse : wanted.lighthouses) take(lighthouse);
    std::ranges::sort(kept);
    std::erase_if(tunnels, [&](const Tunnel& tunnel) {
        return !std::ranges::binary_search(kept, tunnel.peer) &&
               (!serves || m_world.relays(tunnel.peer));
    });
}

void WireGuard::serve(NodeId lighthouse, std::span<const NodeId> members) {
    for (const NodeId member : members)
        if (member != lighthouse && !m_world.relays(member) && find(lighthouse, member) == nullptr)
            add(lighthouse, member);
}

void WireGuard::forget(NodeId node, NodeId peer) {
    std::erase_if(m_tunnels[node], [&](const Tunnel& tunnel) { return tunnel.peer == peer; });
}

void WireGuard::reset(NodeId node) { m_tunnels[node].clear(); }

void WireGuard::lose_sessions(NodeId node) {
    for (auto& tunnel : m_tunnels[node]) {
        tunnel.session = 0;
        tunnel.since = tunnel.opened = tunnel.initiated = tunnel.unanswered = never;
        tunnel.attempts = 0;
        tunnel.is_news = true;
    }
}

bool WireGuard::lets_in(NodeId node, NodeId from, Instant now) const {
    if (m_world.site_of(node).nat == mesh::Nat::None || m_world.same_site(node, from)) return true;
    const Tunnel* tunnel = find(node, from);
    return tunnel != nullptr && tunnel->opened != never && now - tunnel->opened < nat_timeout;
}

// NATs, addresses and cuts; not the loss of a single packet.
bool WireGuard::reaches(NodeId from, const Tunnel& tunnel, Instant now) const {
    const NodeId to = tunnel.peer;
    return tunnel.leads_to == to && m_underlay.alive(to) && m_underlay.connected(from, to) &&
           lets_in(to, from, now);
}

bool WireGuard::would_carry(NodeId from, NodeId to, Instant now) const {
    const Tunnel* there = find(from, to);
    const Tunnel* back = find(to, from);
    if (there == nullptr || back == nullptr || !m_underlay.alive(from)) return false;
    if (!reaches(from, *there, now)) return false;
    // With a session one way is enough; a handshake needs both. What is sent opens the sender's NAT.
    if (has_session(*there, now) && there->session == back->session) return true;
    return m_underlay.connected(to, from);
}

Meter::Traffic& WireGuard::meter_of(NodeId node, NodeId peer) {
    Meter& meter = m_meters[node];
    if (m_world.relays(peer)) return meter.lighthouses;
    return m_world.same_site(node, peer) ? meter.lan : meter.scored;
}

void WireGuard::count(NodeId node, Tunnel& tunnel, std::uint32_t bytes, Load load, bool out) {
    (out ? tunnel.tx : tunnel.rx) += sealed(bytes);
    tunnel.is_news = true;
    if (load == Load::Data) return;
    Meter::Traffic& meter = meter_of(node, tunnel.peer);
    (load == Load::Keepalive ? meter.keepalives : meter.messages) += sealed(bytes) + ip_and_udp;
}

void WireGuard::count_handshake(NodeId node, Tunnel& tunnel, std::uint32_t bytes, bool out) {
    (out ? tunnel.tx : tunnel.rx) += bytes;
    tunnel.is_news = true;
    meter_of(node, tunnel.peer).handshakes += bytes + ip_and_udp;
}

Sent WireGuard::send(NodeId from, NodeId to, std::uint32_t bytes, Load load, Instant now) {
    Tunnel* tunnel = changeable(from, to);
    if (tunnel == nullptr || tunnel->endpoint.port == 0) return Sent::Lost;
    if (!has_session(*tunnel, now)) {
        if (tunnel->initiated == never || now - tunnel->initiated >= rekey_timeout) {
            tunnel->attempts = 0;
            initiate(from, *tunnel, now);
        }
        return Sent::Staged;
    }
    count(from, *tunnel, bytes, load, true);
    tunnel->sent = now;
    if (tunnel->leads_to == to) tunnel->opened = now;
    if (load != Load::Keepalive && tunnel->unanswered == never) tunnel->unanswered = now;
    const bool old = tunnel->initiator && now - tunnel->since >= rekey_after;
    const bool silent = tunnel->unanswered != never &&
                        now - tunnel->unanswered >= keepalive_timeout + rekey_timeout;
    if ((old || silent) && now - tunnel->initiated >= rekey_timeout && !renew(from, *tunnel, now)) {
        tunnel->attempts = 0;
        initiate(from, *tunnel, now);
    }
    Tunnel* other = changeable(to, from);
    if (other == nullptr || other->session != tunnel->session || !reaches(from, *tunnel, now) ||
        !m_underlay.carries(from, to))
        return Sent::Lost;
    count(to, *other, bytes, load, false);
    other->unanswered = never;
    learn(to, *other, now);
    // Data that is not answered by data is answered by a keepalive.
    if (load == Load::Data && now - other->sent >= keepalive_timeout && bytes > 0)
        send(to, from, 0, Load::Keepalive, now);
    return Sent::Carried;
}

void WireGuard::initiate(NodeId node, Tunnel& tunnel, Instant now) {
    const NodeId peer = tunnel.peer;
    ++m_handshakes;
    ++tunnel.attempts;
    tunnel.initiated = tunnel.sent = now;
    if (tunnel.leads_to == peer) tunnel.opened = now;
    count_handshake(node, tunnel, initiation_bytes, true);
    // Up to a third of a second of jitter, from what is at hand.
    const Duration jitter{(m_handshakes * 7919U) % 333'000U};
    m_events.push(now + rekey_timeout + jitter, EventKind::Retry, node, peer, m_handshakes);
    if (tunnel.leads_to != peer) return;
    m_events.push(now + m_underlay.one_way(node, peer), EventKind::Initiation, node, peer,
                  m_handshakes);
}

// A session that works is renewed at once: only its bytes matter.
bool WireGuard::renew(NodeId node, Tunnel& tunnel, Instant now) {
    Tunnel* other = changeable(tunnel.peer, node);
    if (other == nullptr || m_world.nodes[tunnel.peer].lie == Lie::Idle) return false;
    if (!reaches(node, tunnel, now) || !m_underlay.connected(tunnel.peer, node)) return false;
    learn(tunnel.peer, *other, now);
    tunnel.session = other->session = ++m_handshakes;
    tunnel.since = other->since = tunnel.initiated = tunnel.opened = now;
    tunnel.initiator = true;
    other->initiator = false;
    count_handshake(node, tunnel, initiation_bytes, true);
    count_handshake(tunnel.peer, *other, initiation_bytes, false);
    count_handshake(tunnel.peer, *other, response_bytes, true);
    count_handshake(node, tunnel, response_bytes, false);
    return true;
}

void WireGuard::initiation_arrives(NodeId from, NodeId at, std::uint32_t number, Instant now) {
    const Tunnel* there = find(from, at);
    Tunnel* tunnel = changeable(at, from);
    if (there == nullptr || tunnel == nullptr || !reaches(from, *there, now)) return;
    if (!m_underlay.alive(from) || !m_underlay.carries(from, at)) return;
    count_handshake(at, *tunnel, initiation_bytes, false);
    learn(at, *tunnel, now);
    tunnel->sent = now;
    count_handshake(at, *tunnel, response_bytes, true);
    m_events.push(now + m_underlay.one_way(at, from), EventKind::Response, at, from, number);
}

bool WireGuard::response_arrives(NodeId from, NodeId at, std::uint32_t number, Instant now) {
    Tunnel* there = changeable(from, at);
    Tunnel* tunnel = changeable(at, from);
    if (there == nullptr || tunnel == nullptr || !reaches(from, *there, now)) return false;
    if (!m_underlay.alive(from) || !m_underlay.carries(from, at)) return false;
    count_handshake(at, *tunnel, response_bytes, false);
    learn(at, *tunnel, now);
    tunnel->session = there->session = number;
    tunnel->since = there->since = now;
    tunnel->initiator = true;
    there->initiator = false;
    tunnel->unanswered = never;
    tunnel->attempts = 0;
    send(at, from, 0, Load::Keepalive, now);  // confirms the session
    return true;
}

bool WireGuard::retry(NodeId node, NodeId peer, Instant now) {
    Tunnel* tunnel = changeable(node, peer);
    if (tunnel == nullptr || !m_underlay.alive(node)) return true;
    // Answered meanwhile, or begun anew.
    if (tunnel->attempts == 0 || now - tunnel->initiated < rekey_timeout) return false;
    if (tunnel->attempts >= initiations_limit) {
        tunnel->attempts = 0;
        return true;
    }
    initiate(node, *tunnel, now);
    return false;
}

void WireGuard::keep_alive(NodeId node, Instant now) {
    // By place, not by iterator: nothing here adds or removes a tunnel of this node.
    for (std::size_t i = 0; i < m_tunnels[node].size(); ++i) {
        const Tunnel& tunnel = m_tunnels[node][i];
        if (tunnel.keepalive_s == 0) continue;
        if (tunnel.sent == never || now - tunnel.sent >= std::chrono::seconds{tunnel.keepalive_s})
            send(node, tunnel.peer, 0, Load::Keepalive, now);
    }
}

}  // namespace fortros::meshsim
