#include "preboot/probe.h"

#include <algorithm>

namespace fortros {

Probe::Probe(ProbeInputs inputs)
    : m_settings(std::move(inputs.settings)), m_state(std::move(inputs.state)) {
    const SourcePolicy policy = source_policy(m_settings, m_state, inputs.key, inputs.has_invite);
    m_report.clock = inputs.clock;
    m_report.gateway_name = m_settings.gateway_name;
    m_report.sources = policy.sources;
    m_report.state_lost = policy.state_lost;
}

std::vector<BootAction> Probe::start(Now now) {
    m_now = now;
    m_started = now.instant;
    m_actions.clear();
    if (m_report.sources.empty())
        finish();
    else
        m_actions.emplace_back(BringUpLinks{});
    return std::move(m_actions);
}

std::vector<BootAction> Probe::step(BootEvent event, Now now) {
    m_actions.clear();
    m_now = now;
    if (!m_done)
        std::visit([this](auto&& happened) { on(std::forward<decltype(happened)>(happened)); },
                   std::move(event));
    return std::move(m_actions);
}

std::optional<Instant> Probe::deadline() const {
    if (m_done) return std::nullopt;
    if (!m_discovery) return m_started + m_settings.link_timeout;
    const Instant end = m_started + m_settings.total_timeout;
    return std::min(end, m_discovery->deadline().value_or(end));
}

// --- links ----------------------------------------------------------------------------------------

void Probe::on(LinkTrouble event) { m_report.link_trouble = std::move(event.why); }

void Probe::on(LinkLost event) {
    std::erase_if(m_report.links, [&](const auto& link) { return link.ifindex == event.ifindex; });
}

void Probe::on(LinkUsable event) {
    auto& links = m_report.links;
    const auto known = std::ranges::find(links, event.link.ifindex, &UplinkHandOff::ifindex);
    if (known != links.end())
        *known = std::move(event.link);
    else
        links.push_back(std::move(event.link));
    auto plan = make_discovery_plan(m_settings, m_state, m_report.sources, links);
    if (m_discovery) return perform(m_discovery->learn(plan, m_now.instant));
    m_report.link_usable = passed();
    m_discovery.emplace(std::move(plan));
    perform(m_discovery->start(m_now.instant));
}

// --- discovery ------------------------------------------------------------------------------------

ProbeReport::Question* Probe::question(Discovery::Id id) {
    const auto found = std::ranges::find(m_report.questions, id, &ProbeReport::Question::id);
    return found == m_report.questions.end() ? nullptr : &*found;
}

ProbeReport::Attempt* Probe::attempt(Discovery::Id id) {
    const auto found = std::ranges::find(m_report.attempts, id, &ProbeReport::Attempt::id);
    return found == m_report.attempts.end() ? nullptr : &*found;
}

void Probe::perform(std::vector<Discovery::Action> actions) {
    for (auto& action : actions) {
        if (auto* lookup = std::get_if<Discovery::Lookup>(&action)) {
            m_report.questions.push_back({.id = lookup->id,
                                          .source = lookup->source,
                                          .resolvers = lookup->resolvers,
                                          .asked = passed()});
            m_actions.emplace_back(std::move(*lookup));
        } else if (auto* cancelled = std::get_if<Discovery::CancelLookup>(&action)) {
            m_actions.emplace_back(*cancelled);
        } else if (auto* wanted = std::get_if<Discovery::Attempt>(&action)) {
            m_report.attempts.push_back({.id = wanted->id,
                                         .candidate = wanted->candidate,
                                         .ifindex = wanted->candidate.ifindex,
                                         .began = passed()});
            m_actions.emplace_back(Connect{wanted->id, wanted->candidate.endpoint,
                                           certificate_time(m_report.clock, m_now.wall),
                                           wanted->candidate.ifindex});
        } else if (auto* stopped = std::get_if<Discovery::CancelAttempt>(&action)) {
            m_actions.emplace_back(Disconnect{stopped->id});
        } else if (auto* gave_up = std::get_if<Discovery::GaveUp>(&action)) {
            note(*gave_up);
        } else {
            finish();
        }
    }
}

void Probe::note(const Discovery::GaveUp& gave_up) {
    if (auto* asked = question(gave_up.id)) {
        asked->ended = passed();
        asked->error = gave_up.error;
    } else if (auto* tried = attempt(gave_up.id)) {
        tried->ended = passed();
        tried->error = gave_up.error;
    } else {
        m_report.silences.push_back({gave_up.source, gave_up.error});
    }
}

void Probe::on(LeftBy event) {
    if (auto* tried = attempt(event.id)) tried->ifindex = event.ifindex;
    m_discovery->left_by(event.id, event.ifindex);
}

void Probe::on(LookupDone event) {
    auto* asked = question(event.id);
    if (asked && event.endpoints) {
        asked->ended = passed();
        asked->endpoints = *event.endpoints;
    }
    perform(m_discovery->looked_up(event.id, std::move(event.endpoints), m_now.instant));
}

void Probe::on(Connected event) {
    if (auto* tried = attempt(event.id)) tried->connected = passed();
    perform(m_discovery->attempt_connected(event.id, m_now.instant));
}

void Probe::on(Authenticated event) {
    if (auto* tried = attempt(event.id)) {
        tried->ended = passed();
        tried->gateway = event.gateway.wireguard_key;
    }
    m_actions.emplace_back(Disconnect{event.id});
    perform(m_discovery->set_aside(event.id, m_now.instant));
}

void Probe::on(AttemptFailed event) {
    perform(m_discovery->attempt_failed(event.id, std::move(event.error), m_now.instant));
}

void Probe::on(Tick) {
    if (!m_discovery) {
        if (m_now.instant >= m_started + m_settings.link_timeout) finish();
        return;
    }
    if (m_now.instant >= m_started + m_settings.total_timeout) return finish();
    perform(m_discovery->tick(m_now.instant));
}

void Probe::finish() {
    m_done = true;
    m_report.took = passed();
    m_actions.emplace_back(Finish{m_report.status()});
}

}  // namespace fortros
