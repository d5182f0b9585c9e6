#include "core/discovery.h"

#include <algorithm>
#include <array>
#include <ranges>
#include <utility>

namespace fortros {

static constexpr std::array all_sources = {Source::Cached, Source::PublicDns, Source::DhcpDns};

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
        give_up(id, source, std::nullopt, std::move(answer).error(), resolvers.ifindex);
    else if (answer->empty())
        give_up(id, source, std::nullopt, {ErrorCode::NameNotResolved, "the name has no addresses"},
                resolvers.ifindex);
    else {
        Run& run = run_of(source);
        take_in(run,
                std::span(*answer).first(std::min(answer->size(), candidates_per_source_limit)));
        run.next_lookup = now + m_plan.head_start;
    }
    return advance(now);
}

std::vector<Discovery::Action> Discovery::attempt_connected(Id id, Instant now) {
    const auto* attempt = attempt_of(id);
    if (attempt) m_next_source = std::max(m_next_source, now + m_plan.head_start);
    if (attempt && attempt->candidate.ifindex == 0) m_detours.hold_back(now + m_plan.head_start);
    return advance(now);
}

std::vector<Discovery::Action> Discovery::attempt_failed(Id id, Error error, Instant now) {
    const bool was_winner = m_winner && m_winner->id == id;
    const auto attempt = remove_attempt(id);
    if (!attempt) return {};
    const Candidate& candidate = attempt->candidate;
    const bool was_heard =
        was_winner && error.code != ErrorCode::Unreachable && error.code != ErrorCode::Timeout;
    if (was_heard) {  // by another link it would say the same
        m_plan.left_out.push_back(candidate.endpoint);
        m_detours.forget(candidate.endpoint);
        for (Run& run : m_runs) std::erase(run.candidates, candidate.endpoint);
    }
    if (error.code == ErrorCode::Unreachable) m_unreached.push_back(candidate);
    if (candidate.ifindex == 0) m_detours.hurry(candidate.endpoint, now);
    give_up(id, candidate.source, candidate.endpoint, std::move(error), candidate.ifindex);
    m_next_attempt = now;
    return advance(now);
}

std::vector<Discovery::Action> Discovery::set_aside(Id id, Instant now) {
    if (!remove_attempt(id)) return {};
    m_next_attempt = now;
    return advance(now);
}

void Discovery::left_by(Id id, unsigned ifindex) {
    if (ifindex == 0) return;
    if (const auto attempt = std::ranges::find(m_attempts, id, &RunningAttempt::id);
        attempt != m_attempts.end()) {
        attempt->link = ifindex;
        m_detours.leave_out(attempt->candidate.endpoint, ifindex);
    }
    const auto lookup = std::ranges::find(m_lookups, id, &RunningLookup::id);
    if (lookup == m_lookups.end() || lookup->source != Source::PublicDns) return;
    const ResolverSet same{lookup->resolvers.servers, ifindex};
    std::erase(run_of(lookup->source).resolvers, same);
    if (!std::ranges::contains(m_plan.public_resolvers, same))
        m_plan.public_resolvers.push_back(same);
}

// Takes the new ones over, as known and as to be asked.
static void add_new(const std::vector<ResolverSet>& found, std::vector<ResolverSet>& known,
                    std::vector<ResolverSet>* to_ask) {
    for (const auto& resolvers : found) {
        if (std::ranges::contains(known, resolvers)) continue;
        known.push_back(resolvers);
        if (to_ask) to_ask->push_back(resolvers);
    }
}

std::vector<Discovery::Action> Discovery::learn(const DiscoveryPlan& plan, Instant now) {
    const auto before = std::exchange(m_plan.links, plan.links);
    for (const auto& candidate : std::exchange(m_unreached, {})) {
        if (std::ranges::contains(m_plan.left_out, candidate.endpoint)) continue;
        if (candidate.ifindex != 0) {
            m_detours.put_back(candidate);
            continue;
        }
        std::erase(m_tried, candidate);
        run_of(candidate.source).candidates.push_back(candidate.endpoint);
    }
    for (auto& [source, resolvers] : std::exchange(m_unheard, {}))
        run_of(source).resolvers.push_back(std::move(resolvers));
    detour_by_new_links(before, now);
    for (Run& run : m_runs) {
        auto* to_ask = run.started ? &run.resolvers : nullptr;
        if (run.source == Source::PublicDns)
            add_new(plan.public_resolvers, m_plan.public_resolvers, to_ask);
        if (run.source == Source::DhcpDns)
            add_new(plan.dhcp_resolvers, m_plan.dhcp_resolvers, to_ask);
    }
    return advance(now);
}

