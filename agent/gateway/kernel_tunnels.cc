#include "gateway/kernel_tunnels.h"

#include <algorithm>
#include <set>

#include "os/guard.h"
#include "os/loop.h"
#include "os/source_routes.h"

namespace fortros::gateway {

static constexpr Duration reading_interval = 1s;
// Of the time at most this part goes into reading peers.
static constexpr int reading_share = 50;
// Of those that are out of order no more are named at once.
static constexpr std::size_t addresses_reported = 8;

KernelTunnels::KernelTunnels(const TunnelOptions& options, OverlayLinks links,
                             std::vector<End> ends, Log& log)
    : m_options(options), m_links(std::move(links)), m_ends(std::move(ends)), m_log(log) {}

// A node's interfaces would be taken for those of a key that was served once, and removed.
static Status refuse_node_host(const std::vector<InterfaceState>& states) {
    for (const InterfaceState& state : states)
        if (is_lighthouse_interface(state.wireguard.name))
            return fail(ErrorCode::Conflict,
                        "this host is a node: it has the interface '" + state.wireguard.name +
                            "' to a gateway. A gateway needs a host that is no node");
    return {};
}

Result<std::unique_ptr<KernelTunnels>> KernelTunnels::create(const TunnelOptions& options,
                                                             std::vector<ServedKey> keys,
                                                             Log& log) {
    ASSERT(!keys.empty());
    auto links = TRY(OverlayLinks::create());
    TRY(refuse_node_host(TRY(links.observe())));
    // Before there is an interface that would take what the guard keeps out.
    if (options.guard == GuardMode::Nftables) TRY(install_guard(options.prefix));
    std::vector<End> ends;
    for (auto& key : keys) {
        const IpAddress address = overlay_address(options.prefix, key.public_key);
        ends.push_back({.served = std::move(key), .address = address});
    }
    return std::unique_ptr<KernelTunnels>(
        new KernelTunnels(options, std::move(links), std::move(ends), log));
}

// --- reconcile ----------------------------------------------------------------------------------

Status KernelTunnels::reconcile(const std::vector<NodeRecord>& nodes) {
    std::vector<IpAddress> own;
    for (const auto& end : m_ends) own.push_back(end.address);
    const auto claims = settle_address_claims(nodes, own);
    report_refused(claims);
    const States states = TRY(find_interfaces());
    std::size_t left_behind = 0;
    // In this order an old interface gives up the prefix only when the new one has it and when what
    // leaves from the old address goes its own way.
    for (auto& end : m_ends) {
        report_taken(end, claims);
        auto plan = plan_of(end, claims);
        left_behind = plan.routes.size();
        TRY(apply(end, std::move(plan), states));
        TRY(set_routes_by_source());
    }
    if (is_rotating()) report_moves(left_behind);
    return {};
}

Result<KernelTunnels::States> KernelTunnels::find_interfaces() {
    for (auto& end : m_ends) {
        end.interface.clear();
        end.ifindex = 0;
        end.peers = {};
    }
    States states;
    std::set<std::string> taken;
    for (auto& state : TRY(m_links.observe())) {
        const WireGuardStatus& found = state.wireguard;
        if (is_lighthouse_interface(found.name)) continue;
        const auto end = std::ranges::find_if(m_ends, [&](const End& candidate) {
            return candidate.interface.empty() && found.public_key == candidate.served.public_key;
        });
        if (end == m_ends.end()) {
            TRY(m_links.wireguard().remove_interface(found.name));
            m_log.write(
                {Level::Info, "overlay-changed", found.name + ": remove, its key is not served"});
            continue;
        }
        end->interface = *taken.insert(found.name).first;
        end->ifindex = found.ifindex;
        end->peers = PeerTable(found);
        states.push_back(std::move(state));
    }
    unsigned number = 0;
    for (auto& end : m_ends) {
        if (!end.interface.empty()) continue;
        do {
            end.interface = std::string(direct_interface_prefix) + std::to_string(number++);
        } while (!taken.insert(end.interface).second);
    }
    return states;
}

// Whether the node has last shaken hands at this end, and not at the current one.
bool KernelTunnels::was_last_here(const End& end, const NodeRecord& node) const {
    // Never is before any time.
    return end.peers.last_handshake(node.key) > m_ends.front().peers.last_handshake(node.key);
}

InterfacePlan KernelTunnels::plan_of(const End& end, const AddressClaims& claims) const {
    const bool is_current = &end == &m_ends.front();
    InterfacePlan plan{.name = end.interface,
                       .listen_port = end.served.listen_port,
                       .mtu = m_options.mtu,
                       .addresses = {IpNetwork::host(end.address)}};
    if (is_current) plan.routes = {{m_options.prefix.network(), direct_prefix_metric}};
    for (const NodeRecord* node : claims.members) {
        plan.peers.push_back(peer_of(*node));
        if (!is_current && was_last_here(end, *node))
            plan.routes.push_back({IpNetwork::host(node->overlay_address), host_route_metric});
    }
    return plan;
}

Status KernelTunnels::apply(End& end, InterfacePlan plan, const States& states) {
    const auto applied = TRY(m_links.apply(
        {.address = end.address, .prefix = m_options.prefix, .interfaces = {std::move(plan)}},
        end.served.key, states));
    end.ifindex = applied.interfaces.front().ifindex;
    std::size_t peers = 0;
    for (const auto& change : applied.changes) {
        if (change.kind == OverlayChange::Kind::ChangePeer)
            ++peers;
        else
            m_log.write({Level::Info, "overlay-changed", change.text()});
    }
    if (peers == 0) return {};
    m_log.write({Level::Info, "peers-changed",
                 end.interface + ": " + std::to_string(peers) + " peers brought in line"});
    end.peers = PeerTable(TRY(m_links.wireguard().status(end.interface)));
    return {};
}

// Of the interfaces that there are already. With a single key the main table says all.
Status KernelTunnels::set_routes_by_source() {
    std::vector<SourceRoute> routes;
    for (const auto& end : m_ends)
        if (is_rotating() && end.ifindex != 0)
            routes.push_back({end.address, m_options.prefix.network(), end.ifindex});
    return set_source_routes(routes);
}

// The registry lets no address be taken twice; somebody has changed it by other means.
void KernelTunnels::report_refused(const AddressClaims& claims) {
    for (const NodeRecord* node :
         std::span(claims.refused).first(std::min(claims.refused.size(), addresses_reported)))
        m_log.write({Level::Error,
                     "address-taken",
                     node->overlay_address.text() + " is another's: " + node->key.base64() +
                         " gets no tunnel",
                     {{"overlay_address", node->overlay_address.text()},
                      {"node", node->key.base64()},
                      {"nodes", static_cast<std::int64_t>(claims.refused.size())}}});
}

// Before the members get back what is theirs.
void KernelTunnels::report_taken(const End& end, const AddressClaims& claims) {
    std::size_t count = 0;
    for (const NodeRecord* node : claims.members) {
        const PublicKey* owner = end.peers.other_owner(*node);
        if (!owner || ++count > addresses_reported) continue;
        m_log.write({Level::Warning,
                     "address-moved",
                     end.interface + ": " + node->overlay_address.text() + " was " +
                         owner->base64() + "'s, and goes to its member, " + node->key.base64(),
                     {{"overlay_address", node->overlay_address.text()},
                      {"node", node->key.base64()},
                      {"from", owner->base64()}}});
    }
}

// Tells whoever rotates a key when he is done.
void KernelTunnels::report_moves(std::size_t left_behind) {
    if (m_left_behind == left_behind) return;
    m_left_behind = left_behind;
    m_log.write({Level::Notice,
                 "previous-key",
                 std::to_string(left_behind) + " nodes have last used the previous key",
                 {{"nodes", static_cast<std::int64_t>(left_behind)}}});
}

// --- peers --------------------------------------------------------------------------------------

Status KernelTunnels::read_peers() {
    const Instant begin = monotonic_now();
    current().peers = PeerTable(TRY(m_links.wireguard().status(current().interface)));
    const Instant end = monotonic_now();
    m_next_reading = end + std::max(reading_interval, reading_share * (end - begin));
    return {};
}

Result<std::optional<WallTime>> KernelTunnels::last_handshake(const PublicKey& node) {
    if (monotonic_now() >= m_next_reading) TRY(read_peers());
    return current().peers.last_handshake(node);
}

Result<std::optional<Endpoint>> KernelTunnels::endpoint(const PublicKey& node) {
    if (monotonic_now() >= m_next_reading) TRY(read_peers());
    return current().peers.endpoint(node);
}

// An allowed IP that is added to the peer that has it is nothing to the kernel.
Status KernelTunnels::ensure(const NodeRecord& node) {
    TRY(current().peers.check_free(node));
    const WireGuardChange change{.kind = WireGuardChange::Kind::Add, .peer = peer_of(node)};
    TRY(m_links.wireguard().apply(current().interface, {&change, 1}));
    if (!current().peers.contains(node.key)) current().peers.put(node);
    return {};
}

Status KernelTunnels::reset(const NodeRecord& node) {
    TRY(current().peers.check_free(node));
    const WireGuardChange changes[] = {
        {.kind = WireGuardChange::Kind::Remove, .peer = {.key = node.key}},
        {.kind = WireGuardChange::Kind::Add, .peer = peer_of(node), .replace_allowed_ips = true},
    };
    // Removing a peer that is not there is nothing to the kernel.
    TRY(m_links.wireguard().apply(current().interface, changes));
    current().peers.put(node);
    return {};
}

Status KernelTunnels::remove(const PublicKey& node) {
    const WireGuardChange change{.kind = WireGuardChange::Kind::Remove, .peer = {.key = node}};
    for (auto& end : m_ends) {
        TRY(m_links.wireguard().apply(end.interface, {&change, 1}));
        end.peers.remove(node);
    }
    return {};
}

}  // namespace fortros::gateway
