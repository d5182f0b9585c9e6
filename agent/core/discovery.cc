#include "core/discovery.h"

#include <algorithm>
#include <array>
#include <ranges>
#include <utility>

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
        if (m_plan.sources.has(source)) m_runs.push_back({.source = source});
}

// --- what it is told ------------------------------------------------------------------------------

std::vector<Discovery::Action> Discovery::start(Instant now) {
    m_next_source = m_next_attempt = now;
    return advance(now);
}

std::vector<Discovery::Action> Discovery::tick(Instant now) { return advance(now); }

std::vector<Discovery::Action> Discovery::looked_up(Id id, Result<std::vector<Endpoint>> answer,
                                                    Instant now) {
    const auto lookup = std::ranges::find(m_lookups, id, &RunningLookup::id);
    if (lookup == m_lookups.end()) return {};
    const Source source = lookup->source;
    const ResolverSet resolvers = std::move(lookup->resolvers);
    m_lookups.erase(lookup);
    if (!answer && answer.error().code == ErrorCode::Unreachable)
        m_unheard.emplace_back(source, resolvers);
    if (!answer)
        give_up(id, source, std::nullopt, std::move(answer).error());
    else if (answer->empty())
        give_up(id, source, std::nullopt,
                {ErrorCode::NameNotResolved, "the name has no addresses"});
    else {
        Run& run = run_of(source);
        take_in(run,
                std::span(*answer).first(std::min(answer->size(), candidates_per_source_limit)));
        run.next_lookup = now + m_plan.head_start;
    }
    return advance(now);
}

std::vector<Discovery::Action> Discovery::attempt_connected(Id id, Instant now) {
    if (std::ranges::contains(m_attempts, id, &RunningAttempt::id))
        m_next_source = std::max(m_next_source, now + m_plan.head_start);
    return advance(now);
}

std::vector<Discovery::Action> Discovery::attempt_failed(Id id, Error error, Instant now) {
    const auto attempt = remove_attempt(id);
    if (!attempt) return {};
    const Candidate& candidate = attempt->candidate;
    if (error.code == ErrorCode::Unreachable) m_unreached.push_back(candidate);
    give_up(id, candidate.source, candidate.endpoint, std::move(error));
    m_next_attempt = now;
    return advance(now);
}

std::vector<Discovery::Action> Discovery::set_aside(Id id, Instant now) {
    if (!remove_attempt(id)) return {};
    m_next_attempt = now;
    return advance(now);
}

std::vector<Discovery::Action> Discovery::learn(const std::vector<ResolverSet>& dhcp_resolvers,
                                                Instant now) {
    for (const auto& candidate : std::exchange(m_unreached, {})) {
        std::erase(m_tried, candidate.endpoint);
        run_of(candidate.source).candidates.push_back(candidate.endpoint);
    }
    for (auto& [source, resolvers] : std::exchange(m_unheard, {}))
        run_of(source).resolvers.push_back(std::move(resolvers));
    const auto run = std::ranges::find(m_runs, Source::DhcpDns, &Run::source);
    if (run == m_runs.end()) return advance(now);
    for (const auto& resolvers : dhcp_resolvers) {
        if (std::ranges::contains(m_plan.dhcp_resolvers, resolvers)) continue;
        m_plan.dhcp_resolvers.push_back(resolvers);
        if (run->started) run->resolvers.push_back(resolvers);
    }
    return advance(now);
}

// What is cancelled goes back to where it came from, to its old place: the first of its source.
std::vector<Discovery::Action> Discovery::attempt_authenticated(Id id) {
    auto winner = remove_attempt(id);
    if (!winner) return {};
    m_winner = std::move(winner);
    for (const auto& attempt : std::views::reverse(m_attempts)) {
        const Endpoint& endpoint = attempt.candidate.endpoint;
        Run& run = run_of(attempt.candidate.source);
        run.candidates.insert(run.candidates.begin(), endpoint);
        std::erase(m_tried, endpoint);
        m_out.push_back(CancelAttempt{attempt.id});
    }
    for (auto& lookup : std::views::reverse(m_lookups)) {
        Run& run = run_of(lookup.source);
        run.resolvers.insert(run.resolvers.begin(), std::move(lookup.resolvers));
        m_out.push_back(CancelLookup{lookup.id});
    }
    m_attempts.clear();
    m_lookups.clear();
    m_deadline.reset();
    return std::exchange(m_out, {});
}

