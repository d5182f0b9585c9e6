// Discovery: which sources may name a gateway, in which order they are asked, and which candidate
// is tried when. A pure machine: it says what to look up and where to connect, and is told what
// came of it. It never trusts an answer; only authentication ends it.
//
//   sources in order ── lookup ──▶ candidates ── attempt ──▶ authenticated ─▶ done
//         ▲                │ failed, deadline        │ failed, deadline
//         └────────────────┴───── next source ◀──────┘      none left ─▶ exhausted
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "core/address.h"

namespace fortros {

enum class Source : std::uint8_t { Cached, PublicDns, DhcpDns };

std::string_view name_of(Source source);  // "cached", "public-dns", "dhcp-dns"
std::optional<Source> source_from(std::string_view name);

// Which sources policy allows. Their order is fixed: cached, public DNS, DHCP DNS.
class SourceSet {
public:
    SourceSet() = default;
    static SourceSet all();
    static SourceSet only(Source source);

    bool has(Source source) const { return (m_bits & bit(source)) != 0; }
    bool empty() const { return m_bits == 0; }
    SourceSet& add(Source source) {
        m_bits |= bit(source);
        return *this;
    }
    // What both allow.
    SourceSet operator&(SourceSet other) const;
    std::string text() const;  // "cached public-dns"
    bool operator==(const SourceSet&) const = default;

    std::uint8_t bits() const { return m_bits; }
    static std::optional<SourceSet> from_bits(std::uint8_t bits);

private:
    static std::uint8_t bit(Source source) {
        return static_cast<std::uint8_t>(1U << static_cast<unsigned>(source));
    }
    std::uint8_t m_bits = 0;
};

struct Candidate {
    Endpoint endpoint;
    Source source = Source::Cached;
    bool operator==(const Candidate&) const = default;
};

inline constexpr std::size_t candidates_per_source_limit = 16;

// Resolvers that are asked together, in this order, the next when one is silent or broken.
struct ResolverSet {
    std::vector<IpAddress> servers{};
    unsigned ifindex = 0;  // the link that the link-local ones among them are on; 0: none known
    bool operator==(const ResolverSet&) const = default;
};

struct DiscoveryPlan {
    SourceSet sources;
    std::vector<Endpoint> cached{};
    std::vector<ResolverSet> public_resolvers{};
    std::vector<ResolverSet> dhcp_resolvers{};
    std::string gateway_name;
    std::string service{};  // asked for SRV records beside the name; empty: none
    std::uint16_t port = 443;
    Duration lookup_timeout = 5s;
    Duration attempt_timeout = 5s;
};

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
    // A source or a candidate is given up; for the log.
    struct GaveUp {
        Source source;
        std::optional<Endpoint> endpoint;
        Error error;
    };
    struct Exhausted {};
    using Action = std::variant<Lookup, CancelLookup, Attempt, CancelAttempt, GaveUp, Exhausted>;

    explicit Discovery(DiscoveryPlan plan, Id first_id = 1);

    std::vector<Action> start(Instant now);
    std::vector<Action> looked_up(Id id, Result<std::vector<Endpoint>> answer, Instant now);
    std::vector<Action> attempt_failed(Id id, Error error, Instant now);
    // The attempt's TLS handshake ended well: its deadline no longer runs. If it fails later
    // after all (no answer, a bad answer), attempt_failed() goes on with the next candidate.
    void attempt_authenticated(Id id);
    // Ends whatever is overdue.
    std::vector<Action> tick(Instant now);
    std::optional<Instant> deadline() const { return m_deadline; }

    std::optional<Candidate> candidate_of(Id id) const;
    Id next_id() const { return m_next_id; }

private:
    void next_source(Instant now, std::vector<Action>& out);
    void next_candidate(Instant now, std::vector<Action>& out);

    DiscoveryPlan m_plan;
    std::vector<Source> m_sources_left;
    std::vector<Candidate> m_candidates_left;
    std::vector<Endpoint> m_tried;  // no endpoint is tried twice, however many sources name it
    std::optional<Source> m_lookup_source;
    std::optional<Candidate> m_attempt;
    Id m_next_id;
    Id m_current_id = 0;
    std::optional<Instant> m_deadline;
};

}  // namespace fortros
