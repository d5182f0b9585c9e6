// Discovery: which sources may name a gateway, when each is asked, and which candidate is tried when.
// A pure machine: it says what to look up and where to connect, and is told what came of it. It never
// trusts an answer; only authentication ends it.
//
//   cached ─────────────────────────▶┐
//   public-dns ─ head start, look-up ▶├─ candidates, families in turn ─ stagger ─▶ attempts ─┐
//   dhcp-dns ─── head start, look-up ▶┘        ▲ the next at once when one fails ◀────────────┤
//                                              └ the first to authenticate ends all the others ┘
//
// A source that has nothing left hands its turn to the next at once; one that is only slow does when
// its head start is over. What is cancelled because another authenticated is taken up again if that
// one turns out to be of no use. With race = false everything is done one after the other.
//
// Everything is tried as the kernel's routes lead. Where several links lead to a candidate, what the
// routes do not reach within a head start is tried by the others too (core/detours.h).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "core/address.h"
#include "core/detours.h"
#include "core/source.h"

namespace fortros {

// Resolvers that are asked together, in this order, the next when one is silent or broken.
struct ResolverSet {
    std::vector<IpAddress> servers{};
    unsigned ifindex =
        0;  // asked by this link only, which link-local ones are on; 0: by the routes
    bool operator==(const ResolverSet&) const = default;
};

struct DiscoveryPlan {
    SourceSet sources;
    std::vector<Endpoint> cached{};
    std::vector<ResolverSet> public_resolvers{};
    std::vector<ResolverSet> dhcp_resolvers{};
    std::vector<Uplink> links{};       // that work
    std::vector<Endpoint> left_out{};  // not to be tried, whoever names them
    std::string gateway_name;
    std::string service{};  // asked for SRV records beside the name; empty: none
    std::uint16_t port = 443;
    bool race = true;
    Duration head_start =
        500ms;  // of each source before the next, and of the routes before a detour
    Duration lookup_timeout = 5s;
    Duration attempt_timeout = 5s;
};

// Between two resolvers of a source, as long as none has named a candidate.
inline constexpr Duration lookup_stagger = 100ms;
// Between two attempts (RFC 8305 section 5 recommends 250 ms, and allows from 100 ms).
inline constexpr Duration attempt_stagger = 200ms;
inline constexpr std::size_t attempts_at_once = 6;

class Discovery {
public:
    using Id = std::uint32_t;

    // What the machine wants done.
    struct Lookup {
        Id id;
        Source source;
        std::string name;
        std::string service;
        std::uint16_t port;  // of the gateways that no SRV record names another for
        ResolverSet resolvers;
    };
    struct CancelLookup {
        Id id;
    };
    struct Attempt {
        Id id;
        Candidate candidate;
    };
    struct CancelAttempt {
        Id id;
    };
    // A source (id 0), one of its look-ups or a candidate is given up; for the log.
    struct GaveUp {
        Id id;
        Source source;
        std::optional<Endpoint> endpoint;
        Error error;
        unsigned ifindex = 0;  // it was bound to this link
    };
    struct Exhausted {};
    using Action = std::variant<Lookup, CancelLookup, Attempt, CancelAttempt, GaveUp, Exhausted>;

    // Ids are given from `first_id`, so that those of an earlier round are never taken for new ones.
    explicit Discovery(DiscoveryPlan plan, Id first_id = 1);

    std::vector<Action> start(Instant now);
    // News of an id that is not under way any more are ignored by all of these.
    std::vector<Action> looked_up(Id id, Result<std::vector<Endpoint>> answer, Instant now);
    // Somebody took the connection: that earns its source another head start before the next.
    std::vector<Action> attempt_connected(Id id, Instant now);
    std::vector<Action> attempt_failed(Id id, Error error, Instant now);
    // The attempt has won: everything else is cancelled, and no deadline runs. If it comes to nothing
    // after all (no answer, a bad answer), attempt_failed() goes on where the race was.
    std::vector<Action> attempt_authenticated(Id id);
    // The attempt went well and is not needed: the race goes on without a word about it.
    std::vector<Action> set_aside(Id id, Instant now);
    // By this link what is under way has left, as the routes lead: it needs no detour by the same.
    void left_by(Id id, unsigned ifindex);
    // A link came or changed: resolvers of this plan that are new are asked like the others, links
    // that lead to what was tried before are tried, and what could not be reached gets another chance.
    std::vector<Action> learn(const DiscoveryPlan& plan, Instant now);
    // Ends what is overdue and begins what is due.
    std::vector<Action> tick(Instant now);
    std::optional<Instant> deadline() const { return m_deadline; }

    std::optional<Candidate> candidate_of(Id id) const;
    // By which an attempt goes; 0: not known.
    unsigned link_of(Id id) const;
    Id next_id() const { return m_next_id; }

private:
    // A source whose turn has come or will come, in the order of preference.
    struct Run {
        Source source;
        bool started = false;
        std::vector<ResolverSet> resolvers{};  // not asked yet
        std::vector<Endpoint> candidates{};    // not tried yet
        unsigned attempts = 0;                 // begun
        std::optional<Family> last_family{};   // of the latest
        Instant next_lookup{};
    };
    struct RunningLookup {
        Id id;
        Source source;
        ResolverSet resolvers;
        Instant deadline;
    };
    struct RunningAttempt {
        Id id;
        Candidate candidate;
        Instant deadline;
        unsigned link;  // 0: not known
    };

    std::vector<Action> advance(Instant now);
    void end_overdue(Instant now);
    void start_sources(Instant now);
    void start_lookups(Run& run, Instant now);
    void start_attempts(Instant now);
    void start(Run& run, Instant now);
    void take_in(Run& run, std::span<const Endpoint> endpoints);
    void detour_by_new_links(const std::vector<Uplink>& before, Instant now);
    bool may_take_detour(Instant now) const;
    bool has_untried() const;
    Candidate take_candidate();  // there must be one
    Run& run_of(Source source);
    bool has_work(const Run& run) const;
    bool is_anything_under_way() const;
    bool is_asking(const Run& run) const;
    bool is_trying(const Run& run) const;
    const RunningAttempt* attempt_of(Id id) const;
    void give_up(Id id, Source source, std::optional<Endpoint> endpoint, Error error,
                 unsigned ifindex = 0);
    // Takes an attempt out; absent when there is none by this id.
    std::optional<RunningAttempt> remove_attempt(Id id);
    void wake(Instant at);

    DiscoveryPlan m_plan;
    std::vector<Run> m_runs;
    std::vector<RunningLookup> m_lookups;
    std::vector<RunningAttempt> m_attempts;
    std::optional<RunningAttempt> m_winner;
    Detours m_detours;
    bool m_took_detour = false;      // the latest attempt was one
    std::vector<Candidate> m_tried;  // by the routes: none twice, however many sources name it
    // What could not be reached: it may be on another link.
    std::vector<Candidate> m_unreached;
    std::vector<std::pair<Source, ResolverSet>> m_unheard;
    Instant m_next_source{};
    Instant m_next_attempt{};
    bool m_exhausted = false;
    Id m_next_id;
    std::optional<Instant> m_deadline;
    std::vector<Action> m_out;  // of the call that is going on
};

}  // namespace fortros