std::optional<Candidate> Discovery::candidate_of(Id id) const {
    if (m_winner && m_winner->id == id) return m_winner->candidate;
    const auto attempt = std::ranges::find(m_attempts, id, &RunningAttempt::id);
    if (attempt == m_attempts.end()) return std::nullopt;
    return attempt->candidate;
}

// --- what follows from it -------------------------------------------------------------------------

// Looks at everything anew and does what is due, so that the order of news does not matter.
std::vector<Discovery::Action> Discovery::advance(Instant now) {
    m_deadline.reset();
    if (m_winner || m_exhausted) return std::exchange(m_out, {});
    end_overdue(now);
    start_sources(now);
    start_attempts(now);
    if (std::ranges::none_of(m_runs, [this](const Run& run) { return has_work(run); })) {
        m_exhausted = true;
        m_deadline.reset();
        m_out.push_back(Exhausted{});
    }
    return std::exchange(m_out, {});
}

void Discovery::wake(Instant at) { m_deadline = std::min(at, m_deadline.value_or(at)); }

void Discovery::end_overdue(Instant now) {
    std::erase_if(m_lookups, [&](const RunningLookup& lookup) {
        if (now < lookup.deadline) return false;
        m_out.push_back(CancelLookup{lookup.id});
        give_up(
            lookup.id, lookup.source, std::nullopt,
            {ErrorCode::Timeout, "no resolver answered within " + to_text(m_plan.lookup_timeout)});
        return true;
    });
    std::erase_if(m_attempts, [&](const RunningAttempt& attempt) {
        if (now < attempt.deadline) return false;
        m_out.push_back(CancelAttempt{attempt.id});
        give_up(
            attempt.id, attempt.candidate.source, attempt.candidate.endpoint,
            {ErrorCode::Timeout, "did not authenticate within " + to_text(m_plan.attempt_timeout)});
        m_next_attempt = now;
        return true;
    });
    for (const auto& lookup : m_lookups) wake(lookup.deadline);
    for (const auto& attempt : m_attempts) wake(attempt.deadline);
}

// In order, each when those before it have nothing left or have had their head start.
void Discovery::start_sources(Instant now) {
    for (Run& run : m_runs) {
        if (!run.started) {
            const bool must_wait = std::ranges::any_of(
                m_runs, [this](const Run& other) { return other.started && has_work(other); });
            if (must_wait && m_plan.race && now < m_next_source) return wake(m_next_source);
            if (must_wait && !m_plan.race) return;
            m_next_source = now + m_plan.head_start;
            start(run, now);
        }
        start_lookups(run, now);
    }
}

void Discovery::start(Run& run, Instant now) {
    run.started = true;
    run.next_lookup = now;
    switch (run.source) {
        case Source::Cached:
            if (m_plan.cached.empty())
                return give_up(0, run.source, std::nullopt,
                               {ErrorCode::NotFound, "no gateway address is cached"});
            return take_in(run, m_plan.cached);
        case Source::PublicDns: run.resolvers = m_plan.public_resolvers; break;
        case Source::DhcpDns: run.resolvers = m_plan.dhcp_resolvers; break;
    }
    if (run.resolvers.empty())
        give_up(0, run.source, std::nullopt,
                {ErrorCode::NotFound, "no resolver of this kind is known"});
}