// What is cancelled goes back to where it came from, to its old place: the first of its source.
std::vector<Discovery::Action> Discovery::attempt_authenticated(Id id) {
    auto winner = remove_attempt(id);
    if (!winner) return {};
    m_winner = std::move(winner);
    for (const auto& attempt : std::views::reverse(m_attempts)) {
        m_out.push_back(CancelAttempt{attempt.id});
        if (attempt.candidate.ifindex != 0) {
            m_detours.put_back(attempt.candidate);
            continue;
        }
        Run& run = run_of(attempt.candidate.source);
        run.candidates.insert(run.candidates.begin(), attempt.candidate.endpoint);
        std::erase(m_tried, attempt.candidate);
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

const Discovery::RunningAttempt* Discovery::attempt_of(Id id) const {
    if (m_winner && m_winner->id == id) return &*m_winner;
    const auto attempt = std::ranges::find(m_attempts, id, &RunningAttempt::id);
    return attempt == m_attempts.end() ? nullptr : &*attempt;
}

std::optional<Candidate> Discovery::candidate_of(Id id) const {
    const auto* attempt = attempt_of(id);
    return attempt ? std::optional(attempt->candidate) : std::nullopt;
}

unsigned Discovery::link_of(Id id) const {
    const auto* attempt = attempt_of(id);
    return attempt ? attempt->link : 0;
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
            {ErrorCode::Timeout, "no resolver answered within " + to_text(m_plan.lookup_timeout)},
            lookup.resolvers.ifindex);
        return true;
    });
    std::erase_if(m_attempts, [&](const RunningAttempt& attempt) {
        if (now < attempt.deadline) return false;
        m_out.push_back(CancelAttempt{attempt.id});
        give_up(
            attempt.id, attempt.candidate.source, attempt.candidate.endpoint,
            {ErrorCode::Timeout, "did not authenticate within " + to_text(m_plan.attempt_timeout)},
            attempt.candidate.ifindex);
        if (attempt.candidate.ifindex == 0) m_detours.hurry(attempt.candidate.endpoint, now);
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
        const bool may_detour = may_take_detour(now);
        if (!has_untried() && !may_detour) {
            if (const auto due = m_detours.next_due()) wake(*due);
            return;
        }
        if (!m_attempts.empty() && now < m_next_attempt) return wake(m_next_attempt);
        // In turn, so that neither many candidates nor many links keep the others waiting.
        m_took_detour = may_detour && !(m_took_detour && has_untried());
        const Candidate candidate = m_took_detour ? m_detours.take() : take_candidate();
        const Id id = m_next_id++;
        m_attempts.push_back({id, candidate, now + m_plan.attempt_timeout, candidate.ifindex});
        m_next_attempt = now + attempt_stagger;
        wake(m_attempts.back().deadline);
        m_out.push_back(Attempt{id, candidate});
        if (candidate.ifindex != 0) continue;
        m_tried.push_back(candidate);
        for (Run& run : m_runs) std::erase(run.candidates, candidate.endpoint);
        m_detours.add(candidate, ways_to(candidate.endpoint.address, m_plan.links),
                      now + m_plan.head_start);
    }
}

// One after the other means that first everything is tried as the routes lead.
bool Discovery::may_take_detour(Instant now) const {
    if (!m_plan.race) return !m_detours.empty() && !has_untried();
    return m_detours.next_due().value_or(Instant::max()) <= now;
}

bool Discovery::has_untried() const {
    return std::ranges::any_of(m_runs, [](const Run& run) { return !run.candidates.empty(); });
}

// What is under way keeps its head start; what has failed has had it.
void Discovery::detour_by_new_links(const std::vector<Uplink>& before, Instant now) {
    for (const Candidate& tried : m_tried) {
        if (std::ranges::contains(m_plan.left_out, tried.endpoint)) continue;
        auto ways = ways_to(tried.endpoint.address, m_plan.links);
        std::erase_if(ways, [&](const Uplink& way) {
            const auto known = std::ranges::find(before, way.ifindex, &Uplink::ifindex);
            return known != before.end() && known->leads_to(tried.endpoint.address);
        });
        const auto running = std::ranges::find(m_attempts, tried, &RunningAttempt::candidate);
        const Instant due = running == m_attempts.end()
                                ? now
                                : running->deadline - m_plan.attempt_timeout + m_plan.head_start;
        m_detours.add(tried, ways, due);
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
        if (!std::ranges::contains(m_tried, endpoint, &Candidate::endpoint) &&
            !std::ranges::contains(m_plan.left_out, endpoint) &&
            !std::ranges::contains(run.candidates, endpoint))
            run.candidates.push_back(endpoint);
}

Discovery::Run& Discovery::run_of(Source source) {
    return *std::ranges::find(m_runs, source, &Run::source);
}

bool Discovery::has_work(const Run& run) const {
    return !run.started || !run.resolvers.empty() || !run.candidates.empty() || is_asking(run) ||
           is_trying(run) || m_detours.has(run.source);
}

bool Discovery::is_anything_under_way() const {
    return !m_lookups.empty() || !m_attempts.empty() || has_untried() || !m_detours.empty();
}

bool Discovery::is_asking(const Run& run) const {
    return std::ranges::contains(m_lookups, run.source, &RunningLookup::source);
}

bool Discovery::is_trying(const Run& run) const {
    return std::ranges::any_of(m_attempts, [&](const RunningAttempt& attempt) {
        return attempt.candidate.source == run.source;
    });
}

void Discovery::give_up(Id id, Source source, std::optional<Endpoint> endpoint, Error error,
                        unsigned ifindex) {
    m_out.push_back(GaveUp{id, source, endpoint, std::move(error), ifindex});
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
