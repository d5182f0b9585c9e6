#include "maintainer/member_feed.h"

#include <algorithm>
#include <set>

#include "os/clock.h"

namespace fortros {

// To be connected and authenticated, and for an answer that does not wait.
static constexpr Duration connect_timeout = 10s;
static constexpr Duration answer_timeout = 30s;
// Half of the nodes' polls end in this time before the others', so that they never come together.
static constexpr std::chrono::seconds wait_spread{60};
// Whatever a gateway answers, it is not asked more often than that, but for pages that follow.
static constexpr Duration poll_pause = 1s;
// A renewal that a gateway has not granted is not asked for again before.
static constexpr Duration renewal_pause = 10min;

MemberFeed::MemberFeed(MemberFeedParts parts, MemberFeedSelf self)
    : m_parts(parts), m_self(std::move(self)), m_rota(parts.random) {
    m_rota.learn(m_self.gateways);
    m_position.document = m_self.document_serial;
}

MemberFeed::~MemberFeed() = default;

Result<std::unique_ptr<MemberFeed>> MemberFeed::create(MemberFeedParts parts, MemberFeedSelf self) {
    std::unique_ptr<MemberFeed> feed(new MemberFeed(parts, std::move(self)));
    feed->m_connector = TRY(TlsConnector::create(parts.loop, parts.anchors));
    return feed;
}

MembershipStatus MemberFeed::status() const {
    return {.engine = "gateway",
            .heard = m_heard,
            .source = m_source,
            .problem = m_problem,
            .revision = m_position.revision};
}

void MemberFeed::renew_within(std::chrono::seconds time) {
    const std::chrono::seconds wait{
        m_parts.random.below(static_cast<std::uint64_t>(time.count()) + 1)};
    m_self.renew_at = std::min(m_self.renew_at, wall_now() + wait);
}

void MemberFeed::moved() {
    const Instant now = monotonic_now();
    m_rota.start_over(now);
    // A poll that waits by a path that is gone would wait to its end.
    if (m_conversation) give_up({ErrorCode::Cancelled, "the underlay has changed"}, poll_pause);
    schedule();
}

// --- asking -------------------------------------------------------------------------------------

void MemberFeed::start() { schedule(); }

bool MemberFeed::is_renewal_due() const {
    return wall_now() >= m_self.renew_at && monotonic_now() >= m_renew_not_before;
}

void MemberFeed::schedule() {
    if (m_conversation) return;
    const Instant now = monotonic_now();
    const auto turn = m_rota.next(now);
    if (!turn) {
        m_problem = "no gateway's address is known";
        return;
    }
    Instant at = turn->at;
    if (!m_catching_up) at = std::max(at, m_last_poll + poll_pause);
    m_next = m_parts.loop.at(at, [this, endpoint = turn->endpoint] { ask(endpoint); });
}

void MemberFeed::ask(const Endpoint& endpoint) {
    const Instant now = monotonic_now();
    m_last_poll = now;
    m_conversation.emplace(Conversation{.endpoint = endpoint, .began = now});
    m_deadline = m_parts.loop.after(connect_timeout, [this] {
        give_up({ErrorCode::Timeout, "no answer"});
        schedule();
    });
    m_conversation->connection = m_connector->connect(
        {.endpoint = endpoint, .gateway_name = m_self.gateway_name, .now = wall_now()}, *this);
}

Result<PendingRequest> MemberFeed::make_renewal() {
    return make_request(m_parts.key, m_self.node, *m_conversation->gateway, m_self.gateway_name,
                        {.hostname = m_self.hostname,
                         .boot_id = m_self.boot_id,
                         .agent = m_self.agent,
                         .has_session = true},
                        {}, m_parts.random);
}

void MemberFeed::authenticated(GatewayIdentity identity) {
    m_conversation->gateway = std::move(identity);
    m_conversation->renews = is_renewal_due();
    const std::chrono::seconds wait =
        m_catching_up || m_position.revision == 0
            ? std::chrono::seconds{0}
            : feed_wait_limit - std::chrono::seconds{m_parts.random.below(
                                    static_cast<std::uint64_t>(wait_spread.count()))};
    auto pending = m_conversation->renews
                       ? make_renewal()
                       : make_feed_request(m_parts.key, m_self.node, *m_conversation->gateway,
                                           m_self.gateway_name, m_position, wait, m_self.boot_id);
    if (!pending) {
        give_up(std::move(pending).error());
        return schedule();
    }
    m_conversation->pending = std::move(*pending);
    const Duration limit = answer_timeout + (m_conversation->renews ? Duration{} : Duration{wait});
    m_deadline = m_parts.loop.after(limit, [this] {
        give_up({ErrorCode::Timeout, "the gateway does not answer"});
        schedule();
    });
    m_conversation->connection->send(serialize(m_conversation->pending->request));
}

void MemberFeed::hang_up() {
    m_deadline = {};
    m_conversation.reset();
}

void MemberFeed::give_up(Error error, std::optional<Duration> retry_after) {
    if (!m_conversation) return;
    const Endpoint endpoint = m_conversation->endpoint;
    hang_up();
    m_rota.failed(endpoint, retry_after, monotonic_now());
    m_problem = endpoint.text() + ": " + error.text();
    // Every gateway may be dead for days: that is said once, and when it is over.
    const bool is_news = m_heard && !m_complained;
    m_parts.log.write({.level = is_news ? Level::Warning : Level::Debug,
                       .event = "membership-unheard",
                       .message = "members stay as they are known: " + m_problem});
    m_complained = true;
}

void MemberFeed::failed(Error error) {
    // Long polls die with the gateway's restart, or with whatever on the way has forgotten them.
    give_up(std::move(error));
    schedule();
}

// --- answers ------------------------------------------------------------------------------------

void MemberFeed::answered(HttpAnswer answer) {
    Status taken = m_conversation->renews ? take_renewal(answer) : take_page(answer);
    if (!m_conversation) return;  // given up by whoever was told
    if (taken) {
        m_rota.answered(m_conversation->endpoint);
        heard_from();
        hang_up();
    } else {
        const auto patience = m_conversation->patience;
        give_up(std::move(taken).error(), patience);
    }
    schedule();
}

void MemberFeed::heard_from() {
    const bool was_lost = m_complained;
    m_heard = monotonic_now();
    m_source = m_conversation->endpoint.text();
    m_problem.clear();
    m_complained = false;
    if (was_lost)
        m_parts.log.write({.level = Level::Notice,
                           .event = "membership-heard",
                           .message = "members are heard of again, from " + m_source});
}

Status MemberFeed::refuse(const Rejected& rejected) {
    const Refusal& refusal = rejected.refusal;
    if (refusal.code == RefusalCode::Revoked || refusal.code == RefusalCode::Retired)
        m_parts.listener.cast_out(refusal.message);
    // Another gateway may know better: this one may have been restored from an old backup.
    return fail(ErrorCode::Refused, std::string(name_of(refusal.code)) + ": " + refusal.message);
}

static Result<Duration> patience_of(const NotYet& answer) {
    return Duration{std::chrono::seconds{answer.retry_after_seconds.value_or(10)}};
}

Status MemberFeed::take_renewal(const HttpAnswer& answer) {
    m_renew_not_before = monotonic_now() + renewal_pause;
    const GatewayIdentity& gateway = *m_conversation->gateway;
    const WallTime now = wall_now();
    const JudgeContext context{.node = m_self.node,
                               .gateway = gateway.wireguard_key,
                               .pinned_prefix = m_self.prefix,
                               .prefix = m_self.prefix,
                               .document_serial = m_self.floor.serial,
                               .signers_since = m_self.floor.signers_since,
                               .attestation_serial = m_self.attestation_serial,
                               .chain_not_before = gateway.newest_not_before,
                               .chain_not_after = gateway.earliest_not_after,
                               .clock_floor = m_self.clock_floor};
    const auto verdict =
        TRY(judge_answer(answer, *m_conversation->pending, context, m_parts.anchors));
    if (const auto* rejected = std::get_if<Rejected>(&verdict)) return refuse(*rejected);
    if (const auto* later = std::get_if<NotYet>(&verdict)) {
        m_conversation->patience = TRY(patience_of(*later));
        return fail(ErrorCode::Busy, later->refusal.message);
    }
    const auto& joined = std::get<Joined>(verdict);
    m_self.attestation_serial = joined.attestation.serial;
    m_self.renew_at = now + renewal_of(joined.attestation.not_after - now);
    m_parts.listener.renewed(joined, gateway, m_conversation->endpoint);
    return {};
}

Status MemberFeed::take_page(const HttpAnswer& answer) {
    auto verdict = TRY(judge_feed_answer(answer, *m_conversation->pending, m_position));
    if (const auto* rejected = std::get_if<Rejected>(&verdict)) return refuse(*rejected);
    if (const auto* later = std::get_if<NotYet>(&verdict)) {
        m_conversation->patience = TRY(patience_of(*later));
        return fail(ErrorCode::Busy, later->refusal.message);
    }
    if (auto* page = std::get_if<FeedPage>(&verdict)) {
        take(std::move(*page));
    } else if (m_catching_up) {
        m_catching_up = false;
        m_parts.listener.caught_up();
    }
    return {};
}

// At the addresses of their WireGuard their HTTPS is likely to be, too; and inside the overlay, where
// it is reached as long as the tunnel to it works.
static std::vector<Endpoint> https_of(const std::vector<MeshPeer>& gateways, std::uint16_t port) {
    std::vector<Endpoint> endpoints;
    for (const MeshPeer& gateway : gateways)
        for (const Endpoint& endpoint : gateway.endpoints)
            endpoints.push_back({endpoint.address, port});
    for (const MeshPeer& gateway : gateways) endpoints.push_back({gateway.overlay_address, port});
    return endpoints;
}

void MemberFeed::take(FeedPage page) {
    MembershipListener& listener = m_parts.listener;
    if (page.reset || (m_position.revision == 0 && !m_catching_up)) listener.starts_anew();
    m_catching_up = page.more;
    m_position.revision = page.revision;
    // What this gateway has, be it older than ours: or it would say the same again at once.
    if (const auto document = parse_org_document(page.document))
        m_position.document = document->serial;
    if (!page.signers.empty()) listener.heard_org(page.signers, page.document);
    if (!page.gateways.empty()) {
        m_rota.learn(https_of(page.gateways, m_self.https_port));
        listener.heard_gateways(std::move(page.gateways));
    }
    if (!page.members.empty()) listener.heard(std::move(page.members));
    if (!page.removed.empty()) listener.removed(page.removed);
    if (!page.more) listener.caught_up();
}

}  // namespace fortros
