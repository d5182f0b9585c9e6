// How a decision becomes a transaction; for the files of EtcdRegistry alone.
#pragma once

#include <poll.h>

#include <algorithm>

#include "gateway/etcd_registry.h"

namespace fortros::gateway {

// Gateways that have met once must not meet again and again.
inline constexpr int shortest_conflict_pause_ms = 2;
inline constexpr int longest_conflict_pause_ms = 100;

template <typename T>
Result<T> EtcdRegistry::transact(const std::function<Result<T>(EtcdChange&)>& decide) {
    m_store->begin();
    TRY(m_store->require_recent());
    int pause_ms = shortest_conflict_pause_ms;
    while (m_store->has_time()) {
        EtcdChange change(mirror().head());
        Result<T> decision = decide(change);
        if (!decision || change.is_empty()) {
            // A no, or a yes that changes nothing, must not come from yesterday either.
            if (TRY(m_store->is_current())) return decision;
            continue;
        }
        if (TRY(m_store->commit(std::move(change))) == EtcdStore::Commit::Done) return decision;
        ::poll(nullptr, 0, static_cast<int>(m_random.below(static_cast<std::uint64_t>(pause_ms))));
        pause_ms = std::min(2 * pause_ms, longest_conflict_pause_ms);
    }
    return fail(ErrorCode::Busy, "too many gateways write into etcd at once");
}

}  // namespace fortros::gateway
