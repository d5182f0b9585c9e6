#include "gateway/admission.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/text.h"
#include "core/sealed_invite.h"

namespace fortros::gateway {

static constexpr std::uint32_t strangers_noted_per_minute = 20;
static constexpr std::uint32_t refusals_noted_per_minute = 60;
static constexpr std::uint32_t failures_noted_per_minute = 20;
// A renewal that gains less than this is not worth a write: the signer's own end is near.
static constexpr std::chrono::days smallest_renewal{1};

// How often a waiting node asks again: 15 to 30 s.
static constexpr std::chrono::seconds approval_poll{15};
// When the list of the waiting is full, an admin has work to do, which takes a while.
static constexpr std::chrono::seconds full_list_pause{60};
static constexpr std::chrono::hours shared_key_report_interval{1};

// Lower-case names of core/proof.h's headers, as the edge gives them.
static constexpr std::string_view node_header_name = "fortros-node";
static constexpr std::string_view proof_header_name = "fortros-proof";

static Answer make_answer(int status, std::string body) {
    return {status, {{"Content-Type", "application/json"}}, std::move(body)};
}

static Answer make_refusal(RefusalCode code, std::string message) {
    return make_answer(status_of(code), to_json_text(Refusal{code, std::move(message)}));
}

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
      m_publisher(m_self.prefix, m_self.domain, parts.registry, parts.signer),
      m_strangers(strangers_noted_per_minute),
      m_refusals(refusals_noted_per_minute),
      m_failures(failures_noted_per_minute) {}

// --- one request ---

Answer Admission::handle(const Request& request, WallTime now) {
    if (request.target != enroll_target && request.target != join_target) {
        auto answer = make_refusal(RefusalCode::BadRequest, "there is nothing at this address");
        answer.status = 404;
        return answer;
    }
    if (request.method != "POST") {
        auto answer = make_refusal(RefusalCode::BadRequest, "this address takes POST only");
        answer.status = 405;
        answer.headers.emplace_back("Allow", "POST");
        return answer;
    }
    const auto proved = authenticate(request);
    if (!proved) {
        if (m_strangers.allow(now))
            m_parts.log.write(
                {Level::Info,
                 "proof-invalid",
                 "refused a request without a valid proof from " + request.from.text(),
                 {{"from", request.from.text()},
                  {"not_logged_before", static_cast<std::int64_t>(m_strangers.take_unsaid())}}});
        return make_refusal(RefusalCode::ProofInvalid,
                            "the request does not prove possession of the node's key");
    }
    auto result = answer(request, *proved, now);
    seal(result, *proved);
    return result;
}

std::optional<Admission::Proved> Admission::authenticate(const Request& request) const {
    const auto* node_text = request.header(node_header_name);
    const auto* proof_text = request.header(proof_header_name);
    if (node_text == nullptr || proof_text == nullptr) return std::nullopt;
    const auto node = PublicKey::from_base64url(*node_text);
    const auto proof = from_base64(*proof_text);
    if (!node || !proof) return std::nullopt;
    auto key = proof_key_of_gateway(m_self.private_key, m_self.public_key, *node, request.exporter);
    if (!key) return std::nullopt;
    const auto expected =
        request_proof(*key, request.method, request.target, *node, request.body.view());
    if (!equal_in_constant_time(*proof, expected)) return std::nullopt;
    return Proved{*node, std::move(*key), expected};
}

void Admission::seal(Answer& answer, const Proved& proved) const {
    std::uint32_t retry_after = 0;
    for (const auto& [name, value] : answer.headers)
        if (name == "Retry-After") retry_after = parse_number<std::uint32_t>(value).value_or(0);
    const auto mac =
        answer_proof(proved.key, proved.proof, answer.status, retry_after, as_bytes(answer.body));
    answer.headers.emplace_back(answer_proof_header, to_base64(mac));
}

Answer Admission::answer(const Request& request, const Proved& proved, WallTime now) {
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
    auto decision = decide(*body, invite, request, proved, now);
    if (!decision) return come_back_later(decision.error(), request, now);
    if (auto* code = std::get_if<RefusalCode>(&*decision))
        return refuse(*code, request, proved, now);
    if (auto* waiting = std::get_if<Waiting>(&*decision)) return ask_to_wait(*waiting, request);
    auto welcomed = welcome(std::get<Member>(*decision), *body, request, now);
    if (!welcomed) return come_back_later(welcomed.error(), request, now);
    return std::move(*welcomed);
}

Result<Decision> Admission::decide(const NodeRequest& body, const SecretBytes& invite,
                                   const Request& request, const Proved& proved, WallTime now) {
    if (request.target == join_target) {
        auto node = TRY(m_parts.registry.find_node(proved.node));
        if (!node) return RefusalCode::UnknownNode;
        if (node->revoked) return RefusalCode::Revoked;
        if (node->retired) return RefusalCode::Retired;
        return Member{std::move(*node), false};
    }
    const auto address = overlay_address(m_self.prefix, proved.node);
    if (is_reserved(address) || address == m_address) return RefusalCode::AddressTaken;
    const WallTime attested_until = TRY(next_not_after(now));
    const Enrolment enrolment{
        .key = proved.node,
        .overlay_address = address,
        .invite = hash_of_invite(invite.view()),
        .hostname = body.hostname,
        .attested_until = attested_until,
    };
    return m_parts.registry.enrol(enrolment, request.from.address.text(), now);
}

Result<Answer> Admission::welcome(const Member& member, const NodeRequest& body,
                                  const Request& request, WallTime now) {
    TRY(prepare_tunnel(member.node, body, now));
    const auto node = TRY(with_fresh_attestation(member.node, now));
    const Bytes attestation = TRY(attest(node.key, node.role, node.serial, node.attested_until));
    std::vector<MeshPeer> peers;
    peers.push_back(TRY(own_peer(now)));
    const auto* org = TRY(m_publisher.current(now));
    const Bytes bootstrap = TRY(bootstrap_set_for(node, peers, org->document, now));
    const MembershipAnswer membership{
        .time = now,
        .node = node.key,
        .overlay_address = node.overlay_address,
        .hostname = node.hostname,
        .role = node.role,
        .attestation = attestation,
        .prefix = m_self.prefix,
        .domain = m_self.domain,
        .signers = {m_parts.signer.certificate()},
        .document = org->bytes,
        .peers = peers,
        .bootstrap = bootstrap,
    };
    const std::string name = node.hostname.empty() ? "" : " (" + node.hostname + ")";
    m_parts.log.write(
        {member.is_new ? Level::Notice : Level::Info,
         member.is_new ? "enrolled" : "joined",
         node.overlay_address.text() + name + (member.is_new ? " is a member now" : " has joined"),
         {{"overlay_address", node.overlay_address.text()},
          {"node", node.key.base64()},
          {"invite", node.invite},
          {"from", request.from.text()},
          {"agent", body.agent}}});
    return make_answer(200, to_json_text(membership));
}

// --- saying not yet ---

// The node shows its address to whoever stands before it; an admin compares it with ours.
Answer Admission::ask_to_wait(const Waiting& waiting, const Request& request) {
    const WaitingRecord& node = waiting.node;
    if (waiting.is_new)
        m_parts.log.write({Level::Notice,
                           "waiting",
                           node.overlay_address.text() +
                               (node.hostname.empty() ? "" : " (" + node.hostname + ")") +
                               " waits for approval: fortros-gateway node approve " +
                               node.overlay_address.text(),
                           {{"overlay_address", node.overlay_address.text()},
                            {"node", node.key.base64()},
                            {"invite", node.invite},
                            {"from", request.from.text()}}});
    auto answer =
        make_answer(status_of(RefusalCode::ApprovalPending),
                    to_json_text(Refusal{.code = RefusalCode::ApprovalPending,
                                         .message = "an administrator has to approve this node",
                                         .overlay_address = node.overlay_address}));
    // Jittered, so that a rack that was switched on at once does not ask at once for ever.
    const std::uint64_t seconds =
        approval_poll.count() +
        m_parts.random.below(static_cast<std::uint64_t>(approval_poll.count()));
    answer.headers.emplace_back("Retry-After", std::to_string(seconds));
    return answer;
}

// --- saying no ---

Answer Admission::refuse(RefusalCode code, const Request& request, const Proved& proved,
                         WallTime now) {
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
Answer Admission::come_back_later(const Error& error, const Request& request, WallTime now) {
    if (m_failures.allow(now))
        m_parts.log.write(
            {Level::Error,
             "request-failed",
             "cannot serve " + request.from.text() + ": " + error.text(),
             {{"code", std::string(name_of(error.code))},
              {"from", request.from.text()},
              {"not_logged_before", static_cast<std::int64_t>(m_failures.take_unsaid())}}});
    // Jittered, so that those who were sent away together do not come back together.
    const std::uint64_t seconds =
        error.code == ErrorCode::Busy ? 1 + m_parts.random.below(4) : 10 + m_parts.random.below(20);
    auto answer = make_refusal(RefusalCode::Busy, "the gateway cannot serve this now");
    answer.headers.emplace_back("Retry-After", std::to_string(seconds));
    return answer;
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
    const auto tunnel = TRY(m_parts.tunnels.find(node.key));
    if (tunnel && body.has_session && !body.clock_stepped_back) return {};
    const bool is_live = tunnel && tunnel->last_handshake && *tunnel->last_handshake <= now &&
                         now - *tunnel->last_handshake < session_life;
    if (is_live && !has_rebooted && !body.clock_stepped_back) return {};
    return m_parts.tunnels.reset(node);
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

Result<WallTime> Admission::next_not_after(WallTime now) const {
    const Signer& signer = m_parts.signer.facts();
    if (now < signer.not_before || now >= signer.not_after)
        return fail(ErrorCode::Untrusted, "the signer's certificate is valid from " +
                                              to_rfc3339(signer.not_before) + " to " +
                                              to_rfc3339(signer.not_after) + " only");
    return std::min(now + attestation_life, signer.not_after);
}

bool Admission::worth_renewing(WallTime not_after, WallTime now) const {
    if (not_after <= now) return true;
    const auto possible = std::min(now + attestation_life, m_parts.signer.facts().not_after);
    return not_after - now < attestation_life / 2 && possible - not_after >= smallest_renewal;
}

// The registry keeps serial and not-after, so a join of a member writes nothing for half of an
// attestation's life, and the node, which stores the serial, neither.
Result<NodeRecord> Admission::with_fresh_attestation(const NodeRecord& node, WallTime now) {
    if (!worth_renewing(node.attested_until, now)) return node;
    auto renewed = m_parts.registry.renew(node.key, TRY(next_not_after(now)));
    if (renewed || node.attested_until <= now) return renewed;
    m_parts.log.write({Level::Warning, "renewal-failed",
                       "the attestation of " + node.overlay_address.text() +
                           " could not be renewed: " + renewed.error().text()});
    return node;
}

Result<Bytes> Admission::attest(const PublicKey& node, Role role, std::uint64_t serial,
                                WallTime not_after) const {
    return sign_attestation(m_parts.signer, {.prefix = m_self.prefix,
                                             .node = node,
                                             .role = role,
                                             .serial = serial,
                                             .not_after = not_after});
}

Status Admission::attest_self(WallTime now) {
    if (!m_own) m_own = TRY(m_parts.registry.find_gateway(m_self.public_key));
    const bool is_usable = m_own && now < m_own->not_after;
    const bool is_due = !is_usable || worth_renewing(m_own->not_after, now);
    if (!is_due && !m_own_attestation.empty()) return {};
    if (is_due) {
        auto renewed = m_parts.registry.renew_gateway(m_self.public_key, TRY(next_not_after(now)));
        if (!renewed && !is_usable) return std::unexpected(std::move(renewed).error());
        if (renewed) m_own = *renewed;
    }
    m_own_attestation =
        TRY(attest(m_self.public_key, Role::Gateway, m_own->serial, m_own->not_after));
    return {};
}

Result<MeshPeer> Admission::own_peer(WallTime now) {
    TRY(attest_self(now));
    return MeshPeer{
        .key = m_self.public_key,
        .role = Role::Gateway,
        .overlay_address = m_address,
        .endpoints = m_self.endpoints,
        .keepalive_seconds = m_self.keepalive_seconds,
        .attestation = m_own_attestation,
    };
}

// The clock as the serial: it grows across several gateways, which need not ask one another.
Result<Bytes> Admission::bootstrap_set_for(const NodeRecord& node,
                                           const std::vector<MeshPeer>& peers,
                                           const OrgDocument& org, WallTime now) const {
    return sign_bootstrap_set(
        m_parts.signer,
        {.prefix = m_self.prefix,
         .node = node.key,
         .role = node.role,
         .serial = static_cast<std::uint64_t>(now.time_since_epoch().count()),
         .not_after = std::min(now + bootstrap_set_life, m_parts.signer.facts().not_after),
         .policy_serial = org.serial,
         .revocation_number = org.revocation_number,
         .peers = bootstrap_peers_of(peers)});
}

}  // namespace fortros::gateway
