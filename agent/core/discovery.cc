#include "core/discovery.h"

#include <algorithm>
#include <array>

namespace fortros {

static constexpr std::array all_sources = {Source::Cached, Source::PublicDns, Source::DhcpDns};

std::string_view name_of(Source source) {
    switch (source) {
        case Source::Cached: return "cached";
        case Source::PublicDns: return "public-dns";
        case Source::DhcpDns: return "dhcp-dns";
    }
    return "cached";
}

std::optional<Source> source_from(std::string_view name) {
    for (Source source : all_sources)
        if (name == name_of(source)) return source;
    return std::nullopt;
}

SourceSet SourceSet::all() {
    SourceSet set;
    for (Source source : all_sources) set.add(source);
    return set;
}

SourceSet SourceSet::only(Source source) { return SourceSet().add(source); }

SourceSet SourceSet::operator&(SourceSet other) const {
    SourceSet both;
    both.m_bits = m_bits & other.m_bits;
    return both;
}

std::string SourceSet::text() const {
    std::string text;
    for (Source source : all_sources) {
        if (!has(source)) continue;
        if (!text.empty()) text += ' ';
        text += name_of(source);
    }
    return text;
}

std::optional<SourceSet> SourceSet::from_bits(std::uint8_t bits) {
    if ((bits & ~all().m_bits) != 0) return std::nullopt;
    SourceSet set;
    set.m_bits = bits;
    return set;
}

Discovery::Discovery(DiscoveryPlan plan, Id first_id)
    : m_plan(std::move(plan)), m_next_id(first_id) {
    for (Source source : all_sources)
        if (m_plan.sources.has(source)) m_sources_left.push_back(source);
}

std::vector<Discovery::Action> Discovery::start(Instant now) {
    std::vector<Action> out;
    next_source(now, out);
    return out;
}

std::optional<Candidate> Discovery::candidate_of(Id id) const {
    if (!m_attempt || id != m_current_id) return std::nullopt;
    return m_attempt;
}

void Discovery::next_source(Instant now, std::vector<Action>& out) {
    m_lookup_source.reset();
    m_deadline.reset();
    while (!m_sources_left.empty()) {
        const Source source = m_sources_left.front();
        m_sources_left.erase(m_sources_left.begin());
        if (source == Source::Cached) {
            for (const auto& endpoint : m_plan.cached)
                if (m_candidates_left.size() < candidates_per_source_limit)
                    m_candidates_left.push_back({endpoint, source});
            if (m_candidates_left.empty()) {
                out.push_back(GaveUp{
                    source, std::nullopt, {ErrorCode::NotFound, "no gateway address is cached"}});
                continue;
            }
            return next_candidate(now, out);
        }
        const auto& resolvers =
            source == Source::PublicDns ? m_plan.public_resolvers : m_plan.dhcp_resolvers;
        if (resolvers.empty()) {
            out.push_back(GaveUp{
                source, std::nullopt, {ErrorCode::NotFound, "no resolver of this kind is known"}});
            continue;
        }
        m_lookup_source = source;
        m_current_id = m_next_id++;
        m_deadline = now + m_plan.lookup_timeout;
        out.push_back(Lookup{m_current_id, source, m_plan.gateway_name, m_plan.service, m_plan.port,
                             resolvers.front()});
        return;
    }
    out.push_back(Exhausted{});
}

void Discovery::next_candidate(Instant now, std::vector<Action>& out) {
    m_attempt.reset();
    m_deadline.reset();
    std::erase_if(m_candidates_left, [this](const Candidate& candidate) {
        return std::ranges::contains(m_tried, candidate.endpoint);
    });
    if (m_candidates_left.empty()) return next_source(now, out);
    m_attempt = m_candidates_left.front();
    m_candidates_left.erase(m_candidates_left.begin());
    m_tried.push_back(m_attempt->endpoint);
    m_current_id = m_next_id++;
    m_deadline = now + m_plan.attempt_timeout;
    out.push_back(Attempt{m_current_id, *m_attempt});
}

std::vector<Discovery::Action> Discovery::looked_up(Id id, Result<std::vector<Endpoint>> answer,
                                                    Instant now) {
    if (!m_lookup_source || id != m_current_id) return {};  // late news of a cancelled look-up
    std::vector<Action> out;
    const Source source = *m_lookup_source;
    m_lookup_source.reset();
    if (!answer) {
        out.push_back(GaveUp{source, std::nullopt, std::move(answer).error()});
    } else if (answer->empty()) {
        out.push_back(GaveUp{
            source, std::nullopt, {ErrorCode::NameNotResolved, "the name has no addresses"}});
    } else {
        for (const auto& endpoint : *answer)
            if (m_candidates_left.size() < candidates_per_source_limit)
                m_candidates_left.push_back({endpoint, source});
    }
    next_candidate(now, out);
    return out;
}

std::vector<Discovery::Action> Discovery::attempt_failed(Id id, Error error, Instant now) {
    if (!m_attempt || id != m_current_id) return {};
    std::vector<Action> out;
    out.push_back(GaveUp{m_attempt->source, m_attempt->endpoint, std::move(error)});
    next_candidate(now, out);
    return out;
}

void Discovery::attempt_authenticated(Id id) {
    if (m_attempt && id == m_current_id) m_deadline.reset();
}

std::vector<Discovery::Action> Discovery::tick(Instant now) {
    if (!m_deadline || now < *m_deadline) return {};
    std::vector<Action> out;
    if (m_lookup_source) {
        const Source source = *m_lookup_source;
        m_lookup_source.reset();
        out.push_back(CancelLookup{m_current_id});
        out.push_back(GaveUp{
            source,
            std::nullopt,
            {ErrorCode::Timeout, "no resolver answered within " + to_text(m_plan.lookup_timeout)}});
        next_candidate(now, out);
    } else if (m_attempt) {
        const Candidate candidate = *m_attempt;
        out.push_back(CancelAttempt{m_current_id});
        out.push_back(GaveUp{candidate.source,
                             candidate.endpoint,
                             {ErrorCode::Timeout,
                              "did not authenticate within " + to_text(m_plan.attempt_timeout)}});
        next_candidate(now, out);
    }
    return out;
}

}  // namespace fortros
