// A bound on how often something is said: strangers can cause log lines and audit entries, and must
// not fill a disk with them. What is left unsaid is counted.
#pragma once

#include <cstdint>
#include <utility>

#include "base/time.h"

namespace fortros::gateway {

// At most `per_minute` in any minute, all at once if need be.
class RateLimit {
public:
    explicit RateLimit(std::uint32_t per_minute) : m_per_minute(per_minute) {}

    // Whether to say it. A wall clock that steps back begins a new minute.
    bool allow(WallTime now) {
        if (now < m_minute_began || now - m_minute_began >= std::chrono::minutes{1}) {
            m_minute_began = now;
            m_said = 0;
        }
        if (m_said < m_per_minute) {
            ++m_said;
            return true;
        }
        ++m_unsaid;
        return false;
    }

    // How many were not allowed since the last call.
    std::uint64_t take_unsaid() { return std::exchange(m_unsaid, 0); }

private:
    std::uint32_t m_per_minute;
    std::uint32_t m_said = 0;
    std::uint64_t m_unsaid = 0;
    WallTime m_minute_began{};
};

}  // namespace fortros::gateway
