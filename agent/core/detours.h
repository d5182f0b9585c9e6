// The other ways to an endpoint where a node has several links: by each link that could lead there
// but that the kernel's routes do not choose. They are what finds a gateway when the better route
// ends in a dead uplink. It only keeps them, and tries nothing itself.
//
//   by the routes ── head start ──▶ due: by another link
//        ├ somebody took a connection ──▶ another head start for the routes
//        └ failed ──▶ due at once
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "base/time.h"
#include "core/address.h"
#include "core/source.h"

namespace fortros {

// A link that works, as a way out.
struct Uplink {
    unsigned ifindex = 0;
    std::vector<IpNetwork> networks{};  // its own
    std::vector<IpAddress> routers{};   // of its default routes
    bool operator==(const Uplink&) const = default;

    bool leads_to(const IpAddress& address) const;
};

// Those that lead there; none where it is only one, which is then what the routes take.
std::vector<Uplink> ways_to(const IpAddress& address, std::span<const Uplink> links);

// More than these are not told apart: all others are used as the routes say.
inline constexpr std::size_t uplinks_told_apart_limit = 8;

struct Candidate {
    Endpoint endpoint;
    Source source = Source::Cached;
    unsigned ifindex = 0;  // leave by this link only; 0: as the routes say
    bool operator==(const Candidate&) const = default;
};

class Detours {
public:
    // By each of `links`, from `due` on. Those that wait already are left as they are.
    void add(const Candidate& candidate, std::span<const Uplink> links, Instant due);
    void put_back(const Candidate& detour);
    // It is the way that the routes take anyway.
    void leave_out(const Endpoint& endpoint, unsigned ifindex);
    // All ways to this endpoint.
    void forget(const Endpoint& endpoint);
    // The routes have failed with this endpoint.
    void hurry(const Endpoint& endpoint, Instant now);
    // The routes lead somewhere: they get until then.
    void hold_back(Instant until);

    bool empty() const { return m_waiting.empty(); }
    bool has(Source source) const;
    // When the next is due; absent: none waits.
    std::optional<Instant> next_due() const;
    // The one that is due first; there must be one.
    Candidate take();

private:
    struct Waiting {
        Candidate candidate;
        Instant due;
    };
    std::vector<Waiting> m_waiting;
};

}  // namespace fortros
