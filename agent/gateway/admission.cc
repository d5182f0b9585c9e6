#include "gateway/admission.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/text.h"
#include "core/sealed_invite.h"

namespace fortros::gateway {

static constexpr std::uint32_t refusals_noted_per_minute = 60;
static constexpr std::uint32_t failures_noted_per_minute = 20;
// How often a waiting node asks again: 15 to 30 s.
static constexpr std::chrono::seconds approval_poll{15};
// When the list of the waiting is full, an admin has work to do, which takes a while.
static constexpr std::chrono::seconds full_list_pause{60};
static constexpr std::chrono::hours shared_key_report_interval{1};

static std::string_view explanation_of(RefusalCode code) {
    switch (code) {
        case RefusalCode::InviteInvalid: return "the invite is unknown, expired, revoked or spent";
        case RefusalCode::UnknownNode: return "this key is not enrolled";
        case RefusalCode::ApprovalRefused: return "an administrator has refused this node";
        case RefusalCode::Revoked: return "this node has been revoked";
        case RefusalCode::Retired: return "this node has been retired";
        case RefusalCode::Busy: return "too many nodes wait for approval";
        case RefusalCode::AddressTaken:
            return "the overlay address that follows from this key is taken: make another key";
        default: return "";
    }
}

// --- construction ---

Admission::Admission(GatewaySelf self, Parts parts)
    : m_self(std::move(self)),
      m_address(overlay_address(m_self.prefix, m_self.public_key)),
      m_parts(parts),
      m_issuer(m_self, {parts.registry, parts.signer, parts.log}),
      m_backbone(m_self.public_key, {parts.registry, m_issuer, parts.vouch, parts.log}),
      m_refusals(refusals_noted_per_minute),
      m_failures(failures_noted_per_minute) {}

// --- one request ---

bool Admission::may_write(const Proved& proved, WallTime now) {
    if (proved.request.target == enroll_target) return true;
    const auto node = m_parts.registry.find_node(proved.node);
    return node && *node && m_issuer.is_due(**node, now);
}

Answer Admission::handle(const Proved& proved, WallTime now) {
    const Request& request = proved.request;
    auto body = parse_node_request(as_text(request.body.view()));
    if (!body) return make_refusal(RefusalCode::BadRequest, body.error().text());
    const bool enrolling = request.target == enroll_target;
    if (enrolling == body->sealed_invite.empty())
        return make_refusal(RefusalCode::BadRequest,
                            enrolling ? "an enrolment needs an invite" : "a join takes no invite");
    SecretBytes invite;
    if (enrolling) {
        auto opened = open_invite(proved.key, body->sealed_invite);
        if (!opened) return make_refusal(RefusalCode::BadRequest, opened.error().text());
        invite = std::move(*opened);
    }
    auto decision = decide(*body, invite, proved, now);
    if (!decision) return put_off(request, decision.error(), {}, now);
    if (auto* code = std::get_if<RefusalCode>(&*decision)) return refuse(*code, proved, now);
    if (auto* waiting = std::get_if<Waiting>(&*decision)) return ask_to_wait(*waiting, request);
    auto welcomed = welcome(std::get<Member>(*decision), *body, request, now);
    if (!welcomed) return put_off(request, welcomed.error(), {}, now);
    return std::move(*welcomed);
}

Result<Decision> Admission::decide(const NodeRequest& body, const SecretBytes& invite,
                                   const Proved& proved, WallTime now) {
    if (proved.request.target == join_target) {
        auto node = TRY(m_parts.registry.find_node(proved.node));
        if (!node) return RefusalCode::UnknownNode;
        if (node->revoked) return RefusalCode::Revoked;
        if (node->retired) return RefusalCode::Retired;
        return Member{std::move(*node), false};
    }
    const auto address = overlay_address(m_self.prefix, proved.node);
    if (is_reserved(address) || address == m_address) return RefusalCode::AddressTaken;
    const WallTime attested_until = TRY(m_issuer.next_not_after(now));
    const Enrolment enrolment{
        .key = proved.node,
        .overlay_address = address,
        .invite = hash_of_invite(invite.view()),
        .hostname = body.hostname,
        .attested_until = attested_until,
    };
    return m_parts.registry.enrol(enrolment, proved.request.from.address.text(), now);
}

Result<Answer> Admission::welcome(const Member& member, const NodeRequest& body,
                                  const Request& request, WallTime now) {
    TRY(prepare_tunnel(member.node, body, now));
    const auto node = TRY(m_issuer.renew_if_due(member.node, now));
    const Bytes attestation = TRY(m_issuer.attest(node));
    const auto* org = TRY(m_issuer.document(now));
    const auto peers = TRY(m_backbone.peers_for(node.key, now));
    const Bytes bootstrap = TRY(m_issuer.bootstrap_set_for(node, peers, org->document, now));
    const MembershipAnswer membership{
        .time = now,
        .node = node.key,
        .overlay_address = node.overlay_address,
        .hostname = node.hostname,
        .role = node.role,
        .attestation = attestation,
        .prefix = m_self.prefix,
        .domain = m_self.domain,
        .signers = {m_issuer.signer_certificate()},
        .document = org->bytes,
        .peers = peers,
        .bootstrap = bootstrap,
    };
    const std::string name = node.hostname.empty() ? "" : " (" + node.hostname + ")";
    auto answer = make_answer(200, to_json_text(membership));
    answer.note = LogEntry{
        member.is_new ? Level::Notice : Level::Info,
        member.is_new ? "enrolled" : "joined",
        node.overlay_address.text() + name + (member.is_new ? " is a member now" : " has joined"),
        {{"overlay_address", node.overlay_address.text()},
         {"node", node.key.base64()},
         {"invite", node.invite},
         {"from", request.from.text()},
         {"agent", body.agent}}};
    answer.progress = member.is_new ? Progress::Enrolled : Progress::Joined;
    return answer;
}

// --- saying not yet ---

// The node shows its address to whoever stands before it; an admin compares it with ours.
Answer Admission::ask_to_wait(const Waiting& waiting, const Request& request) {
    const WaitingRecord& node = waiting.node;
    auto answer =
        make_answer(status_of(RefusalCode::ApprovalPending),
                    to_json_text(Refusal{.code = RefusalCode::ApprovalPending,
                                         .message = "an administrator has to approve this node",
                                         .overlay_address = node.overlay_address}));
    answer.refusal = RefusalCode::ApprovalPending;
    if (waiting.is_new) {
        answer.progress = Progress::BeganToWait;
        answer.note = LogEntry{Level::Notice,
                               "waiting",
                               node.overlay_address.text() +
                                   (node.hostname.empty() ? "" : " (" + node.hostname + ")") +
                                   " waits for approval: fortros-gateway node approve " +
                                   node.overlay_address.text(),
                               {{"overlay_address", node.overlay_address.text()},
                                {"node", node.key.base64()},
                                {"invite", node.invite},
                                {"from", request.from.text()}}};
    }
    // Jittered, so that a rack that was switched on at once does not ask at once for ever.
    const std::uint64_t seconds =
        approval_poll.count() +
        m_parts.random.below(static_cast<std::uint64_t>(approval_poll.count()));
    answer.headers.emplace_back("Retry-After", std::to_string(seconds));
    return answer;
}

// --- saying no ---

Answer Admission::refuse(RefusalCode code, const Proved& proved, WallTime now) {
    const Request& request = proved.request;
    if (m_refusals.allow(now)) {
        const auto unsaid = m_refusals.take_unsaid();
        const auto address = overlay_address(m_self.prefix, proved.node);
        m_parts.log.write({Level::Warning,
                           "refused",
                           "refused " + address.text() + ": " + std::string(explanation_of(code)),
                           {{"reason", std::string(name_of(code))},
                            {"overlay_address", address.text()},
                            {"node", proved.node.base64()},
                            {"from", request.from.text()},
                            {"not_logged_before", static_cast<std::int64_t>(unsaid)}}});
        AuditEntry entry{.time = now,
                         .event = "refused",
                         .actor = request.from.address.text(),
                         .node = proved.node,
                         .detail = std::string(name_of(code))};
        if (unsaid > 0) entry.detail += ", and " + std::to_string(unsaid) + " not recorded before";
        if (auto status = m_parts.registry.record(entry); !status)
            m_parts.log.write({Level::Warning, "audit-failed", status.error().text()});
    }
    auto answer = make_refusal(code, std::string(explanation_of(code)));
    if (code == RefusalCode::Busy) {
        answer.status = 429;  // 503 is for what the gateway itself lacks
        const std::uint64_t seconds = full_list_pause.count() + m_parts.random.below(60);
        answer.headers.emplace_back("Retry-After", std::to_string(seconds));
    }
    return answer;
}

// Whatever has failed, the node has done nothing wrong and may try again: nothing was acknowledged,
// and what was done is not done twice.
Answer Admission::put_off(const Request& request, const Error& error, Duration after,
                          WallTime now) {
    if (m_failures.allow(now))
        m_parts.log.write(
            {Level::Error,
             "request-failed",
             "cannot serve " + request.from.text() + ": " + error.text(),
             {{"code", std::string(name_of(error.code))},
              {"from", request.from.text()},
              {"not_logged_before", static_cast<std::int64_t>(m_failures.take_unsaid())}}});
    // Jittered, so that those who were sent away together do not come back together.
    std::uint64_t seconds =
        error.code == ErrorCode::Busy ? 1 + m_parts.random.below(4) : 10 + m_parts.random.below(20);
    if (after > Duration{})
        seconds =
            static_cast<std::uint64_t>(std::chrono::ceil<std::chrono::seconds>(after).count());
    return make_busy(std::chrono::seconds{seconds});
}

// --- what a member gets ---

// A node that has rebooted, or whose clock was ahead once, sends handshakes older than the newest
// that the kernel has seen, and is dropped without a word. A new peer has seen none. While a session
// of this same boot lives there is nothing to heal, and removing the peer would cut it: the node says
// so where its boot has begun with one, before it has asked anybody. What this gateway has not heard
// since its own start counts as a reboot: it may have been one.
Status Admission::prepare_tunnel(const NodeRecord& node, const NodeRequest& body, WallTime now) {
    const auto sight = m_boots[node.key].see(body.boot_id);
    if (sight == BootHistory::Sight::Returned) report_shared_key(node, now);
    const bool has_rebooted = sight != BootHistory::Sight::Same;
    Tunnels& tunnels = m_parts.tunnels;
    if (body.clock_stepped_back) return tunnels.reset(node);
    if (body.has_session) return tunnels.ensure(node);
    if (has_rebooted) return tunnels.reset(node);
    const auto last = TRY(tunnels.last_handshake(node.key));
    const bool is_live = last && *last <= now && now - *last < session_life;
    return is_live ? tunnels.ensure(node) : tunnels.reset(node);
}

void Admission::has_seen(const PublicKey& key, std::string_view boot_id, WallTime now) {
    if (m_boots[key].see(boot_id) != BootHistory::Sight::Returned) return;
    const auto node = m_parts.registry.find_node(key);
    if (node && *node) report_shared_key(**node, now);
}

// Neither machine is locked out: which of them is the copy is for an admin to find out.
void Admission::report_shared_key(const NodeRecord& node, WallTime now) {
    if (node.key_shared && now - *node.key_shared < shared_key_report_interval) return;
    m_parts.log.write(
        {Level::Warning,
         "key-shared",
         "two machines use the key of " + node.overlay_address.text() +
             ": retire it, and let both enrol anew",
         {{"overlay_address", node.overlay_address.text()}, {"node", node.key.base64()}}});
    if (auto marked = m_parts.registry.mark_key_shared(node.key, "gateway", now); !marked)
        m_parts.log.write({Level::Warning, "audit-failed", marked.error().text()});
}

}  // namespace fortros::gateway
