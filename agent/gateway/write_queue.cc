#include "gateway/write_queue.h"

#include <algorithm>

namespace fortros::gateway {

static constexpr std::size_t batch_limit = 64;
// A store that can't write many at once must not hold everybody up.
static constexpr Duration batch_time = 100ms;
static constexpr std::size_t queue_limit = 4096;
static constexpr std::int64_t pace_memory = 4;

WriteQueue::WriteQueue(Parts parts, Serve serve, Refuse refuse, Written written)
    : m_parts(parts),
      m_serve(std::move(serve)),
      m_refuse(std::move(refuse)),
      m_written(std::move(written)) {}

Duration WriteQueue::expected_wait() const {
    return m_pace * static_cast<std::int64_t>(m_waiting.size());
}

void WriteQueue::add(Proved proved, Reply reply) {
    const Duration wait = expected_wait();
    if (monotonic_now() - proved.request.since + wait > node_patience ||
        m_waiting.size() >= queue_limit) {
        // When the queue will have been served, and spread over as long again.
        const auto milliseconds = static_cast<std::uint64_t>(
            std::chrono::duration_cast<std::chrono::milliseconds>(wait).count());
        const Duration later =
            wait + std::chrono::milliseconds{m_parts.random.below(milliseconds + 1000)};
        const Error why{ErrorCode::Busy, "more enrolments than can be served in time"};
        return reply(m_refuse(proved.request, why, later));
    }
    m_waiting.push_back({std::move(proved), std::move(reply)});
    if (!m_scheduled) schedule({});
}

void WriteQueue::schedule(Duration delay) {
    m_scheduled = true;
    m_timer = m_parts.loop.after(delay, [this] {
        m_scheduled = false;
        write();
    });
}

void WriteQueue::write() {
    const Instant began = monotonic_now();
    std::vector<std::pair<Item, Answer>> served;
    const auto status = m_parts.registry.batch([&] {
        while (!m_waiting.empty() && served.size() < batch_limit &&
               (served.empty() || monotonic_now() - began < batch_time)) {
            Item item = std::move(m_waiting.front());
            m_waiting.pop_front();
            if (item.proved.request.is_gone()) continue;
            Answer answer = m_serve(item.proved);
            served.emplace_back(std::move(item), std::move(answer));
        }
    });
    // The store could not even begin: they would be tried again for ever.
    if (!status && served.empty())
        for (std::size_t i = std::min(m_waiting.size(), batch_limit); i > 0; --i) {
            served.emplace_back(std::move(m_waiting.front()), Answer{});
            m_waiting.pop_front();
        }
    if (status) m_written();
    for (auto& [item, answer] : served)
        item.reply(status ? std::move(answer) : m_refuse(item.proved.request, status.error(), {}));

    const Duration cost = monotonic_now() - began;
    if (!served.empty())
        m_pace += (cost * 2 / static_cast<std::int64_t>(served.size()) - m_pace) / pace_memory;
    if (!m_waiting.empty()) schedule(cost);
}

}  // namespace fortros::gateway
