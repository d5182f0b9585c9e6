#include "preboot/boot.h"

#include <algorithm>

#include "core/crypto.h"
#include "core/source_policy.h"

namespace fortros {

static constexpr int stage_count = 9;

Boot::Boot(BootInputs inputs, Random& random, const SignerVerifier& verifier)
    : m_in(std::move(inputs)),
      m_random(random),
      m_verifier(verifier),
      m_clock_trusted(m_in.clock.trusted) {}

std::vector<BootAction> Boot::start(Now now) {
    m_now = now;
    m_started = m_stage_began = now.instant;
    trace_start();
    report_stage(Stage::Settings, "sources " + m_in.settings.sources.text(), m_in.settings_took, {},
                 m_in.clock_took);
    report_stage(Stage::Clock, to_text(m_in.clock), m_in.clock_took,
                 {{"trusted", m_in.clock.trusted}, {"floor", to_rfc3339(m_in.clock.floor)}});
    if (check_policy()) {
        m_phase_deadline = m_now.instant + m_in.settings.link_timeout;
        emit(BringUpLinks{});
    }
    return std::move(m_actions);
}

std::vector<BootAction> Boot::step(BootEvent event, Now now) {
    m_actions.clear();
    m_now = now;
    if (m_phase != Phase::Done)
        std::visit([this](auto&& happened) { on(std::forward<decltype(happened)>(happened)); },
                   std::move(event));
    return std::move(m_actions);
}

// What is done on the node itself ends by itself, and is not given up half-way.
bool Boot::is_finishing() const {
    return m_phase == Phase::Remembering || m_phase == Phase::HandingOff || m_phase == Phase::Done;
}

std::optional<Instant> Boot::deadline() const {
    if (is_finishing()) return std::nullopt;
    Instant next = budget_end();
    if (m_phase_deadline) next = std::min(next, *m_phase_deadline);
    if (m_phase == Phase::Discovering && m_discovery && m_discovery->deadline())
        next = std::min(next, *m_discovery->deadline());
    return next;
}

// An administrator takes longer than a network.
Instant Boot::budget_end() const {
    const Instant end = m_started + m_in.settings.total_timeout;
    return std::max(end, m_approval_deadline.value_or(end));
}

void Boot::on(Tick) {
    if (is_finishing()) return;
    if (m_now.instant >= budget_end()) {
        if (m_phase == Phase::Links)
            return finish(ExitStatus::NoLink, "no link came up: " + m_link_trouble);
        if (m_phase == Phase::Handshaking) return hand_off();
        if (m_fast_start && !m_fast_start->answered.empty() && !m_joined)
            return hand_off_remembered();
        return finish(m_cause, m_cause_text);
    }
    if (m_phase == Phase::Discovering && m_discovery) perform(m_discovery->tick(m_now.instant));
    if (!m_phase_deadline || m_now.instant < *m_phase_deadline) return;
    m_phase_deadline.reset();
    switch (m_phase) {
        case Phase::Links:
            return finish(ExitStatus::NoLink, "no link came up within " +
                                                  to_text(m_in.settings.link_timeout) + ": " +
                                                  m_link_trouble);
        case Phase::Enrolling:
            return conversation_failed(
                {ErrorCode::Timeout,
                 "the gateway did not answer within " + to_text(m_in.settings.attempt_timeout)});
        case Phase::Handshaking:
            warn("no-handshake", "the gateway's WireGuard did not answer within " +
                                     to_text(m_in.settings.handshake_timeout) +
                                     ": is UDP to it blocked?");
            return hand_off();
        case Phase::Waiting: return start_round();
        default: return;
    }
}

// --- stage 7: WireGuard ---

void Boot::on(OverlayApplied event) {
    if (event.remembered) {
        if (m_fast_start && !m_joined) fast_start_applied(std::move(event.interfaces));
        return;
    }
    if (m_phase != Phase::Applying) return;
    if (!event.interfaces)
        return finish(ExitStatus::OverlayFailed, event.interfaces.error().text());
    m_interfaces = std::move(*event.interfaces);
    trace("overlay", {{"interfaces", static_cast<std::int64_t>(m_interfaces.size())}});

    const auto& peers = m_joined->answer.peers;
    const auto gateway =
        std::ranges::find(peers, m_conversation->gateway.wireguard_key, &MeshPeer::key);
    ASSERT(gateway != peers.end());  // judge_answer has seen it
    const auto interface = std::ranges::find_if(m_interfaces, [&](const auto& candidate) {
        return std::ranges::contains(candidate.plan.peers, gateway->key, &WireGuardPeer::key);
    });
    m_handshake_answered = m_said_session;
    if (interface == m_interfaces.end() || m_handshake_answered ||
        m_in.settings.handshake_timeout == Duration{})
        return hand_off();
    m_phase = Phase::Handshaking;
    m_phase_deadline = m_now.instant + m_in.settings.handshake_timeout;
    emit(AwaitHandshake{interface->plan.name, gateway->key, gateway->overlay_address});
}

void Boot::on(HandshakeAnswered event) {
    if (m_fast_start && !m_joined) return fast_start_answered(event.peer);
    if (m_phase != Phase::Handshaking || event.peer != m_conversation->gateway.wireguard_key)
        return;
    m_handshake_answered = true;
    hand_off();
}

// --- stages 8 and 9: remember, hand off ---

NodeState Boot::state_to_remember() {
    NodeState state = m_in.state.value_or(NodeState{});
    state.node = *m_public_key;
    state.enrolled = true;
    state.revoked = false;
    state.prefix = m_joined->answer.prefix;
    state.document_serial = m_joined->org.document.serial;
    state.signers_since = std::max(state.signers_since, m_joined->org.document.signers_since);
    state.policy = policy_to_remember(m_in.settings, state.policy, m_joined->org.document.sources);
    const Endpoint& proved = m_conversation->candidate.endpoint;
    std::erase(state.gateways, proved);
    state.gateways.insert(state.gateways.begin(), proved);
    if (state.gateways.size() > state_gateways_limit) state.gateways.resize(state_gateways_limit);
    // What the clock rule did not take for a floor was garbage.
    if (state.clock_floor > m_in.clock.floor) state.clock_floor = {};
    state.clock_floor = std::max(state.clock_floor, m_conversation->gateway.newest_not_before);
    state.attestation_serial = std::max(state.attestation_serial, m_joined->attestation.serial);
    // The same words are signed anew for every answer, and no two signatures are alike.
    const auto kept = parse_attestation(state.attestation);
    if (!kept || *kept != m_joined->attestation) state.attestation = m_joined->answer.attestation;
    remember_set(state);
    return state;
}

void Boot::hand_off() {
    const auto names = [this] {
        std::string text;
        for (const auto& interface : m_interfaces)
            text += (text.empty() ? "" : ", ") + interface.plan.name;
        return text;
    };
    report_stage(
        Stage::WireGuard,
        names() + (m_handshake_answered ? " up, handshake answered" : " up, no handshake yet"),
        m_now.instant - m_stage_began, {{"handshake", m_handshake_answered}});
    m_phase = Phase::Remembering;
    m_phase_deadline.reset();
    emit(SaveState{state_to_remember()});
}

void Boot::on(StateSaved event) {
    if (m_phase == Phase::Enrolling) {  // the promise made before the key is stored
        if (!event.status)
            return finish(ExitStatus::KeyStoreFailed,
                          "the node's state cannot be stored, so nothing was sent: " +
                              event.status.error().text());
        return emit(StoreKey{m_in.key->duplicate()});
    }
    if (m_phase != Phase::Remembering) return;
    if (!event.status)
        warn("not-remembered",
             "the gateway's address could not be remembered: " + event.status.error().text());
    report_stage(Stage::Remember,
                 event.status ? m_conversation->candidate.endpoint.text() : "nothing stored",
                 m_now.instant - m_stage_began, {{"stored", event.status.has_value()}});
    m_phase = Phase::HandingOff;
    emit(WriteHandOff{make_hand_off()});
}

const IpAddress& Boot::own_address() const {
    return m_joined ? m_joined->answer.overlay_address : m_fast_start->address;
}

HandOff Boot::make_hand_off() const {
    HandOff hand_off{
        .time = m_now.wall,
        .boot_id = m_in.boot_id,
        .node = *m_public_key,
        .overlay_address = own_address(),
        .gateway_name = m_in.settings.gateway_name,
        .authorities = m_in.authorities,
        .handshake_answered = m_handshake_answered,
        .state_store = m_in.settings.state_store,
        .sources =
            m_in.settings.sources & m_in.settings.sources_enrolled.value_or(SourceSet::all()),
        .guard = m_in.settings.guard,
        .interfaces = m_interfaces,
        .uplinks = uplinks(),
        .timeline = m_timeline,
    };
    hand_off.gateways = cached_gateways(m_in.settings, m_in.state);
    if (hand_off.gateways.size() > handoff_gateways_limit)
        hand_off.gateways.resize(handoff_gateways_limit);
    if (m_in.state) hand_off.floor = {m_in.state->document_serial, m_in.state->signers_since};
    m_joined ? add_joined(hand_off) : add_remembered(hand_off);
    return hand_off;
}

void Boot::add_joined(HandOff& hand_off) const {
    const MembershipAnswer& answer = m_joined->answer;
    hand_off.role = answer.role;
    hand_off.hostname = answer.hostname;
    hand_off.attestation = answer.attestation;
    hand_off.prefix = answer.prefix;
    hand_off.domain = answer.domain;
    hand_off.signers = answer.signers;
    hand_off.document = answer.document;
    hand_off.floor.rise(m_joined->org.document);
    hand_off.gateway = m_conversation->candidate.endpoint;
    hand_off.gateway_key = m_conversation->gateway.wireguard_key;
    hand_off.source = m_conversation->candidate.source;
    hand_off.peers = answer.peers;
}

void Boot::on(HandOffWritten event) {
    if (m_phase != Phase::HandingOff) return;
    if (!event.status) return finish(ExitStatus::HandOffFailed, event.status.error().text());
    report_stage(Stage::HandOff, own_address().text(), m_now.instant - m_stage_began);
    if (m_in.settings.handshake_timeout != Duration{} && !m_handshake_answered)
        return finish(ExitStatus::NoHandshake,
                      "everything is configured, but the gateway's WireGuard does not answer");
    finish(ExitStatus::Joined, "");
}

void Boot::finish(ExitStatus status, std::string why) {
    m_phase = Phase::Done;
    m_phase_deadline.reset();
    LogEntry entry{.level = Level::Notice, .event = "finished", .message = {}};
    entry.fields = {{"status", static_cast<std::int64_t>(status)},
                    {"cause", std::string(name_of(status))},
                    {"ms", milliseconds_of(m_now.instant - m_started)}};
    if (status == ExitStatus::Joined) {
        entry.message = "in the overlay as " + own_address().text() +
                        (m_joined ? "" : ", by what is remembered: no gateway has answered");
        entry.fields.push_back({"confirmed", m_joined.has_value()});
    } else {
        entry.level = Level::Error;
        entry.message = std::string(name_of(status)) + " (exit status " +
                        std::to_string(static_cast<int>(status)) + "): " + why;
    }
    // The interfaces are there if and only if there is a hand-off.
    if ((m_fast_start || m_joined) && status != ExitStatus::Joined &&
        status != ExitStatus::NoHandshake)
        emit(TakeDownOverlay{});
    emit(Report{std::move(entry)});
    emit(Finish{status});
}

// --- what people see ---

static constexpr std::string_view stage_names[stage_count] = {
    "settings", "clock",     "links",    "discover", "authenticate",
    "enrol",    "wireguard", "remember", "hand off"};

void Boot::report_stage(Stage stage, std::string message, Duration took,
                        std::vector<LogField> fields, Duration ago) {
    const int number = static_cast<int>(stage);
    const std::string name(stage_names[number - 1]);
    const double milliseconds = milliseconds_of(took);
    // A stage that is done again, with the next candidate, replaces what it was before.
    const auto before = std::ranges::find(m_timeline, name, &StageTiming::stage);
    if (before != m_timeline.end())
        before->milliseconds = milliseconds;
    else
        m_timeline.push_back({name, milliseconds});
    m_stage_began = m_now.instant;
    fields.insert(fields.begin(), {{"number", std::int64_t{number}},
                                   {"stage", name},
                                   {"ms", milliseconds},
                                   {"took_us", std::int64_t{took.count()}},
                                   {"ago_us", std::int64_t{ago.count()}}});
    emit(Report{{.level = Level::Info,
                 .event = "stage",
                 .message = "[" + std::to_string(number) + "/" + std::to_string(stage_count) +
                            "] " + name + ": " + std::move(message) + ", " + to_text(took),
                 .fields = std::move(fields)}});
}

void Boot::warn(std::string event, std::string message, std::vector<LogField> fields) {
    emit(Report{{.level = Level::Warning,
                 .event = std::move(event),
                 .message = std::move(message),
                 .fields = std::move(fields)}});
}

}  // namespace fortros
