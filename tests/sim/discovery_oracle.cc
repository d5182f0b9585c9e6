#include "sim/discovery_oracle.h"

#include <algorithm>
#include <bit>
#include <ranges>
#include <set>

namespace fortros::sim {

using namespace fakes;

bool is_policy_lost(Past past) {
    return past == Past::StateMissing || past == Past::StateCorrupt || past == Past::StateOfAnother;
}

namespace {

// What storing, configuring and rounding may add.
constexpr Duration slack = 1s;
constexpr Duration local_slack = 50ms;

// --- what may be used -----------------------------------------------------------------------------

// Who has a key and no invite can only have been enrolled, whatever is remembered.
bool is_provisioned(const RandomWorld& world) {
    const Past past = world.past;
    const bool begun = past == Past::Begun || past == Past::BegunTwice;
    return past == Past::Enrolled || past == Past::EnrolledNoMemory || is_policy_lost(past) ||
           (begun && !world.has_invite);
}

SourceSet allowed_sources(const RandomWorld& world) {
    const Settings& settings = world.boot_world.settings;
    SourceSet allowed = settings.sources;
    if (is_policy_lost(world.past)) allowed = allowed & SourceSet::only(Source::Cached);
    if (is_provisioned(world) && settings.sources_enrolled)
        allowed = allowed & *settings.sources_enrolled;
    const auto& state = world.boot_world.stored_state;
    if (state && state->policy) allowed = allowed & *state->policy;
    return allowed;
}

std::set<AskedResolver> resolvers_of(const BootWorld& world, SourceSet allowed) {
    std::set<AskedResolver> all;
    if (allowed.has(Source::PublicDns))
        for (const auto& server : world.settings.public_resolvers) all.insert({server, 0});
    if (allowed.has(Source::DhcpDns))
        for (const auto& link : world.links)
            for (const auto& piece : link.is.pieces())
                if (piece.value.up)
                    for (const auto& server : piece.value.resolvers)
                        all.insert({server, link.report.ifindex});
    return all;
}

bool ever_portal(const BootWorld& world) {
    return std::ranges::any_of(world.links, [](const FakeLink& link) {
        return std::ranges::any_of(link.is.pieces(),
                                   [](const auto& piece) { return piece.value.portal; });
    });
}

// As far as a look-up takes an answer in.
std::vector<Endpoint> first_of(std::vector<Endpoint> endpoints) {
    if (endpoints.size() > candidates_per_source_limit)
        endpoints.resize(candidates_per_source_limit);
    return endpoints;
}

// All that anybody who may be asked could ever name.
std::set<Endpoint> nameable(const BootWorld& world, const Expectation& expected) {
    std::set<Endpoint> all;
    if (expected.allowed.has(Source::Cached))
        all.insert(expected.cached.begin(), expected.cached.end());
    for (const auto& asked : expected.resolvers) {
        const auto known = world.resolvers.find(asked.server);
        if (known == world.resolvers.end()) continue;
        for (const auto& piece : known->second.says.pieces())
            for (const auto& endpoint : first_of(piece.value.endpoints)) all.insert(endpoint);
    }
    if (!expected.resolvers.empty() && ever_portal(world)) all.insert(world.portal);
    return all;
}

template <typename Predicate>
bool ever(const BootWorld& world, const Endpoint& endpoint, Predicate is) {
    const auto known = world.hosts.find(endpoint);
    return known != world.hosts.end() &&
           std::ranges::any_of(known->second.is.pieces(),
                               [&](const auto& piece) { return is(piece.value); });
}

// --- how long it may take -------------------------------------------------------------------------

// How often something may be tried: by the routes and by each link, where there are several.
std::ptrdiff_t ways_of(const BootWorld& world) {
    return world.links.size() > 1 ? std::ssize(world.links) + 1 : 1;
}

// Going through everything once. Who authenticates and is of no use costs its conversation, and what
// was under way meanwhile begins anew.
Duration round_bound(const BootWorld& world, const Expectation& expected,
                     const std::set<Endpoint>& endpoints) {
    const Settings& settings = world.settings;
    const auto count = [&](auto is) {
        return std::ranges::count_if(
            endpoints, [&](const Endpoint& endpoint) { return ever(world, endpoint, is); });
    };
    const auto ways = ways_of(world);
    const auto all = std::ssize(endpoints) * ways;
    const auto lookups = std::ssize(expected.resolvers) * ways;
    const auto sources = std::popcount(expected.allowed.bits()) + (ways > 1);
    const auto talkative = count(authenticates) * ways;
    const auto connectable =
        ever_portal(world) ? all : ways * count([](Host host) {
                                       return host != Host::Silent && host != Host::Refusing;
                                   });
    const Duration attempt = settings.attempt_timeout;
    const Duration lookup = expected.resolvers.empty() ? Duration{} : settings.lookup_timeout;
    if (!settings.race) return lookup * lookups + attempt * (all + talkative) + slack;

    const Duration heads = settings.head_start * (sources - 1) * (1 + connectable);
    const Duration asking = lookup_stagger * lookups + lookup;
    // What is named one after the other waits for the one before; what is named together shares.
    const auto waves = std::min<std::ptrdiff_t>(lookups + 1, all) +
                       all / static_cast<std::ptrdiff_t>(attempts_at_once) + 1;
    const Duration trying = attempt_stagger * all + attempt * waves;
    const Duration again = attempt + attempt_stagger * attempts_at_once + lookup;
    return heads + asking + trying + (attempt + again) * talkative + slack;
}

// Only whoever has asked for patience itself is waited for.
Duration pause_bound(const BootWorld& world, const Endpoint& endpoint) {
    Duration patience{};
    if (ever(world, endpoint,
             [](Host host) { return host == Host::Busy || host == Host::Pending; }))
        patience = std::chrono::seconds{world.hosts.at(endpoint).retry_after};
    return std::max(world.settings.retry_max, patience + patience / 5) + slack;
}

// --- whether there is a way -----------------------------------------------------------------------

struct Path {
    std::optional<AskedResolver> resolver{};  // absent: cached
    Endpoint endpoint;
    unsigned ifindex = 0;   // to the endpoint by this link; 0: as the routes lead
    unsigned asked_by = 0;  // the same for a public resolver

