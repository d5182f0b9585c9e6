// Twins of the gateway's edges for tests: tunnels without a kernel, a signer with a fresh key, a log
// that remembers, and a node that speaks the protocol. No socket, no clock.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/random.h"
#include "core/messages.h"
#include "core/proof.h"
#include "gateway/exchange.h"
#include "gateway/signer.h"
#include "gateway/tunnels.h"

namespace fortros::gateway {

// Requests hold secrets, which are copied where one really means it.
Request copy_of(const Request& request);

struct FakeTunnels final : Tunnels {
    struct Peer {
        std::optional<WallTime> last_handshake{};
        IpAddress address;
    };
    std::map<PublicKey, Peer> peers{};
    std::optional<Error> fault{};
    unsigned resets = 0;
    unsigned readings = 0;  // each may cost as much as there are members

    Result<std::optional<WallTime>> last_handshake(const PublicKey& node) override {
        ++readings;
        const auto found = peers.find(node);
        return found == peers.end() ? std::nullopt : found->second.last_handshake;
    }
    Result<std::optional<Endpoint>> endpoint(const PublicKey&) override { return std::nullopt; }
    bool contains(const PublicKey& node) const override { return peers.contains(node); }
    std::size_t count() const override { return peers.size(); }
    Status ensure(const NodeRecord& node) override {
        if (fault) return std::unexpected(*fault);
        peers.try_emplace(node.key, std::nullopt, node.overlay_address);
        return {};
    }
    Status reset(const NodeRecord& node) override {
        if (fault) return std::unexpected(*fault);
        ++resets;
        peers[node.key] = {std::nullopt, node.overlay_address};
        return {};
    }
    Status remove(const PublicKey& node) override {
        if (fault) return std::unexpected(*fault);
        peers.erase(node);
        return {};
    }
    Status reconcile(const std::vector<NodeRecord>&) override { return {}; }
};

struct MemoryLog final : Log {
    std::vector<LogEntry> entries{};
    void write(const LogEntry& entry) override { entries.push_back(entry); }

    unsigned count(std::string_view event) const;
    // Everything that was said, in one text.
    std::string text() const;
};

// A fresh P-256 key and a self-signed certificate for it.
std::unique_ptr<AttestationSigner> make_fake_signer(WallTime not_before, WallTime not_after);

// A node as the protocol sees it.
struct FakeNode {
    explicit FakeNode(std::uint64_t seed);

    PrivateKey key;
    PublicKey public_key;
    Exporter exporter{};   // of its connection
    ProofKey proof_key{};  // of its newest request
    Proof proof{};
    std::string boot_id = "0123456789abcdef0123456789abcdef";

    // A proved request; `body` is what is sent.
    Request ask(const PublicKey& gateway, std::string_view target, std::string_view body);
    Request enroll(const PublicKey& gateway, std::string_view invite);
    Request join(const PublicKey& gateway, bool clock_stepped_back = false);

    // Whether the answer to the newest request is proved.
    bool is_proved(const Answer& answer) const;
};

const std::string* header_of(const Answer& answer, std::string_view name);

}  // namespace fortros::gateway
