// Operational at once: a node that has been in the overlay before needs no ceremony to be in it again.
// As soon as a link works its interfaces come up from the signed set that it remembers
// (core/bootstrap_set.h), while the gateway is looked for as always; the join's answer then corrects
// them by difference. If the budget ends without an answer, and some peer has answered a handshake,
// the overlay is handed on as it is.
#include <algorithm>

#include "core/bootstrap_set.h"
#include "preboot/boot.h"

namespace fortros {

static std::unexpected<Error> no_trust(std::string why) {
    return fail(ErrorCode::Untrusted, std::move(why));
}

// Pinned, or what an authenticated gateway has said.
std::optional<OrgPrefix> Boot::known_prefix() const {
    if (m_in.settings.prefix || !m_in.state) return m_in.settings.prefix;
    return m_in.state->prefix;
}

// The set that this node may believe now. The state is in flash and anybody's: all that it says of
// the set is checked by what the image has.
Result<BootstrapSet> Boot::check_remembered_set() const {
    const NodeState& state = *m_in.state;
    if (!m_clock_trusted) return no_trust("the clock is not trusted");
    const auto prefix = known_prefix();
    if (!prefix) return no_trust("the overlay's prefix is not known");
    const Signer signer = TRY(m_verifier.verify(state.bootstrap_signer, m_now.wall));
    if (signer.not_before < state.signers_since)
        return no_trust("the organisation has disowned its signer");
    auto set =
        TRY(check_bootstrap_set(state.bootstrap_set, {signer}, *prefix, *m_public_key, m_now.wall));
    if (set.serial < state.bootstrap_serial) return no_trust("a newer one was seen before");
    if (set.policy_serial < state.document_serial)
        return no_trust("the organisation's policy has changed since");
    return set;
}

// Silent where there is nothing to start from; a set that is there and may not be used is told of.
void Boot::fast_start() {
    if (!m_in.settings.fast_start || !m_in.key || m_policy_lost || !m_in.state ||
        !m_in.state->enrolled || m_in.state->revoked || m_in.state->bootstrap_set.empty() ||
        !m_sources.has(Source::Cached))
        return;
    auto set = check_remembered_set();
    if (!set)
        return warn("no-fast-start",
                    "the remembered bootstrap set is not used: " + set.error().text());
    const IpAddress address = overlay_address(set->prefix, *m_public_key);
    m_fast_start = FastStart{.set = std::move(*set), .address = address};
    if (const auto& link = m_links.front(); !link.addresses.empty())
        m_fast_start->way = tunnel_way(link, link.addresses.front().address);
    apply_fast_start();
}

void Boot::apply_fast_start() {
    OverlayOptions options{.listen_port = m_in.settings.listen_port, .mtu = m_in.settings.mtu};
    if (m_fast_start->way) options.reached = m_fast_start->way->own;
    auto plan = make_overlay_plan(m_fast_start->set.prefix, m_fast_start->address,
                                  m_fast_start->set.peers, options);
    emit(ApplyOverlay{.plan = std::move(plan), .key = m_in.key->duplicate(), .remembered = true});
}

// --- where the tunnel leads -----------------------------------------------------------------------

bool Boot::is_unanswered() const {
    return m_fast_start && m_fast_start->applied && m_fast_start->answered.empty();
}

Boot::TunnelWay Boot::tunnel_way(const UplinkHandOff& link, const IpAddress& own) const {
    return {.ifindex = m_in.settings.link_mode == LinkMode::Adopt ? 0 : link.ifindex, .own = own};
}

static bool has_endpoint(const std::vector<MeshPeer>& peers, Family family) {
    return std::ranges::any_of(peers, [&](const MeshPeer& peer) {
        return std::ranges::any_of(
            peer.endpoints, [&](const Endpoint& it) { return it.address.family() == family; });
    });
}

// Each family by each link; where the routes are not ours, each family.
std::vector<Boot::TunnelWay> Boot::tunnel_ways() const {
    std::vector<TunnelWay> ways;
    for (const Family family : {Family::IPv4, Family::IPv6}) {
        if (!has_endpoint(m_fast_start->set.peers, family)) continue;
        for (const auto& link : m_links)
            for (const IpNetwork& network : link.addresses) {
                const TunnelWay way = tunnel_way(link, network.address);
                const auto is_alike = [&](const TunnelWay& other) { return way.is_like(other); };
                if (way.own.family() == family && std::ranges::none_of(ways, is_alike))
                    ways.push_back(way);
            }
    }
    return ways;
}

// The first link's family may lead nowhere. While attempts are under way the routes stay as they are.
void Boot::fast_start_by_other_family() {
    if (!is_unanswered()) return;
    const auto& now = m_fast_start->way;
    for (const TunnelWay& way : tunnel_ways())
        if (!now || way.own.family() != now->own.family()) {
            m_fast_start->way = way;
            return apply_fast_start();
        }
}

// So may the link itself, and no gateway's HTTPS be there to show another. As long as nobody has
// answered, links and families take turns with each round.
void Boot::fast_start_by_next_way() {
    if (!is_unanswered()) return;
    const auto ways = tunnel_ways();
    if (ways.size() < 2) return;
    auto next = std::ranges::find_if(ways, [&](const TunnelWay& way) {
        return m_fast_start->way && way.is_like(*m_fast_start->way);
    });
    if (next != ways.end()) ++next;
    if (next == ways.end()) next = ways.begin();
    m_fast_start->way = *next;
    const auto link = std::ranges::find(m_links, next->ifindex, &UplinkHandOff::ifindex);
    if (m_links.size() > 1 && link != m_links.end()) {
        emit(Report{{.level = Level::Info,
                     .event = "fast-start-elsewhere",
                     .message = "no peer has answered yet; now by " + link->name,
                     .fields = {{"interface", link->name}}}});
        emit(PreferLink{link->ifindex});
    }
    apply_fast_start();
}

void Boot::fast_start_applied(Result<std::vector<InterfaceHandOff>> interfaces) {
    if (!interfaces) {
        warn("no-fast-start", interfaces.error().text());
        m_fast_start.reset();
        return emit(TakeDownOverlay{});
    }
    m_fast_start->interfaces = std::move(*interfaces);
    m_fast_start->applied = true;
    emit(Report{{.level = Level::Notice,
                 .event = "fast-start",
                 .message = "the overlay is up as " + m_fast_start->address.text() +
                            " from what is remembered; looking for a gateway",
                 .fields = {{"overlay_address", m_fast_start->address.text()},
                            {"peers", static_cast<std::int64_t>(m_fast_start->set.peers.size())},
                            {"ms", milliseconds_of(m_now.instant - m_started)}}}});
    for (const auto& interface : m_fast_start->interfaces)
        for (const auto& peer : interface.plan.peers)
            emit(AwaitHandshake{interface.plan.name, peer.key,
                                overlay_address(m_fast_start->set.prefix, peer.key)});
}

void Boot::fast_start_answered(const PublicKey& peer) {
    auto& answered = m_fast_start->answered;
    if (std::ranges::contains(answered, peer)) return;
    answered.push_back(peer);
    if (answered.size() > 1) return;
    emit(Report{
        {.level = Level::Notice,
         .event = "fast-start-handshake",
         .message = "the tunnel works, " + to_text(m_now.instant - m_started) + " after the start",
         .fields = {{"peer", peer.base64()}, {"ms", milliseconds_of(m_now.instant - m_started)}}}});
}

bool Boot::has_session_with(const PublicKey& gateway) const {
    return m_fast_start && std::ranges::contains(m_fast_start->answered, gateway);
}

// The budget is over and no gateway has answered, but the tunnel works: what is up stays up.
void Boot::hand_off_remembered() {
    m_handshake_answered = true;
    m_interfaces = m_fast_start->interfaces;
    warn("not-joined",
         "no gateway has confirmed the overlay, which is the remembered one: " + m_cause_text);
    m_phase = Phase::HandingOff;
    m_phase_deadline.reset();
    emit(WriteHandOff{make_hand_off()});
}

void Boot::add_remembered(HandOff& hand_off) const {
    const BootstrapSet& set = m_fast_start->set;
    hand_off.role = set.role;
    hand_off.hostname = m_in.settings.hostname;
    hand_off.attestation = m_in.state->attestation;
    hand_off.prefix = set.prefix;
    hand_off.domain = m_in.settings.domain;
    hand_off.signers = {m_in.state->bootstrap_signer};
    hand_off.remembered = true;
    hand_off.peers = set.peers;
}

// Rewritten only when it says something else or has grown old: flash wears.
void Boot::remember_set(NodeState& state) {
    if (!m_joined->bootstrap) return;
    std::optional<BootstrapSet> stored;
    if (m_in.state && !m_in.state->bootstrap_set.empty())
        if (auto set = check_remembered_set()) stored = std::move(*set);
    const BootstrapSet& fresh = *m_joined->bootstrap;
    if (!should_replace(stored, fresh, m_now.wall) || fresh.serial < state.bootstrap_serial) return;
    // There is no room for it: every boot would write, and none start fast.
    if (const std::size_t size = m_joined->bootstrap_signer.size(); size > bootstrap_signer_limit)
        return warn("no-bootstrap-set",
                    "the next boot has no fast start: the certificate of the set's signer has " +
                        std::to_string(size) + " bytes, and there is room for " +
                        std::to_string(bootstrap_signer_limit));
    state.bootstrap_set = m_joined->answer.bootstrap;
    state.bootstrap_signer = m_joined->bootstrap_signer;
    state.bootstrap_serial = fresh.serial;
}

}  // namespace fortros
