#include "gateway/kernel_tunnels.h"

#include "core/crypto.h"
#include "os/guard.h"
#include "os/loop.h"

namespace fortros::gateway {

static constexpr Duration peers_are_fresh = 1s;
static const std::string interface_name(direct_interface);

// No endpoint: nodes come to us, and roam. No keepalive: they keep their own NATs open.
static WireGuardPeer peer_of(const NodeRecord& node) {
    return {.key = node.key, .allowed_ips = {IpNetwork::host(node.overlay_address)}};
}

KernelTunnels::KernelTunnels(const TunnelOptions& options, OverlayLinks links, PrivateKey key,
                             const PublicKey& public_key, Log& log)
    : m_options(options),
      m_links(std::move(links)),
      m_key(std::move(key)),
      m_address(overlay_address(options.prefix, public_key)),
      m_log(log) {}

Result<std::unique_ptr<KernelTunnels>> KernelTunnels::create(const TunnelOptions& options,
                                                             PrivateKey key, Log& log) {
    const auto public_key = TRY(crypto::public_key_of(key));
    auto links = TRY(OverlayLinks::create());
    // Before there is an interface that would take what the guard keeps out.
    if (options.guard == GuardMode::Nftables) TRY(install_guard(options.prefix));
    return std::unique_ptr<KernelTunnels>(
        new KernelTunnels(options, std::move(links), std::move(key), public_key, log));
}

Status KernelTunnels::reconcile(const std::vector<NodeRecord>& nodes) {
    InterfacePlan plan{.name = interface_name,
                       .listen_port = m_options.listen_port,
                       .mtu = m_options.mtu,
                       .addresses = {IpNetwork::host(m_address)},
                       .routes = {{m_options.prefix.network(), direct_prefix_metric}}};
    for (const auto& node : nodes)
        if (node.is_member()) plan.peers.push_back(peer_of(node));
    m_read_at.reset();
    const auto applied = TRY(m_links.apply(
        {.address = m_address, .prefix = m_options.prefix, .interfaces = {std::move(plan)}},
        m_key));
    std::size_t peers = 0;
    for (const auto& change : applied.changes) {
        if (change.kind == OverlayChange::Kind::ChangePeer)
            ++peers;
        else
            m_log.write({Level::Info, "overlay-changed", change.text()});
    }
    if (peers > 0)
        m_log.write({Level::Info, "peers-changed",
                     interface_name + ": " + std::to_string(peers) + " peers brought in line"});
    return read_peers();
}

Status KernelTunnels::read_peers() {
    const auto status = TRY(m_links.wireguard().status(interface_name));
    m_peers.clear();
    for (const auto& peer : status.peers) m_peers[peer.peer.key] = {peer.last_handshake};
    m_read_at = monotonic_now();
    return {};
}

Result<std::optional<TunnelStatus>> KernelTunnels::find(const PublicKey& node) {
    if (!m_read_at || monotonic_now() - *m_read_at >= peers_are_fresh) TRY(read_peers());
    const auto found = m_peers.find(node);
    if (found == m_peers.end()) return std::nullopt;
    return found->second;
}

Status KernelTunnels::reset(const NodeRecord& node) {
    const WireGuardPeer peer = peer_of(node);
    const WireGuardChange changes[] = {
        {.kind = WireGuardChange::Kind::Remove, .peer = {.key = node.key}},
        {.kind = WireGuardChange::Kind::Add, .peer = peer, .replace_allowed_ips = true},
    };
    // Removing a peer that is not there is nothing to the kernel.
    TRY(m_links.wireguard().apply(interface_name, changes));
    m_peers[node.key] = {};
    return {};
}

Status KernelTunnels::remove(const PublicKey& node) {
    const WireGuardChange change{.kind = WireGuardChange::Kind::Remove, .peer = {.key = node}};
    TRY(m_links.wireguard().apply(interface_name, {&change, 1}));
    m_peers.erase(node);
    return {};
}

}  // namespace fortros::gateway
