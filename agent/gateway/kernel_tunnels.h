// The tunnels in the kernel: one WireGuard interface, adopted or made, with the gateway's overlay
// address, the route of the org's prefix, the guard, and a peer for each member.
#pragma once

#include <map>
#include <memory>
#include <optional>

#include "base/log.h"
#include "base/secret.h"
#include "base/time.h"
#include "core/overlay.h"
#include "gateway/settings.h"
#include "gateway/tunnels.h"
#include "os/overlay_links.h"

namespace fortros::gateway {

struct TunnelOptions {
    OrgPrefix prefix;
    std::uint16_t listen_port = 0;
    std::uint32_t mtu = 1420;
    GuardMode guard = GuardMode::Nftables;
};

class KernelTunnels final : public Tunnels {
public:
    // Puts the guard in place; the interface comes with the first reconcile(). Unsupported when the
    // kernel has no WireGuard. `log` must outlive the tunnels.
    static Result<std::unique_ptr<KernelTunnels>> create(const TunnelOptions& options,
                                                         PrivateKey key, Log& log);

    Result<std::optional<TunnelStatus>> find(const PublicKey& node) override;
    Status reset(const NodeRecord& node) override;
    Status remove(const PublicKey& node) override;
    Status reconcile(const std::vector<NodeRecord>& nodes) override;

private:
    KernelTunnels(const TunnelOptions& options, OverlayLinks links, PrivateKey key,
                  const PublicKey& public_key, Log& log);
    Status read_peers();

    TunnelOptions m_options;
    OverlayLinks m_links;
    PrivateKey m_key;
    IpAddress m_address;
    Log& m_log;
    // What the kernel said last, with our own changes since. WireGuard can be asked for all peers
    // only, so it is not asked more than once a second.
    std::map<PublicKey, TunnelStatus> m_peers{};
    std::optional<Instant> m_read_at{};
};

// For tests and for hosts without WireGuard: nodes are told yes and get no tunnel.
class NoTunnels final : public Tunnels {
public:
    Result<std::optional<TunnelStatus>> find(const PublicKey&) override { return std::nullopt; }
    Status reset(const NodeRecord&) override { return {}; }
    Status remove(const PublicKey&) override { return {}; }
    Status reconcile(const std::vector<NodeRecord>&) override { return {}; }
};

}  // namespace fortros::gateway