// A resolver's answer may be a lie, so those that were not asked yet stay in reserve: until what it
// named has failed, or has had a head start.
void Discovery::start_lookups(Run& run, Instant now) {
    while (!run.resolvers.empty()) {
        const bool is_busy = is_asking(run) || is_trying(run) || !run.candidates.empty();
        if (!m_plan.race && is_anything_under_way()) return;
        if (is_busy && now < run.next_lookup) return wake(run.next_lookup);
        const Id id = m_next_id++;
        m_lookups.push_back({id, run.source, run.resolvers.front(), now + m_plan.lookup_timeout});
        run.resolvers.erase(run.resolvers.begin());
        run.next_lookup = now + lookup_stagger;
        wake(m_lookups.back().deadline);
        m_out.push_back(Lookup{id, run.source, m_plan.gateway_name, m_plan.service, m_plan.port,
                               m_lookups.back().resolvers});
    }
}

void Discovery::start_attempts(Instant now) {
    const std::size_t limit = m_plan.race ? attempts_at_once : 1;
    while (m_attempts.size() < limit) {
        if (std::ranges::all_of(m_runs, &std::vector<Endpoint>::empty, &Run::candidates)) return;
        if (!m_attempts.empty() && now < m_next_attempt) return wake(m_next_attempt);
        const Candidate candidate = take_candidate();
        const Id id = m_next_id++;
        m_tried.push_back(candidate.endpoint);
        for (Run& run : m_runs) std::erase(run.candidates, candidate.endpoint);
        m_attempts.push_back({id, candidate, now + m_plan.attempt_timeout});
        m_next_attempt = now + attempt_stagger;
        wake(m_attempts.back().deadline);
        m_out.push_back(Attempt{id, candidate});
    }
}

// Of the source that was served least, so that many dead addresses of one do not keep a good one of
// another waiting; and of the family that this source's last attempt was not of.
Candidate Discovery::take_candidate() {
    Run* next = nullptr;
    for (Run& run : m_runs)
        if (!run.candidates.empty() && (!next || (m_plan.race && run.attempts < next->attempts)))
            next = &run;
    auto chosen = next->candidates.begin();
    if (m_plan.race && next->last_family) {
        const auto other = std::ranges::find_if(next->candidates, [&](const Endpoint& endpoint) {
            return endpoint.address.family() != *next->last_family;
        });
        if (other != next->candidates.end()) chosen = other;
    }
    const Endpoint endpoint = *chosen;
    next->candidates.erase(chosen);
    next->last_family = endpoint.address.family();
    ++next->attempts;
    return {endpoint, next->source};
}

// --- small things ---------------------------------------------------------------------------------

void Discovery::take_in(Run& run, std::span<const Endpoint> endpoints) {
    for (const auto& endpoint : endpoints)
        if (!std::ranges::contains(m_tried, endpoint) &&
            !std::ranges::contains(run.candidates, endpoint))
            run.candidates.push_back(endpoint);
}

Discovery::Run& Discovery::run_of(Source source) {
    return *std::ranges::find(m_runs, source, &Run::source);
}

bool Discovery::has_work(const Run& run) const {
    return !run.started || !run.resolvers.empty() || !run.candidates.empty() || is_asking(run) ||
           is_trying(run);
}

bool Discovery::is_anything_under_way() const {
    return !m_lookups.empty() || !m_attempts.empty() ||
           std::ranges::any_of(m_runs, [](const Run& run) { return !run.candidates.empty(); });
}

bool Discovery::is_asking(const Run& run) const {
    return std::ranges::contains(m_lookups, run.source, &RunningLookup::source);
}

bool Discovery::is_trying(const Run& run) const {
    return std::ranges::any_of(m_attempts, [&](const RunningAttempt& attempt) {
        return attempt.candidate.source == run.source;
    });
}

void Discovery::give_up(Id id, Source source, std::optional<Endpoint> endpoint, Error error) {
    m_out.push_back(GaveUp{id, source, endpoint, std::move(error)});
}

std::optional<Discovery::RunningAttempt> Discovery::remove_attempt(Id id) {
    if (m_winner && m_winner->id == id) return std::exchange(m_winner, std::nullopt);
    const auto attempt = std::ranges::find(m_attempts, id, &RunningAttempt::id);
    if (attempt == m_attempts.end()) return std::nullopt;
    auto removed = std::move(*attempt);
    m_attempts.erase(attempt);
    return removed;
}

}  // namespace fortros
