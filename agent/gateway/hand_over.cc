#include "gateway/hand_over.h"

#include "core/feed.h"

namespace fortros::gateway {

// As many as the desk may be late for in a step that lasts.
static constexpr std::size_t waiting_limit = 4096;
static constexpr std::chrono::seconds full_pause{10};

// Until so many have been served; spread, so that those who were sent away do not come back together.
static std::chrono::seconds jittered(Random& random, std::chrono::seconds pause) {
    return pause +
           std::chrono::seconds{random.below(static_cast<std::uint64_t>(pause.count()) + 1)};
}

// Who waits for news has patience.
static bool is_too_late(const Request& request, Duration waited) {
    return waited > node_patience && !request.target.starts_with(members_target);
}

void HandOver::add(Proved proved, Reply reply) {
    if (m_waiting >= waiting_limit) return reply(make_busy(jittered(m_parts.random, full_pause)));
    ++m_waiting;
    auto answering = [this, reply = std::move(reply)](Answer answer) mutable {
        m_parts.to_edge.put([reply = std::move(reply), answer = std::move(answer)]() mutable {
            reply(std::move(answer));
        });
    };
    m_parts.to_desk.put(
        [this, proved = std::move(proved), reply = Reply(std::move(answering))]() mutable {
            --m_waiting;
            take(std::move(proved), std::move(reply));
        });
}

// After a step that lasted, those who have given up would be served before those who have come since.
void HandOver::take(Proved proved, Reply reply) {
    if (proved.request.is_gone()) return;
    const Duration waited = monotonic_now() - proved.request.since;
    if (!is_too_late(proved.request, waited)) return m_decide(std::move(proved), std::move(reply));
    reply(make_busy(jittered(m_parts.random, std::chrono::ceil<std::chrono::seconds>(waited))));
}

}  // namespace fortros::gateway
