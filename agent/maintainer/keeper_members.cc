// What the keeper hears of members, and what it remembers of them.
#include <algorithm>
#include <utility>

#include "base/encoding.h"
#include "maintainer/boot_memory.h"
#include "maintainer/keeper.h"
#include "maintainer/member_cache.h"
#include "os/clock.h"
#include "os/files.h"

namespace fortros {

// Signatures that are checked in one turn, and the pause that others then have: about a third of the
// processor while thousands are learnt.
static constexpr std::size_t claims_per_turn = 4;
static constexpr Duration claims_pause = 20ms;
// After a lighthouse has come, gone or moved.
static constexpr std::chrono::hours relays_renewal_time{6};
// A complaint that has not come again for so long is no warning any more.
static constexpr Duration warning_time = 10min;
// Members whose attestation has ended are looked for so often.
static constexpr Duration expiry_pause = 1min;
// The port of a gateway's HTTPS where none has answered.
static constexpr std::uint16_t default_https_port = 443;

// What preboot has handed on: checked as of when it was written, for a member's links outlive its
// attestation.
Status Keeper::remember() {
    if (m_hand_off.remembered) {
        m_roster.take_remembered(m_hand_off.peers, m_hand_off.time + bootstrap_set_life);
        return {};
    }
    TRY(m_roster.take_org(m_hand_off.signers, m_hand_off.document, m_hand_off.time));
    for (const MeshPeer& peer : m_hand_off.peers)
        if (Status status = m_roster.admit({peer}, m_hand_off.time); !status)
            complain("member-refused", status.error());
    return {};
}

// What the maintainer before this one knew. Relays, and who is a peer in the kernel, count at once, or
// their tunnels would go; all others wait for their turn.
void Keeper::remember_cached() {
    const auto text =
        read_file(m_parts.directory + "/" + std::string(members_file), member_cache_limit);
    if (!text && text.error().code == ErrorCode::NotFound) return;
    auto cache =
        text ? parse_member_cache(*text) : Result<MemberCache>(std::unexpected(text.error()));
    if (!cache) return complain("cache-unreadable", cache.error());
    const WallTime then = std::min(cache->time, wall_now());
    if (Status status = m_roster.take_org(cache->signers, cache->document, then); !status)
        return complain("cache-refused", status.error());
    if (const auto own = m_roster.check_own(cache->own, then)) take_own(*own, cache->own);
    std::set<PublicKey> linked;
    for (const InterfaceState& state : m_have)
        for (const auto& peer : state.wireguard.peers) linked.insert(peer.peer.key);
    for (MemberNews& news : cache->members) {
        if (news.peer.role == Role::Node && !linked.contains(news.peer.key))
            m_roster.claim(std::move(news));
        else if (Status status = m_roster.admit(news, then); !status)
            complain("member-refused", status.error());
    }
    m_parts.log.write({.level = Level::Info,
                       .event = "members-remembered",
                       .message = std::to_string(cache->members.size()) +
                                  " members are remembered of the maintainer before",
                       .fields = {{"members", static_cast<std::int64_t>(cache->members.size())}}});
}

// So that the next boot's preboot may bring the overlay up at once. Flash wears: it is written only when
// something in it is worth it.
void Keeper::remember_for_boot(const Joined& joined, const GatewayIdentity& gateway,
                               const Endpoint& endpoint) {
    if (m_hand_off.state_store.kind == StoreKind::Ephemeral) return;
    const auto written = [&]() -> Status {
        const auto bytes = TRY(m_state_store->load());
        if (!bytes) return fail(ErrorCode::NotFound, "there is no state");
        const NodeState state = TRY(decode_state(*bytes));
        const NodeState fresh = remembered(state, {.joined = joined,
                                                   .chain_not_before = gateway.newest_not_before,
                                                   .gateway = endpoint,
                                                   .sources = m_hand_off.sources,
                                                   .now = wall_now()});
        if (fresh == state) return {};
        return m_state_store->store(encode(fresh));
    }();
    if (!written)
        complain("not-remembered",
                 Error(written.error()).in(m_state_store->place() + " is not brought up to date"));
}

MemberFeedSelf Keeper::feed_self() const {
    MemberFeedSelf self{.node = m_hand_off.node,
                        .prefix = m_hand_off.prefix,
                        .gateway_name = m_hand_off.gateway_name,
                        .hostname = m_hand_off.hostname,
                        .agent = m_parts.agent,
                        .boot_id = m_hand_off.boot_id,
                        .https_port = default_https_port,
                        .floor = m_roster.floor(),
                        .clock_floor = m_hand_off.time};
    if (self.boot_id.empty()) {
        ByteArray<16> bytes;
        m_parts.random.fill(bytes);
        self.boot_id = to_hex(bytes);
    }
    if (!m_hand_off.remembered) {
        self.gateways.push_back(m_hand_off.gateway);
        self.https_port = m_hand_off.gateway.port;
    } else if (!m_hand_off.gateways.empty()) {
        self.https_port = m_hand_off.gateways.front().port;
    }
    for (const Endpoint& endpoint : m_hand_off.gateways)
        if (!std::ranges::contains(self.gateways, endpoint)) self.gateways.push_back(endpoint);
    for (const MeshPeer& peer : m_hand_off.peers) {
        if (peer.role != Role::Gateway) continue;
        for (const Endpoint& endpoint : peer.endpoints)
            self.gateways.push_back({endpoint.address, self.https_port});
        self.gateways.push_back({peer.overlay_address, self.https_port});
    }
    if (m_roster.document()) self.document_serial = m_roster.document_serial();
    if (const auto own = parse_attestation(m_hand_off.attestation)) {
        self.attestation_serial = own->serial;
        self.renew_at = m_hand_off.time + renewal_of(own->not_after - m_hand_off.time);
    }
    return self;
}

// --- what is heard ------------------------------------------------------------------------------

void Keeper::received(const PublicKey& from, mesh::Via via, const mesh::LinkMessage& message) {
    if (message.verb == mesh::LinkVerb::Want && !m_roster.members().find(from)) meet(from, message);
    m_mesh->received(from, via, message, monotonic_now());
    soon();
}

// Somebody of whom the engine has not told yet shows who he is.
void Keeper::meet(const PublicKey& stranger, const mesh::LinkMessage& message) {
    const auto attestation = parse_attestation(message.attestation);
    if (!attestation || attestation->node != stranger) return;
    const MemberNews news{{.key = stranger,
                           .role = attestation->role,
                           .overlay_address = overlay_address(m_hand_off.prefix, stranger),
                           .attestation = message.attestation}};
    if (Status status = m_roster.admit(news, wall_now()); !status)
        return complain("member-refused", status.error());
    members_changed();
}

void Keeper::heard_org(const std::vector<Bytes>& signers, ByteView document) {
    if (Status status = m_roster.take_org(signers, document, wall_now()); !status)
        return complain("org-refused", status.error());
    m_feed->document_taken(m_roster.floor());
    if (m_roster.is_revoked()) return cast_out("the org document revokes this node");
    soon();
}

void Keeper::heard_gateways(std::vector<MeshPeer> gateways) {
    std::set<PublicKey> keys;
    for (MeshPeer& gateway : gateways) {
        keys.insert(gateway.key);
        if (Status status = m_roster.admit({std::move(gateway)}, wall_now()); !status)
            complain("member-refused", status.error());
    }
    m_roster.keep_only(Role::Gateway, keys);
    soon();
}

void Keeper::heard(std::vector<MemberNews> members) {
    for (MemberNews& news : members) {
        // An administrator has made it a lighthouse, or no lighthouse any more.
        if (news.peer.key == m_hand_off.node && news.peer.role != m_hand_off.role)
            m_feed->renew_within(0s);
        m_roster.claim(std::move(news));
    }
    check_claims();
}

void Keeper::removed(const std::vector<PublicKey>& members) {
    for (const PublicKey& key : members) m_roster.remove(key);
    soon();
}

void Keeper::starts_anew() { m_roster.begin_anew(); }

void Keeper::caught_up() {
    m_roster.end_anew();
    soon();
}

void Keeper::check_claims() {
    const std::size_t refused = m_roster.check_some(claims_per_turn, wall_now());
    if (refused > 0) complain("member-refused", {ErrorCode::Untrusted, m_roster.last_refusal()});
    if (!m_roster.has_claims()) return soon();
    m_next_claims = m_parts.loop.after(claims_pause, [this] { check_claims(); });
}

void Keeper::remove_expired() {
    const Instant now = monotonic_now();
    if (now - m_expired_removed < expiry_pause) return;
    m_expired_removed = now;
    std::set<PublicKey> linked;
    for (const InterfaceState& state : m_have)
        for (const auto& peer : state.wireguard.peers) linked.insert(peer.peer.key);
    m_roster.remove_expired(wall_now(), linked);
}

void Keeper::members_changed() {
    remove_expired();
    const std::uint64_t revision = m_roster.members().revision();
    if (revision == m_members_seen) return;
    m_members_seen = revision;
    m_must_apply = true;
    relays_changed();
    m_mesh->members_changed(m_roster.members());
}

// The next boot's bootstrap set should name them, too; not all nodes need it in the same minute.
void Keeper::relays_changed() {
    std::map<PublicKey, std::vector<Endpoint>> relays;
    for (const mesh::Member* relay : m_roster.members().relays())
        relays[relay->key] = relay->endpoints;
    if (std::exchange(m_relays, relays) != relays && !std::exchange(m_is_first_look, false))
        m_feed->renew_within(relays_renewal_time);
    if (m_serf) introduce_serf();
}

// Lighthouses, and for an organisation that has none the neighbours that follow from the keys.
void Keeper::introduce_serf() {
    std::vector<IpAddress> others;
    for (const mesh::Member* relay : m_roster.members().relays())
        if (relay->role == Role::Lighthouse) others.push_back(relay->address);
    for (const mesh::Member* neighbour : m_roster.members().fallback(m_hand_off.node))
        others.push_back(neighbour->address);
    m_serf->introduce(std::move(others));
}

void Keeper::renewed(const Joined& joined, const GatewayIdentity& gateway,
                     const Endpoint& endpoint) {
    take_own(joined.attestation, joined.answer.attestation);
    heard_org(joined.answer.signers, joined.answer.document);
    for (const MeshPeer& peer : joined.answer.peers)
        if (Status status = m_roster.admit({peer}, wall_now()); !status)
            complain("member-refused", status.error());
    m_parts.log.write({.level = Level::Info,
                       .event = "renewed",
                       .message = "this node's membership is renewed until " +
                                  to_rfc3339(joined.attestation.not_after) + ", by " +
                                  endpoint.text()});
    remember_for_boot(joined, gateway, endpoint);
    soon();
}

// The role is what the org says now. Another one takes effect at once: the mesh begins anew with what the
// kernel has.
void Keeper::take_own(const Attestation& own, const Bytes& bytes) {
    m_hand_off.attestation = bytes;
    if (m_serf) m_serf->announce(bytes);
    const bool is_other_role = own.role != m_hand_off.role;
    m_hand_off.role = own.role;
    if (!m_mesh) return;
    if (!is_other_role) return m_mesh->attested(bytes);
    m_parts.log.write({.level = Level::Notice,
                       .event = "role-changed",
                       .message = "this node is a " + std::string(name_of(own.role)) + " now"});
    begin_mesh();
    m_links_changed = true;
}

// Deletes nothing: one gateway that errs must not be able to end a fleet.
Status Keeper::remember_revocation() {
    if (m_hand_off.state_store.kind == StoreKind::Ephemeral) return {};
    const auto bytes = TRY(m_state_store->load());
    if (!bytes) return {};
    NodeState state = TRY(decode_state(*bytes));
    if (state.node != m_hand_off.node || state.revoked) return {};
    state.revoked = true;
    return m_state_store->store(encode(state));
}

void Keeper::cast_out(const std::string& why) {
    m_parts.log.write({.level = Level::Error,
                       .event = "cast-out",
                       .message = "the organisation has revoked this node: " + why});
    if (Status status = remember_revocation(); !status) complain("not-remembered", status.error());
    m_parts.cast_out();
}

std::vector<std::string> Keeper::warnings() const {
    std::vector<std::string> warnings;
    for (const auto& [event, complaint] : m_complaints)
        if (monotonic_now() - complaint.at < warning_time) warnings.push_back(complaint.words);
    for (const std::string& place : m_path_filters)
        warnings.push_back(
            "strict reverse-path filtering in " + place +
            " drops answers that come another way: exempt the interfaces fortros* (firewalld: "
            "IPv6_rpfilter=loose)");
    return warnings;
}

void Keeper::save() {
    m_saved = monotonic_now();
    const std::uint64_t revision = m_roster.members().revision();
    if (revision == m_saved_revision || !m_roster.document()) return;
    m_saved_revision = revision;
    write("members-not-saved", members_file,
          to_text({.time = wall_now(),
                   .signers = m_roster.signer_certificates(),
                   .document = m_roster.document_bytes(),
                   .own = m_hand_off.attestation,
                   .members = news_of(m_roster.members())}));
}

}  // namespace fortros
