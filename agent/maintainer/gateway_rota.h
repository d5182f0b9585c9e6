// Which gateway is asked next, and when: the one that answered last for as long as it does, all others in
// turn when it does not, each with a pause that grows. Thousands of nodes lose a gateway in the same
// moment, so every pause is half chance. It asks nobody.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/time.h"
#include "core/address.h"

namespace fortros {

inline constexpr std::size_t rota_limit = 64;
inline constexpr Duration rota_pause_min = 2s;
inline constexpr Duration rota_pause_max = 5min;

class GatewayRota {
public:
    // `random` must outlive it.
    explicit GatewayRota(Random& random) : m_random(random) {}

    // More endpoints, after those that are known. Beyond the limit those that never answered go first.
    void learn(const std::vector<Endpoint>& endpoints);

    struct Turn {
        Endpoint endpoint;
        Instant at;
    };
    // Absent: nobody is known.
    std::optional<Turn> next(Instant now) const;

    void answered(const Endpoint& endpoint);
    // `retry_after`: what it has asked for, if it has asked for patience.
    void failed(const Endpoint& endpoint, std::optional<Duration> retry_after, Instant now);
    // The underlay has changed: whoever could not be reached may be reached now.
    void start_over(Instant now);

    std::vector<Endpoint> endpoints() const;

private:
    struct Entry {
        Endpoint endpoint;
        unsigned failures = 0;  // since it answered
        bool has_answered = false;
        bool asked_for_patience = false;
        Instant not_before{};
    };
    Entry* find(const Endpoint& endpoint);
    Duration jittered(Duration pause);

    Random& m_random;
    std::vector<Entry> m_entries;  // the preferred first
};

}  // namespace fortros
