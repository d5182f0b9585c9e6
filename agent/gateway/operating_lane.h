// The operating lane's answers while whoever decides may be at something that lasts: it asks him, waits
// for as long as an operator has patience, and then tells what he has said last and for how long he has
// been silent. He has one question of it at a time, however many operators ask. It decides nothing
// itself, and never waits.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string_view>

#include "base/time.h"
#include "gateway/exchange.h"
#include "gateway/metrics.h"
#include "os/loop.h"

namespace fortros::gateway {

class OperatingLane {
public:
    using Told = std::function<void(Metrics)>;
    struct Parts {
        Loop& loop;
        // Asks whoever decides how things are; calls back later, in the loop, or never.
        std::function<void(Told)> ask;
        // The numbers of the loop's own.
        std::function<ConnectionNumbers()> connections;
        // For how long whoever decides has not been heard of.
        std::function<Duration()> silence;
    };

    // `first` is what is told until he has said anything.
    OperatingLane(Parts parts, Metrics first);
    OperatingLane(const OperatingLane&) = delete;
    OperatingLane& operator=(const OperatingLane&) = delete;

    void handle(Request request, Reply reply);

private:
    struct Asker {
        Request request;
        Reply reply;
        ConnectionNumbers connections;  // as they were when it asked
        Loop::Timer patience{};
    };
    void ask();
    void told(const Metrics& metrics);
    void lose_patience(std::uint64_t number);
    void answer(std::uint64_t number, Metrics metrics);

    Parts m_parts;
    Metrics m_last;
    std::uint64_t m_next = 1;
    std::map<std::uint64_t, Asker> m_askers{};  // the oldest first
    bool m_is_asking = false;                   // whoever decides has not answered yet
};

}  // namespace fortros::gateway
