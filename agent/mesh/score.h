// What a peer, or somebody who might be one, is worth to this node: one number, and why, in words.
// Pure arithmetic on what is known; it decides nothing. Hysteresis is in the number: a link that
// exists has a bonus, and what was seen decays slowly.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/time.h"
#include "mesh/link_message.h"

namespace fortros::mesh {

// So many are worth a factor of two in latency or in traffic.
inline constexpr double points_per_doubling = 10;

// Where nobody has measured or estimated anything.
inline constexpr Duration unknown_rtt = 400ms;

// What an amount has decayed to: bytes of traffic, failures.
class Decaying {
public:
    explicit Decaying(Duration half_life = 10min) : m_half_life(half_life) {}

    void add(double amount, Instant now) {
        m_amount = static_cast<float>(at(now) + amount);
        m_at = now;
    }
    double at(Instant now) const;

private:
    Duration m_half_life;
    float m_amount = 0;
    Instant m_at{};
};

struct Merits {
    std::optional<Duration> rtt{};
    bool measured = false;     // or only estimated
    double failures = 0;       // decayed
    double demand = 0;         // bytes, decayed
    double recent_demand = 0;  // decayed sooner
    Nat own_nat = Nat::Unknown;
    Nat nat = Nat::Unknown;
    std::uint16_t links = 0;
    bool full = false;      // it says that it has no room
    bool linked = false;    // already
    bool lifeline = false;  // it would be left with too few links
};

struct Score {
    double latency = 0;
    double stability = 0;
    double nat = 0;
    double load = 0;
    double demand = 0;
    double bonus = 0;     // for being linked
    double lifeline = 0;  // overrides all else

    double value() const { return latency + stability + nat + load + demand + bonus + lifeline; }
};

Score score(const Merits& merits);
// By how much the second is worse than the first.
double points_between(Duration rtt, Duration longer);

// "12 ms, 40 MB of traffic of late, 3 failures of late, symmetric NAT, 19 links": what made the score.
std::string in_words(const Merits& merits);

// Whether a handshake between two nodes behind such NATs is worth a try.
bool may_meet(Nat one, Nat other);

}  // namespace fortros::mesh