    bool is_detour() const { return ifindex != 0 || asked_by != 0; }

    std::string text() const {
        const auto by = [](unsigned link) {
            return link == 0 ? "" : ", by link " + std::to_string(link);
        };
        return endpoint.text() + by(ifindex) +
               (resolver ? " named by " + resolver->server.text() + by(asked_by) : " (cached)");
    }
};

bool is_up(const BootWorld& world, const Path& path, Instant now) {
    if (world.seen(path.endpoint, path.ifindex, now) != Host::Gateway) return false;
    const auto& host = world.hosts.at(path.endpoint);
    if (2 * host.round_trip.value_or(world.round_trip) + local_slack >=
        world.settings.attempt_timeout)
        return false;
    if (!path.resolver) return true;
    const auto& [server, ifindex] = *path.resolver;
    if (ifindex != 0) {  // still one of its link's
        const auto link = std::ranges::find(world.links, ifindex,
                                            [](const FakeLink& one) { return one.report.ifindex; });
        if (!std::ranges::contains(link->is.at(now).resolvers, server)) return false;
    }
    const auto answer = world.heard(server, ifindex != 0 ? ifindex : path.asked_by, now);
    const Duration delay = world.resolvers.at(server).delay.value_or(world.round_trip);
    return answer.kind == DnsAnswer::Kind::Addresses &&
           std::ranges::contains(first_of(answer.endpoints), path.endpoint) &&
           delay + local_slack < world.settings.lookup_timeout;
}

// Every moment at which anything changes.
std::set<Instant> changes(const BootWorld& world) {
    std::set<Instant> moments;
    const auto add = [&moments](const auto& timeline) {
        for (const auto& piece : timeline.pieces()) moments.insert(piece.from);
    };
    for (const auto& link : world.links) add(link.is);
    for (const auto& [address, resolver] : world.resolvers) add(resolver.says);
    for (const auto& [endpoint, host] : world.hosts) add(host.is);
    return moments;
}

// By the routes, and where there are several links by each of them.
std::vector<Path> paths_of(const BootWorld& world, const Expectation& expected,
                           const std::set<Endpoint>& endpoints) {
    std::vector<unsigned> ways = {0};
    if (world.links.size() > 1)
        for (const auto& link : world.links) ways.push_back(link.report.ifindex);
    std::vector<Path> paths;
    for (const unsigned way : ways) {
        if (expected.allowed.has(Source::Cached))
            for (const auto& endpoint : expected.cached) paths.push_back({{}, endpoint, way});
        for (const auto& asked : expected.resolvers)
            for (const auto& endpoint : endpoints) {
                paths.push_back({asked, endpoint, way});
                if (asked.ifindex != 0) continue;
                for (const unsigned asked_by : ways)
                    if (asked_by != 0) paths.push_back({asked, endpoint, way, asked_by});
            }
    }
    return paths;
}

std::optional<Instant> first_usable(const BootWorld& world) {
    std::optional<Instant> first;
    for (const auto& link : world.links)
        for (const auto& piece : link.is.pieces())
            if (piece.value.up && (!first || piece.from < *first)) first = piece.from;
    const auto limit =
        Instant{} + std::min(world.settings.link_timeout, world.settings.total_timeout);
    if (first && *first >= limit) return std::nullopt;
    return first;
}

// A path that is up from the first link on, until `gone`: no round is ahead of it, only what this one
// may begin before it.
Duration first_round_bound(const BootWorld& world, const Expectation& expected,
                           const std::set<Endpoint>& endpoints, const Path& path,
                           const std::set<Instant>& moments, Instant gone) {
    const Settings& settings = world.settings;
    if (!settings.race) return expected.round;
    // Somebody who is a gateway all the while would do as well.
    const auto may_cost_time = [&](const Endpoint& endpoint) {
        return ever(world, endpoint, authenticates) &&
               !std::ranges::all_of(moments, [&](Instant moment) {
                   return moment < *expected.first_link || moment >= gone ||
                          is_up(world, {{}, endpoint}, moment);
               });
    };
    const auto ways = ways_of(world);
    const auto all = std::ssize(endpoints) * ways;
    const auto connectable = ways * std::ranges::count_if(endpoints, [&](const Endpoint& endpoint) {
                                 return ever_portal(world) || ever(world, endpoint, [](Host host) {
                                            return host != Host::Silent && host != Host::Refusing;
                                        });
                             });
    const auto costly = ways * std::ranges::count_if(endpoints, may_cost_time);
    const Duration attempt = settings.attempt_timeout;
    // Six at once: the seventh waits for one of them to fail.
    const auto full = (all - 1) / static_cast<std::ptrdiff_t>(attempts_at_once);
    Duration lookup{};
    Duration bound = attempt_stagger * all + attempt * full +
                     2 * world.hosts.at(path.endpoint).round_trip.value_or(world.round_trip) +
                     slack;
    if (path.is_detour()) bound += settings.head_start * (1 + connectable);
    if (path.resolver) {
        const bool by_dhcp = path.resolver->ifindex != 0;
        const auto earlier = SourceSet(expected.allowed).has(Source::Cached) +
                             (by_dhcp && expected.allowed.has(Source::PublicDns));
        // As long as somebody whom an earlier resolver named is tried, the next is not asked.
        const auto before =
            std::ranges::count_if(expected.resolvers, [&](const AskedResolver& asked) {
                return (asked.ifindex != 0) == by_dhcp && asked != *path.resolver;
            });
        lookup = world.resolvers.at(path.resolver->server).delay.value_or(world.round_trip);
        bound += settings.head_start * earlier * (1 + connectable) + lookup +
                 (lookup_stagger + attempt) * (before * ways + ways - 1);
    }
    // Whoever authenticates and is of no use costs its conversation, and what was under way
    // meanwhile begins anew.
    return bound + (attempt * (2 + full) + attempt_stagger * attempts_at_once + lookup) * costly;
}

// Looks for the window that makes the join due first.
void find_due(const BootWorld& world, Expectation& expected) {
    const auto endpoints = nameable(world, expected);
    expected.round = round_bound(world, expected, endpoints);
    for (const auto& endpoint : endpoints)
        expected.pause = std::max(expected.pause, pause_bound(world, endpoint));
    if (!expected.first_link) return;
    const Instant begin = *expected.first_link;
    const auto anybody = [&](Host kind) {
        return std::ranges::any_of(endpoints, [&](const Endpoint& endpoint) {
            return ever(world, endpoint, [kind](Host host) { return host == kind; });
        });
    };
    if (anybody(Host::Revokes)) return;  // whoever answers first decides
    const bool refused = anybody(Host::Refuses);
    Instant end = Instant{} + world.settings.total_timeout;
    if (anybody(Host::Pending)) end = std::min(end, begin + world.settings.approval_timeout);
    auto moments = changes(world);
    moments.insert(begin);
    moments.insert(end);
    // How long it must stay; absent: however long, somebody's refusal may come before.
    const auto needed = [&](const Path& path, Instant since,
                            Instant gone) -> std::optional<Duration> {
        if (since > begin && refused) return std::nullopt;
        const Duration pause = pause_bound(world, path.endpoint);
        if (since > begin) return expected.round * 2 + pause;
        const Duration first = first_round_bound(world, expected, endpoints, path, moments, gone);
        // Who is unknown tries again with the invite, perhaps only after a pause.
        return refused ? first * 2 + expected.round + pause : first;
    };
    for (const auto& path : paths_of(world, expected, endpoints)) {
        std::optional<Instant> since;
        for (const Instant moment : moments) {
            if (moment < begin || moment > end) continue;
            const bool up = moment < end && is_up(world, path, moment);
            if (up && !since) since = moment;
            if (up || !since) continue;
            const auto window = needed(path, *since, moment);
            if (window && moment - *since >= *window &&
                (!expected.due || *since + *window < *expected.due)) {
                expected.due = *since + *window;
                expected.from_the_start = *since == begin;
                expected.path = path.text() + ", up from " + to_text(*since - Instant{}) + " to " +
                                to_text(moment - Instant{});
            }
            since.reset();
        }
    }
}

}  // namespace

Expectation expect(const RandomWorld& world) {
    const BootWorld& around = world.boot_world;
    Expectation expected{.allowed = allowed_sources(world)};
    expected.resolvers = resolvers_of(around, expected.allowed);
    if (around.stored_state) expected.cached = around.stored_state->gateways;
    for (const auto& endpoint : around.settings.gateways)
        if (!std::ranges::contains(expected.cached, endpoint)) expected.cached.push_back(endpoint);
    const bool nothing =
        expected.allowed.empty() ||
        (expected.allowed == SourceSet::only(Source::Cached) && expected.cached.empty());
    if (nothing)
        expected.at_once =
            is_policy_lost(world.past) ? ExitStatus::PolicyLost : ExitStatus::NoGateway;
    else if (world.past == Past::NoneNoInvite)
        expected.at_once = ExitStatus::InviteMissing;
    expected.first_link = first_usable(around);
    if (!expected.at_once) find_due(around, expected);
    return expected;
}

bool is_ever(const BootWorld& world, const Endpoint& endpoint, Host kind) {
    return ever(world, endpoint, [kind](Host host) { return host == kind; });
}

}  // namespace fortros::sim
