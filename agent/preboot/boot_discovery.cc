// Stages 3 to 5 of the boot: from links to a gateway that has authenticated itself, in rounds with
// a jittered, growing pause between them.
#include <algorithm>

#include "base/text.h"
#include "core/crypto.h"
#include "core/source_policy.h"
#include "preboot/boot.h"

namespace fortros {

bool Boot::check_policy() {
    if (m_in.key) {
        auto key = crypto::public_key_of(*m_in.key);
        if (!key) {
            finish(ExitStatus::KeyStoreFailed, key.error().text());
            return false;
        }
        m_public_key = *key;
    }
    const SourcePolicy policy =
        source_policy(m_in.settings, m_in.state, m_public_key, !m_in.invite.empty());
    m_sources = policy.sources;
    m_policy_lost = policy.state_lost;
    if (m_policy_lost) {
        m_cause = ExitStatus::PolicyLost;
        m_cause_text =
            "the node has a key but has lost its state, so only cached and "
            "baked-in addresses may be used";
        warn("policy-lost", m_cause_text);
    }
    if (m_in.state && m_in.state->revoked)
        warn("revoked", "a gateway has revoked this node before; asking again");
    const bool nothing_cached = cached_gateways(m_in.settings, m_in.state).empty();
    if (m_sources.empty() || (m_sources == SourceSet::only(Source::Cached) && nothing_cached)) {
        finish(m_policy_lost ? ExitStatus::PolicyLost : ExitStatus::NoGateway,
               "policy leaves no source that could name a gateway (allowed: '" + m_sources.text() +
                   "', cached addresses: " + (nothing_cached ? "none" : "some") + ")");
        return false;
    }
    if (!m_in.key && m_in.invite.empty()) {
        finish(
            ExitStatus::InviteMissing,
            "the node is not enrolled, and " +
                (m_in.invite_problem.empty() ? "there is no invite in " + m_in.settings.invite_file
                                             : m_in.invite_problem));
        return false;
    }
    if (!m_in.invite_problem.empty()) warn("invite-unreadable", m_in.invite_problem);
    return true;
}

// --- stage 3: links ---

void Boot::on(LinkTrouble event) { m_link_trouble = std::move(event.why); }

void Boot::on(LinkLost event) {
    warn("link-lost", event.why, {{"interface", name_of_link(event.ifindex)}});
    std::erase_if(m_links, [&](const auto& link) { return link.ifindex == event.ifindex; });
}

// A lease that was renewed leads nowhere else.
static bool leads_alike(const UplinkHandOff& a, const UplinkHandOff& b) {
    return a.addresses == b.addresses && a.gateways == b.gateways && a.resolvers == b.resolvers;
}

void Boot::on(LinkUsable event) {
    const auto known = std::ranges::find(m_links, event.link.ifindex, &UplinkHandOff::ifindex);
    const std::string line = event.link.name + " " +
                             (event.link.addresses.empty() ? "" : event.link.addresses[0].text());
    const bool is_news = known == m_links.end() || !leads_alike(*known, event.link);
    if (is_news) trace_link(event.link);
    if (known != m_links.end())
        *known = std::move(event.link);
    else
        m_links.push_back(std::move(event.link));
    if (!is_news) return;
    m_links_changed = true;
    if (m_phase == Phase::Links) {
        report_stage(Stage::Links, line, m_now.instant - m_stage_began,
                     {{"interface", m_links.front().name}});
        fast_start();
        start_round();
    } else if (m_phase == Phase::Waiting) {
        start_early();  // a link that came or changed is the best reason to try at once
    } else if (m_phase == Phase::Discovering) {
        fast_start_by_other_family();
        perform(m_discovery->learn(make_plan(), m_now.instant));
    }
}

// --- stage 4: discover ---

// A cable that flaps, or a router that changes its mind, must not make the node hammer the gateway.
Duration Boot::wait_before_early() const {
    return std::max(Duration{}, m_round_began + m_in.settings.retry_min - m_now.instant);
}

void Boot::start_early() {
    const Duration wait = wait_before_early();
    if (wait == Duration{}) return start_round();
    m_phase_deadline = std::min(*m_phase_deadline, m_now.instant + wait);
}

DiscoveryPlan Boot::make_plan() const {
    auto plan = make_discovery_plan(m_in.settings, m_in.state, m_sources, m_links);
    for (const Resting& resting : m_resting) plan.left_out.push_back(resting.endpoint);
    return plan;
}

void Boot::start_round() {
    ++m_rounds;
    m_round_began = m_now.instant;
    m_phase = Phase::Discovering;
    m_phase_deadline.reset();
    std::erase_if(m_resting, [this](const Resting& it) { return it.until <= m_now.instant; });
    m_refused = m_silence = false;
    m_links_changed = false;
    m_attempts.clear();
    m_conversation.reset();
    trace("round", {{"round", std::int64_t{m_rounds}}});
    if (m_rounds > 1) fast_start_by_next_way();
    m_discovery.emplace(make_plan(), m_next_id);
    perform(m_discovery->start(m_now.instant));
}

// Who is overdue is cancelled too, but that is not what happened to him.
static bool is_given_up(const std::vector<Discovery::Action>& actions, Discovery::Id id) {
    return std::ranges::any_of(actions, [id](const Discovery::Action& action) {
        const auto* gave_up = std::get_if<Discovery::GaveUp>(&action);
        return gave_up != nullptr && gave_up->id == id;
    });
}

void Boot::perform(std::vector<Discovery::Action> actions) {
    bool exhausted = false;
    for (auto& action : actions) {
        if (auto* lookup = std::get_if<Discovery::Lookup>(&action)) {
            trace_lookup(*lookup);
            emit(std::move(*lookup));
        } else if (auto* cancelled = std::get_if<Discovery::CancelLookup>(&action)) {
            if (!is_given_up(actions, cancelled->id))
                trace("lookup-cancelled", {{"id", std::int64_t{cancelled->id}}});
            emit(*cancelled);
        } else if (auto* attempt = std::get_if<Discovery::Attempt>(&action)) {
            trace_attempt(*attempt);
            m_attempts.emplace_back(attempt->id, m_now.instant);
            emit(Connect{attempt->id, attempt->candidate.endpoint, certificate_time(),
                         attempt->candidate.ifindex});
        } else if (auto* stopped = std::get_if<Discovery::CancelAttempt>(&action)) {
            if (!is_given_up(actions, stopped->id))
                trace("attempt-cancelled", {{"id", std::int64_t{stopped->id}}});
            emit(Disconnect{stopped->id});
        } else if (auto* gave_up = std::get_if<Discovery::GaveUp>(&action)) {
            give_up(*gave_up);
        } else {
            exhausted = true;
        }
    }
    m_next_id = m_discovery->next_id();
    if (exhausted) round_failed();
}

// How much a failure tells: the exit status is that of the most telling one.
static int weight_of(ExitStatus status) {
    switch (status) {
        case ExitStatus::NoGateway: return 0;
        case ExitStatus::PolicyLost: return 1;
        case ExitStatus::GatewayBusy: return 2;
        case ExitStatus::GatewayUntrusted: return 3;
        case ExitStatus::ApprovalPending: return 4;
        default: return 5;
    }
}

void Boot::give_up(const Discovery::GaveUp& what) {
    std::string who =
        std::string(name_of(what.source)) + (what.endpoint ? " " + what.endpoint->text() : "");
    const std::string link = name_of_link(what.ifindex);
    if (!link.empty()) who += " by " + link;
    const std::string line = who + ": " + what.error.text();
    warn("gave-up", line,
         {{"source", std::string(name_of(what.source))},
          {"error", std::string(name_of(what.error.code))},
          {"id", std::int64_t{what.id}},
          {"why", what.error.text()}});
    if (what.endpoint &&
        (what.error.code == ErrorCode::Timeout || what.error.code == ErrorCode::Unreachable))
        m_silence = true;
    ExitStatus cause = ExitStatus::NoGateway;
    if (what.error.code == ErrorCode::Untrusted) cause = ExitStatus::GatewayUntrusted;
    if (what.error.code == ErrorCode::Busy) cause = ExitStatus::GatewayBusy;
    if (what.error.code == ErrorCode::Refused) cause = ExitStatus::Refused;
    if (weight_of(cause) > weight_of(m_cause) || (m_cause == cause && m_rounds <= 1)) {
        m_cause = cause;
        m_cause_text = line;
    }
}

// Half of the pause is fixed and half is chance, so that nodes that lost power together do not
// come back together.
static Duration jittered(Duration pause, Random& random) {
    return pause / 2 + Duration{static_cast<std::int64_t>(random.unit() *
                                                          static_cast<double>(pause.count()) / 2)};
}

// A gateway that asks for patience gets it, and a little more, so that not all nodes come at once.
void Boot::rest(const Endpoint& gateway, Duration retry_after) {
    std::erase_if(m_resting, [&](const Resting& it) { return it.endpoint == gateway; });
    m_resting.push_back({gateway, m_now.instant,
                         m_now.instant + retry_after + jittered(retry_after, m_random) / 5});
}

void Boot::round_failed() {
    // Every gateway of this round was heard and none has said otherwise: asking again changes nothing.
    if (m_refused && m_resting.empty() && !m_silence) return finish(m_cause, m_cause_text);
    // What failed before the link was there may work now.
    if (m_links_changed && wait_before_early() == Duration{}) return start_round();
    Duration pause = m_in.settings.retry_min;
    for (unsigned i = 1; i < m_rounds && pause < m_in.settings.retry_max; ++i) pause *= 2;
    pause = jittered(std::min(pause, m_in.settings.retry_max), m_random);
    // Who was left out of this round is asked as soon as may be, if that is sooner.
    for (const Resting& resting : m_resting)
        if (resting.told < m_round_began)
            pause = std::min(pause, std::max(resting.until - m_now.instant, wait_before_early()));
    m_phase = Phase::Waiting;
    m_phase_deadline = m_now.instant + pause;
    emit(Report{
        {.level = Level::Notice,
         .event = "round-failed",
         .message = std::string(m_approval_deadline ? "not approved yet; asking again in "
                                : m_resting.empty() ? "no gateway yet; trying again in "
                                                    : "no other gateway yet; trying again in ") +
                    to_text(pause),
         .fields = {{"round", std::int64_t{m_rounds}},
                    {"pause_us", std::int64_t{pause.count()}}}}});
}

// A gateway can't be reached by way of itself.
static void leave_out_overlay(std::vector<Endpoint>& endpoints,
                              const std::optional<OrgPrefix>& prefix) {
    if (prefix)
        std::erase_if(endpoints, [&](const auto& it) { return prefix->contains(it.address); });
}

void Boot::on(LeftBy event) {
    if (m_discovery) m_discovery->left_by(event.id, event.ifindex);
}

void Boot::on(LookupDone event) {
    if (event.endpoints) leave_out_overlay(*event.endpoints, known_prefix());
    if (m_phase != Phase::Discovering) return;
    trace_answer(event);
    perform(m_discovery->looked_up(event.id, std::move(event.endpoints), m_now.instant));
}

void Boot::on(Connected event) {
    if (m_phase != Phase::Discovering) return;
    trace_attempt("attempt-connected", event.id);
    perform(m_discovery->attempt_connected(event.id, m_now.instant));
}

void Boot::on(AttemptFailed event) {
    if (m_conversation && event.id == m_conversation->id && m_phase == Phase::Enrolling)
        return conversation_failed(std::move(event.error));
    if (m_phase == Phase::Discovering)
        perform(m_discovery->attempt_failed(event.id, std::move(event.error), m_now.instant));
}

// --- stage 5: authenticate ---

// The routes' own way was not the first to lead to a gateway, if it leads anywhere. WireGuard goes by
// the routes, so they have to change before it begins, and for what is up already from memory.
void Boot::prefer(unsigned ifindex) {
    const auto link = std::ranges::find(m_links, ifindex, &UplinkHandOff::ifindex);
    if (link == m_links.end()) return;
    if (m_in.settings.link_mode == LinkMode::Adopt)
        return warn("uplink-not-preferred",
                    "the gateway was reached by " + link->name +
                        ", but the routes, which are not ours to change, may prefer another link; "
                        "WireGuard follows them",
                    {{"interface", link->name}});
    warn("uplink-preferred",
         "the gateway was reached by " + link->name +
             " and not as the routes lead; it is preferred now",
         {{"interface", link->name}});
    emit(PreferLink{ifindex});
}

// For the hand-off: the one that the gateway was reached by comes first.
std::vector<UplinkHandOff> Boot::uplinks() const {
    auto all = m_links;
    std::ranges::stable_partition(
        all, [this](unsigned ifindex) { return ifindex == m_reached_by; }, &UplinkHandOff::ifindex);
    if (!all.empty()) all.front().reached_gateway = all.front().ifindex == m_reached_by;
    if (all.size() > uplinks_limit) all.resize(uplinks_limit);
    return all;
}

void Boot::on(Authenticated event) {
    if (is_asked_again(event.id)) return asked_again(std::move(event.gateway));
    if (m_phase != Phase::Discovering) return emit(Disconnect{event.id});
    const auto candidate = m_discovery->candidate_of(event.id);
    if (!candidate) return emit(Disconnect{event.id});
    trace_attempt("attempt-authenticated", event.id);
    perform(m_discovery->attempt_authenticated(event.id));
    const auto attempt =
        std::ranges::find(m_attempts, event.id, &decltype(m_attempts)::value_type::first);
    const Instant began = attempt->second;
    const std::string where =
        candidate->endpoint.text() + " via " + std::string(name_of(candidate->source));
    const std::vector<LogField> fields = {{"endpoint", candidate->endpoint.text()},
                                          {"source", std::string(name_of(candidate->source))}};
    report_stage(Stage::Discover, where, began - m_stage_began, fields, m_now.instant - began);
    report_stage(Stage::Authenticate, m_in.settings.gateway_name, m_now.instant - began, fields);
    m_conversation = Conversation{
        .id = event.id,
        .candidate = *candidate,
        .gateway = std::move(event.gateway),
    };
    m_reached_by = m_discovery->link_of(event.id);
    if (candidate->ifindex != 0) prefer(candidate->ifindex);
    m_phase = Phase::Enrolling;
    m_phase_deadline = m_now.instant + m_in.settings.attempt_timeout;
    prepare_key();
}

}  // namespace fortros
