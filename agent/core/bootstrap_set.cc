#include "core/bootstrap_set.h"

#include <algorithm>

namespace fortros {

static constexpr std::string_view magic = "fortros/bootstrap/v1";
static constexpr std::size_t fixed_size = magic.size() + 6 + key_size + 1 + 8 + 8 + 8 + 8 + 8 + 1;
static constexpr std::size_t endpoint_size_limit = 1 + 16 + 2;
static constexpr std::size_t peer_size_limit =
    key_size + 1 + 2 + 1 + bootstrap_endpoints_limit * endpoint_size_limit;
static constexpr std::size_t signature_size = sizeof(crypto::Signature);
static_assert(fixed_size + bootstrap_peers_limit * peer_size_limit + signature_size <=
              bootstrap_set_limit);

// 9999-12-31T23:59:59Z, as in attestations.
static constexpr std::uint64_t latest_time = 253402300799;
// A set whose life was cut short by its signer's end is not written again for less than this.
static constexpr std::chrono::days smallest_gain{1};

static bool may_be_in_set(Role role) { return role == Role::Gateway || role == Role::Lighthouse; }

// Whoever has one family only must be left an endpoint, if there was one.
static void cut(std::vector<Endpoint>& endpoints) {
    if (endpoints.size() <= bootstrap_endpoints_limit) return;
    const auto first_left_out = endpoints.begin() + bootstrap_endpoints_limit;
    const auto is_like_first = [family = endpoints.front().address.family()](const Endpoint& it) {
        return it.address.family() == family;
    };
    const auto other = std::ranges::find_if_not(endpoints, is_like_first);
    if (other != endpoints.end() && other >= first_left_out) *(first_left_out - 1) = *other;
    endpoints.resize(bootstrap_endpoints_limit);
}

std::vector<MeshPeer> bootstrap_peers_of(const std::vector<MeshPeer>& peers) {
    std::vector<MeshPeer> chosen;
    for (const auto& peer : peers) {
        if (!may_be_in_set(peer.role) || peer.endpoints.empty()) continue;
        if (chosen.size() == bootstrap_peers_limit) break;
        chosen.push_back(peer);
        chosen.back().attestation.clear();
        cut(chosen.back().endpoints);
    }
    return chosen;
}

Bytes bootstrap_bytes_to_sign(const BootstrapSet& set) {
    ASSERT(set.peers.size() <= bootstrap_peers_limit);
    ByteWriter out;
    out.text(magic)
        .bytes(set.prefix.bytes)
        .bytes(set.node.bytes)
        .u8(static_cast<std::uint8_t>(set.role))
        .u64(set.serial)
        .u64(static_cast<std::uint64_t>(set.not_after.time_since_epoch().count()))
        .u64(set.policy_serial)
        .u64(set.revocation_number)
        .bytes(set.signer)
        .u8(static_cast<std::uint8_t>(set.peers.size()));
    for (const auto& peer : set.peers) {
        ASSERT(peer.endpoints.size() <= bootstrap_endpoints_limit);
        out.bytes(peer.key.bytes)
            .u8(static_cast<std::uint8_t>(peer.role))
            .u16(peer.keepalive_seconds)
            .u8(static_cast<std::uint8_t>(peer.endpoints.size()));
        for (const auto& endpoint : peer.endpoints)
            out.u8(static_cast<std::uint8_t>(endpoint.address.family()))
                .bytes(endpoint.address.bytes())
                .u16(endpoint.port);
    }
    return out.take();
}

// --- parsing ---

static std::unexpected<Error> malformed(std::string_view how) {
    return fail(ErrorCode::InvalidData, std::string("bootstrap set ").append(how));
}

static std::optional<Role> role_of(std::uint8_t byte) {
    if (byte < static_cast<std::uint8_t>(Role::Node) ||
        byte > static_cast<std::uint8_t>(Role::Gateway))
        return std::nullopt;
    return static_cast<Role>(byte);
}

static std::optional<Endpoint> read_endpoint(ByteReader& in) {
    const std::uint8_t family = in.u8();
    if (family != 4 && family != 6) return std::nullopt;
    const auto address = IpAddress::from_bytes(in.take(family == 4 ? 4 : 16));
    const std::uint16_t port = in.u16();
    if (!address || port == 0) return std::nullopt;
    return Endpoint{*address, port};
}

static Result<MeshPeer> read_peer(ByteReader& in, const OrgPrefix& prefix) {
    const auto key = PublicKey::from_bytes(in.take(key_size));
    const auto role = role_of(in.u8());
    const std::uint16_t keepalive = in.u16();
    const std::size_t endpoints = in.u8();
    if (!in.ok()) return malformed("is cut off");
    if (!key || !role || !may_be_in_set(*role))
        return malformed("names a peer that is no gateway and no lighthouse");
    if (endpoints == 0 || endpoints > bootstrap_endpoints_limit)
        return malformed("names a peer with no endpoint or too many");
    MeshPeer peer{.key = *key,
                  .role = *role,
                  .overlay_address = overlay_address(prefix, *key),
                  .keepalive_seconds = keepalive};
    for (std::size_t i = 0; i < endpoints; ++i) {
        const auto endpoint = read_endpoint(in);
        if (!in.ok()) return malformed("is cut off");
        if (!endpoint) return malformed("holds an endpoint that is none");
        peer.endpoints.push_back(*endpoint);
    }
    return peer;
}

Result<BootstrapSet> parse_bootstrap_set(ByteView bytes) {
    if (bytes.size() > bootstrap_set_limit) return malformed("is too large");
    if (!as_text(bytes).starts_with(magic)) return malformed("has an unknown format");
    if (bytes.size() < fixed_size + signature_size) return malformed("is cut off");
    ByteReader in(bytes.subspan(magic.size(), bytes.size() - magic.size() - signature_size));
    const auto prefix = OrgPrefix::from_bytes(in.take(6));
    const auto node = PublicKey::from_bytes(in.take(key_size));
    const auto role = role_of(in.u8());
    const std::uint64_t serial = in.u64();
    const std::uint64_t not_after = in.u64();
    if (!prefix || !node || !role || not_after > latest_time)
        return malformed("has a field that cannot be");
    BootstrapSet set{.prefix = *prefix,
                     .node = *node,
                     .role = *role,
                     .serial = serial,
                     .not_after = WallTime{std::chrono::seconds{not_after}}};
    set.policy_serial = in.u64();
    set.revocation_number = in.u64();
    set.signer = in.array<8>();
    const std::size_t peers = in.u8();
    if (peers == 0 || peers > bootstrap_peers_limit) return malformed("names no peer or too many");
    for (std::size_t i = 0; i < peers; ++i) set.peers.push_back(TRY(read_peer(in, *prefix)));
    if (in.left() > 0) return malformed("has bytes after its last peer");
    return set;
}

// --- checking ---

static Status check_peers(const BootstrapSet& set) {
    for (auto peer = set.peers.begin(); peer != set.peers.end(); ++peer) {
        if (peer->key == set.node)
            return fail(ErrorCode::Untrusted, "bootstrap set names this node as its own peer");
        if (std::ranges::contains(set.peers.begin(), peer, peer->key, &MeshPeer::key))
            return fail(ErrorCode::Untrusted, "bootstrap set names a peer twice",
                        peer->overlay_address.text());
        for (const auto& endpoint : peer->endpoints) TRY(check_endpoint(endpoint, set.prefix));
    }
    return {};
}

Result<BootstrapSet> check_bootstrap_set(ByteView bytes, const std::vector<Signer>& signers,
                                         const OrgPrefix& prefix, const PublicKey& node,
                                         WallTime now) {
    auto set = TRY(parse_bootstrap_set(bytes));
    TRY(check_signature("bootstrap set", bytes, set.signer, signers, now));
    if (set.prefix != prefix)
        return fail(ErrorCode::Untrusted, "bootstrap set is for another organisation's prefix");
    if (set.node != node) return fail(ErrorCode::Untrusted, "bootstrap set is for another node");
    if (now > set.not_after)
        return fail(ErrorCode::Untrusted, "bootstrap set expired at " + to_rfc3339(set.not_after));
    if (set.not_after > now + bootstrap_set_life + bootstrap_clock_slack)
        return fail(ErrorCode::Untrusted,
                    "bootstrap set lives longer than one may, until " + to_rfc3339(set.not_after));
    TRY(check_peers(set));
    return set;
}

// --- replacing ---

// What the set says, without what only its age and its gateway's turn make different.
static BootstrapSet content_of(BootstrapSet set) {
    set.serial = 0;
    set.not_after = {};
    std::ranges::sort(set.peers, {}, &MeshPeer::key);
    return set;
}

bool should_replace(const std::optional<BootstrapSet>& stored, const BootstrapSet& fresh,
                    WallTime now) {
    if (!stored || content_of(*stored) != content_of(fresh)) return true;
    return stored->not_after - now < bootstrap_set_life / 2 &&
           fresh.not_after - stored->not_after >= smallest_gain;
}

}  // namespace fortros
