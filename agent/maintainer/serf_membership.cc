#include "maintainer/serf_membership.h"

#include <utility>

#include "core/attestation.h"
#include "core/json.h"

namespace fortros {

// Coordinates move slowly: ten thousand members are asked about in less than half an hour.
static constexpr Duration coordinates_pause = 10s;
static constexpr std::size_t coordinates_at_once = 64;
static constexpr std::uint16_t gossip_port = 7946;

std::string serf_config(const PublicKey& node, const IpAddress& overlay_address,
                        const Endpoint& agent, std::string_view cluster_key,
                        std::string_view password) {
    Json config;
    config.set("node_name", node.base64url());
    config.set("bind", Endpoint{overlay_address, gossip_port}.text());
    config.set("rpc_addr", agent.text());
    config.set("rpc_auth", password);
    config.set("encrypt_key", cluster_key);
    // Nodes are on several continents, and lighthouses relay.
    config.set("profile", "wan");
    config.set("log_level", "warn");
    // A node that reboots has not left.
    config.set("leave_on_terminate", false);
    config.set("skip_leave_on_interrupt", true);
    return config.dump(2) + "\n";
}

SerfMembership::SerfMembership(SerfMembershipParts parts, const PublicKey& self,
                               const OrgPrefix& prefix, const Endpoint& agent, std::string password)
    : m_parts(std::move(parts)),
      m_self(self),
      m_prefix(prefix),
      m_agent(agent),
      m_password(std::move(password)) {}

void SerfMembership::start() {
    m_client.emplace(m_parts.loop, m_parts.random, m_parts.log, m_agent, m_password,
                     [this](SerfHeard heard) { hear(std::move(heard)); });
    m_client->announce(m_attestation);
    m_client->introduce(m_lighthouses);
    ask_coordinates();
}

MembershipStatus SerfMembership::status() const {
    const bool connected = m_client && m_client->connected();
    return {.engine = "serf",
            .heard = m_heard,
            .source = m_agent.text(),
            .problem = connected ? m_problem : "the Serf agent does not answer",
            .revision = m_alive.size()};
}

void SerfMembership::announce(Bytes attestation) {
    m_attestation = std::move(attestation);
    if (m_client) m_client->announce(m_attestation);
}

void SerfMembership::introduce(std::vector<IpAddress> lighthouses) {
    m_lighthouses = std::move(lighthouses);
    if (m_client) m_client->introduce(m_lighthouses);
}

void SerfMembership::hear(SerfHeard heard) {
    if (auto* members = std::get_if<SerfMembersHeard>(&heard)) return take(std::move(*members));
    if (auto* coordinate = std::get_if<SerfCoordinateHeard>(&heard)) return take(*coordinate);
    // Nobody to join is no problem while others join us.
    const auto& refused = std::get<SerfRefused>(heard);
    if (refused.command != "join")
        m_parts.log.write(
            {.level = Level::Warning,
             .event = "serf-refused",
             .message = "the Serf agent refuses '" + refused.command + "': " + refused.why});
}

void SerfMembership::take(SerfMembersHeard heard) {
    if (heard.complete) m_alive.clear();
    std::vector<MemberNews> news;
    for (SerfMember& member : heard.members) {
        if (member.key == m_self) continue;
        m_alive[member.key] = member.alive;
        const auto attestation = parse_attestation(member.attestation);
        // Who relays, and where, is the gateways' to say.
        if (!attestation || attestation->role != Role::Node) continue;
        news.push_back({.peer = {.key = member.key,
                                 .role = attestation->role,
                                 .overlay_address = overlay_address(m_prefix, member.key),
                                 .attestation = std::move(member.attestation)}});
    }
    m_heard = monotonic_now();
    m_problem.clear();
    if (!news.empty()) m_parts.listener.heard(std::move(news));
}

void SerfMembership::take(const SerfCoordinateHeard& heard) {
    if (heard.node == m_self) {
        m_place = heard.coordinate;
        return;
    }
    if (!m_place || !heard.coordinate) return;
    if (const auto rtt = estimate_rtt(*m_place, *heard.coordinate))
        m_parts.estimated(heard.node, *rtt);
}

void SerfMembership::ask_coordinates() {
    m_next = m_parts.loop.after(coordinates_pause, [this] { ask_coordinates(); });
    if (m_alive.empty()) return;
    m_client->ask_coordinate(m_self);
    std::size_t left = coordinates_at_once;
    auto at = m_alive.upper_bound(m_asked);
    for (std::size_t seen = 0; seen < m_alive.size() && left > 0; ++seen, ++at) {
        if (at == m_alive.end()) at = m_alive.begin();
        m_asked = at->first;
        if (!at->second) continue;
        m_client->ask_coordinate(at->first);
        --left;
    }
}

}  // namespace fortros
