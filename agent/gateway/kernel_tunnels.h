// The tunnels in the kernel: a WireGuard interface for each key that the gateway serves, adopted or
// made, with the overlay address that follows from the key and a peer for each member; the routes of
// the org's prefix, and the guard.
//
// There is one key but while it is rotated; then the one before it is served beside it:
//
//   fortros1  the key      route of the prefix
//   fortros0  the key      route of each member whose newest handshake was here
//             before
//
// What leaves from one of the two addresses leaves by its interface. An interface is known by its key,
// whatever its number, and one whose key is not served is removed: so the old one goes on as it is when
// a rotation begins, and leaves nothing behind when it ends.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/secret.h"
#include "base/time.h"
#include "core/overlay.h"
#include "gateway/address_claims.h"
#include "gateway/peer_table.h"
#include "gateway/settings.h"
#include "gateway/tunnels.h"
#include "os/overlay_links.h"

namespace fortros::gateway {

struct ServedKey {
    PrivateKey key{};
    PublicKey public_key;
    std::uint16_t listen_port = 0;
};

struct TunnelOptions {
    OrgPrefix prefix;
    std::uint32_t mtu = 1420;
    GuardMode guard = GuardMode::Nftables;
};

class KernelTunnels final : public Tunnels {
public:
    // Puts the guard in place; interfaces come with the first reconcile(). `keys`: the one that the
    // certificate names, and perhaps the one before it. Unsupported when the kernel has no
    // WireGuard, Conflict when this host is a node. `log` must outlive the tunnels.
    static Result<std::unique_ptr<KernelTunnels>> create(const TunnelOptions& options,
                                                         std::vector<ServedKey> keys, Log& log);

    // By the key that the certificate names.
    Result<std::optional<WallTime>> last_handshake(const PublicKey& node) override;
    Result<std::optional<Endpoint>> endpoint(const PublicKey& node) override;
    bool contains(const PublicKey& node) const override { return current().peers.contains(node); }
    std::size_t count() const override { return current().peers.size(); }
    Status ensure(const NodeRecord& node) override;
    Status reset(const NodeRecord& node) override;
    // By every key.
    Status remove(const PublicKey& node) override;
    Status reconcile(const std::vector<NodeRecord>& nodes) override;

private:
    using States = std::vector<InterfaceState>;

    // The gateway's end of the tunnels by one of its keys.
    struct End {
        ServedKey served;
        IpAddress address;
        std::string interface{};
        unsigned ifindex = 0;  // 0: the interface is not there yet
        PeerTable peers{};
    };

    KernelTunnels(const TunnelOptions& options, OverlayLinks links, std::vector<End> ends,
                  Log& log);

    End& current() { return m_ends.front(); }
    const End& current() const { return m_ends.front(); }
    bool is_rotating() const { return m_ends.size() > 1; }
    // What there is of the interfaces, each found by its key.
    Result<States> find_interfaces();
    bool was_last_here(const End& end, const NodeRecord& node) const;
    InterfacePlan plan_of(const End& end, const AddressClaims& claims) const;
    Status apply(End& end, InterfacePlan plan, const States& states);
    Status set_routes_by_source();
    void report_refused(const AddressClaims& claims);
    void report_taken(const End& end, const AddressClaims& claims);
    void report_moves(std::size_t left_behind);
    Status read_peers();

    TunnelOptions m_options;
    OverlayLinks m_links;
    std::vector<End> m_ends;  // the current one first
    Log& m_log;
    Instant m_next_reading{};                    // of the current end's peers
    std::optional<std::size_t> m_left_behind{};  // as reported last
};

// For tests and for hosts without WireGuard: nodes are told yes and get no tunnel.
class NoTunnels final : public Tunnels {
public:
    Result<std::optional<WallTime>> last_handshake(const PublicKey&) override {
        return std::nullopt;
    }
    Result<std::optional<Endpoint>> endpoint(const PublicKey&) override { return std::nullopt; }
    bool contains(const PublicKey&) const override { return true; }
    std::size_t count() const override { return 0; }
    Status ensure(const NodeRecord&) override { return {}; }
    Status reset(const NodeRecord&) override { return {}; }
    Status remove(const PublicKey&) override { return {}; }
    Status reconcile(const std::vector<NodeRecord>&) override { return {}; }
};

}  // namespace fortros::gateway
