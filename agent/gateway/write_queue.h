// Requests whose answer may have to be written to the disk first: many of them share one write, and at
// most half of the gateway's time goes into writing, so that members who only come back are served
// meanwhile. Whoever would wait for too long is told at once when to come again.
#pragma once

#include <deque>
#include <functional>
#include <vector>

#include "base/random.h"
#include "base/time.h"
#include "gateway/exchange.h"
#include "gateway/proof_gate.h"
#include "gateway/registry.h"
#include "os/loop.h"

namespace fortros::gateway {

class WriteQueue {
public:
    // What answers a request; called inside of a Registry::batch().
    using Serve = std::function<Answer(const Proved&)>;
    // What a request is told when nothing of a batch was written, or when it was not let in: `busy`.
    using Refuse =
        std::function<Answer(const Request&, const Error& why, Duration come_back_after)>;
    using Written = std::function<void()>;

    struct Parts {
        Loop& loop;
        Registry& registry;
        Random& random;
    };

    // All borrowed. `written` is called after each batch that succeeded, before its answers go.
    WriteQueue(Parts parts, Serve serve, Refuse refuse, Written written);

    void add(Proved proved, Reply reply);

    std::size_t size() const { return m_waiting.size(); }

private:
    struct Item {
        Proved proved;
        Reply reply;
    };
    void write();
    void schedule(Duration delay);
    Duration expected_wait() const;

    Parts m_parts;
    Serve m_serve;
    Refuse m_refuse;
    Written m_written;
    std::deque<Item> m_waiting{};
    Duration m_pace{};  // for one request, smoothed: writing, and as much time for others
    Loop::Timer m_timer{};
    bool m_scheduled = false;
};

}  // namespace fortros::gateway
