// Stage 6 of the boot: the node's key, the one request, and what its answer means.
#include <algorithm>

#include "base/text.h"
#include "core/crypto.h"
#include "core/source_policy.h"
#include "preboot/boot.h"

namespace fortros {

// An org with so many taken addresses does not exist; a gateway that says so is broken.
static constexpr unsigned keys_limit = 3;

// Whether to join instead of to enrol. A key without any state counts as enrolled: it was, or it
// belongs to a node whose state is not kept. So does one without an invite: what an interrupted
// boot could not remember, the gateway may well know.
bool Boot::is_enrolled() const {
    if (!m_in.key || m_enroll_again) return false;
    if (m_in.invite.empty() || !m_in.state || m_policy_lost) return true;
    return m_in.state->enrolled;
}

// Never the key of a node that has been in the org: one broken gateway would destroy an identity.
bool Boot::may_replace_key() const {
    if (m_keys_made >= keys_limit || m_in.invite.empty()) return false;
    return m_keys_made > 0 || (m_in.state && !m_in.state->enrolled);
}

void Boot::prepare_key() {
    if (m_in.key) return send_request();
    make_key();
}

// The order that no power cut can spoil: the state says that an enrolment has begun, then the key
// is stored and read back, and only then is the invite sent.
void Boot::make_key() {
    ++m_keys_made;
    m_in.key = crypto::make_private_key(m_random);
    auto public_key = crypto::public_key_of(*m_in.key);
    if (!public_key) return finish(ExitStatus::KeyStoreFailed, public_key.error().text());
    m_public_key = *public_key;
    if (m_in.settings.key_store.kind == StoreKind::Ephemeral) return send_request();
    NodeState begun = m_in.state.value_or(NodeState{});
    begun.node = *m_public_key;
    begun.enrolled = false;
    m_in.state = begun;
    emit(SaveState{std::move(begun)});
}

void Boot::on(KeyStored event) {
    if (m_phase != Phase::Enrolling) return;
    if (!event.status)
        return finish(ExitStatus::KeyStoreFailed,
                      "the node's key cannot be stored, so nothing was "
                      "sent: " +
                          event.status.error().text());
    send_request();
}

void Boot::send_request() {
    NodeRequest body;
    body.hostname = m_in.settings.hostname;
    body.boot_id = m_in.boot_id;
    body.agent = m_in.agent;
    body.clock_stepped_back = m_clock_stepped_back;
    body.has_session = m_said_session = has_session_with(m_conversation->gateway.wireguard_key);
    const ByteView invite = is_enrolled() ? ByteView{} : m_in.invite.view();
    auto pending = make_request(*m_in.key, *m_public_key, m_conversation->gateway,
                                m_in.settings.gateway_name, std::move(body), invite, m_random);
    if (!pending) return conversation_failed(std::move(pending).error());
    m_conversation->pending = std::move(*pending);
    m_conversation->asked = m_now.wall;
    // The answer has its own time: storing a key in a slow flash must not eat it up.
    m_phase_deadline = m_now.instant + m_in.settings.attempt_timeout;
    emit(Send{m_conversation->id, serialize(m_conversation->pending->request)});
}

void Boot::on(Answered event) {
    if (m_phase != Phase::Enrolling || !m_conversation || event.id != m_conversation->id ||
        !m_conversation->pending)
        return;
    JudgeContext context{
        .node = *m_public_key,
        .gateway = m_conversation->gateway.wireguard_key,
        .pinned_prefix = m_in.settings.prefix,
        .chain_not_before = m_conversation->gateway.newest_not_before,
        .chain_not_after = m_conversation->gateway.earliest_not_after,
        .clock_floor = m_in.clock.floor,
    };
    if (m_in.state && m_in.state->enrolled) {
        context.prefix = m_in.state->prefix;
        context.document_serial = m_in.state->document_serial;
        context.signers_since = m_in.state->signers_since;
        context.attestation_serial = m_in.state->attestation_serial;
    }
    auto verdict = judge_answer(event.answer, *m_conversation->pending, context, m_verifier);
    if (!verdict) return conversation_failed(std::move(verdict).error());
    emit(Disconnect{m_conversation->id});
    if (auto* success = std::get_if<Joined>(&*verdict)) return joined(std::move(*success));
    if (auto* later = std::get_if<NotYet>(&*verdict)) return not_yet(*later);
    rejected(std::get<Rejected>(*verdict));
}

void Boot::joined(Joined joined) {
    const MembershipAnswer& answer = joined.answer;
    if (take_time(answer.time) == ClockError::Ahead && m_fast_start) return forget_the_future();
    const bool enrolled_now = m_conversation->pending->request.target == enroll_target;
    report_stage(
        Stage::Enrol,
        std::string(enrolled_now ? "enrolled as " : "joined as ") + answer.overlay_address.text(),
        m_now.instant - m_stage_began,
        {{"overlay_address", answer.overlay_address.text()},
         {"public_key", answer.node.base64()},
         {"first_time", enrolled_now}});
    const auto& policy = joined.org.document.sources;
    if (policy && policy_to_remember(m_in.settings, {}, policy) != policy)
        warn("policy-not-taken", "the org document allows " + policy->text() +
                                     " only, of which this image allows nothing");
    if (!joined.bootstrap_problem.empty())
        warn("no-bootstrap-set", "the next boot has no fast start: " + joined.bootstrap_problem);
    // The gateway that answered comes first, so that a bound on lighthouses never leaves it out.
    auto peers = answer.peers;
    std::ranges::stable_partition(
        peers, [&](const auto& key) { return key == m_conversation->gateway.wireguard_key; },
        &MeshPeer::key);
    const auto plan = make_overlay_plan(answer.prefix, answer.overlay_address, peers,
                                        {.listen_port = m_in.settings.listen_port,
                                         .mtu = m_in.settings.mtu,
                                         .reached = m_conversation->candidate.endpoint.address});
    m_joined = std::move(joined);
    m_phase = Phase::Applying;
    m_phase_deadline.reset();
    ApplyOverlay apply{.plan = plan, .key = m_in.key->duplicate()};
    // A gateway that was not told of a session has forgotten it.
    if (m_fast_start && !m_said_session) apply.renew = m_conversation->gateway.wireguard_key;
    emit(std::move(apply));
}

static bool follows_from(const IpAddress& address, const PublicKey& key) {
    if (address.is_v4()) return false;
    const auto prefix = OrgPrefix::from_bytes(address.bytes().first(OrgPrefix{}.bytes.size()));
    return prefix && overlay_address(*prefix, key) == address;
}

void Boot::not_yet(const NotYet& answer) {
    const bool waiting = answer.refusal.code == RefusalCode::ApprovalPending;
    rest(m_conversation->candidate.endpoint,
         std::chrono::seconds{answer.retry_after_seconds.value_or(0)});
    if (waiting) await_approval(answer.refusal);
    conversation_failed({ErrorCode::Busy, answer.refusal.message});
}

// An admin compares what is shown here with what the gateway lists, so nothing is shown that does not
// follow from this node's key.
void Boot::await_approval(const Refusal& refusal) {
    std::string who = m_public_key->base64();
    if (refusal.overlay_address && follows_from(*refusal.overlay_address, *m_public_key))
        who = refusal.overlay_address->text();
    m_cause = ExitStatus::ApprovalPending;
    m_cause_text = "waiting for an administrator to approve " + who;
    if (m_approval_deadline) return;
    m_approval_deadline = m_now.instant + m_in.settings.approval_timeout;
    emit(Report{{.level = Level::Notice,
                 .event = "waiting-for-approval",
                 .message = m_cause_text + ", at most " + to_text(m_in.settings.approval_timeout),
                 .fields = {{"node", m_public_key->base64()}, {"shown", who}}}});
}

// What changes with the node's own words (another key, the invite) is told in a new round at once;
// who has asked for patience has no part in it.
void Boot::rejected(const Rejected& answer) {
    const Refusal& refusal = answer.refusal;
    switch (refusal.code) {
        case RefusalCode::Revoked:
        case RefusalCode::Retired:
            remember_revocation();
            if (!m_fast_start) emit(TakeDownOverlay{});  // otherwise finish() does
            return finish(ExitStatus::Revoked, "the organisation has " +
                                                   std::string(name_of(refusal.code)) +
                                                   " this node: " + refusal.message);
        case RefusalCode::AddressTaken:
            if (may_replace_key()) {
                warn("address-taken", "the overlay address is taken; making a new key");
                m_in.key.reset();
                return start_round();
            }
            break;
        case RefusalCode::UnknownNode:
            if (!m_in.invite.empty() && !m_enroll_again) {
                warn("unknown-node", "the gateway does not know this node; using the invite");
                m_enroll_again = true;
                return start_round();
            }
            break;
        default: break;
    }
    // Another gateway may know better: this one may have been restored from an old backup.
    m_refused = true;
    conversation_failed(
        {ErrorCode::Refused, std::string(name_of(refusal.code)) + ": " + refusal.message});
}

// Deletes nothing: one gateway that errs must not be able to end a fleet.
void Boot::remember_revocation() {
    if (!m_in.state) return;
    m_in.state->revoked = true;
    emit(SaveState{*m_in.state});
}

// This gateway is of no use in this round; perhaps the next candidate is.
void Boot::conversation_failed(Error error) {
    const Discovery::Id id = m_conversation->id;
    emit(Disconnect{id});
    m_conversation.reset();
    m_phase = Phase::Discovering;
    m_phase_deadline.reset();
    perform(m_discovery->attempt_failed(id, std::move(error), m_now.instant));
}

}  // namespace fortros
