// The event loop: epoll and one-shot deadlines, in one thread. It calls back; it never decides.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <utility>

#include "base/result.h"
#include "base/time.h"
#include "os/fd.h"

namespace fortros {

// CLOCK_BOOTTIME: counts through suspend.
Instant monotonic_now();

class Loop {
public:
    // EPOLLIN, EPOLLOUT, ... as epoll_ctl(2) has them.
    using Ready = std::function<void(std::uint32_t events)>;
    using Due = std::function<void()>;

    // Who is told first when many are ready. Before each callback that is not of the First, one that
    // is gets its turn: it waits for one other, however many there are, and they for it.
    enum class Order { First, AsTheyCome };

    static Result<std::unique_ptr<Loop>> create();

    // Keeps a descriptor watched for as long as it lives. It does not own the descriptor, and must
    // go before the descriptor is closed. May be destroyed inside its own callback.
    class Watch {
    public:
        Watch() = default;
        Watch(Watch&& other) noexcept;
        Watch& operator=(Watch&& other) noexcept;
        ~Watch();
        Status change(std::uint32_t events);

    private:
        friend Loop;
        Watch(Loop* loop, int epoll, int fd, std::uint64_t id)
            : m_loop(loop), m_epoll(epoll), m_fd(fd), m_id(id) {}
        Loop* m_loop = nullptr;
        int m_epoll = -1;  // the loop's
        int m_fd = -1;
        std::uint64_t m_id = 0;
    };

    // A deadline; cancelled when it is destroyed.
    class Timer {
    public:
        Timer() = default;
        Timer(Timer&& other) noexcept;
        Timer& operator=(Timer&& other) noexcept;
        ~Timer();

    private:
        friend Loop;
        Timer(Loop* loop, Instant at, std::uint64_t id) : m_loop(loop), m_at(at), m_id(id) {}
        Loop* m_loop = nullptr;
        Instant m_at{};
        std::uint64_t m_id = 0;
    };

    [[nodiscard]] Result<Watch> watch(int fd, std::uint32_t events, Ready ready,
                                      Order order = Order::AsTheyCome);
    [[nodiscard]] Timer at(Instant deadline, Due due);
    [[nodiscard]] Timer after(Duration delay, Due due) {
        return at(monotonic_now() + delay, std::move(due));
    }

    // Until stop() is called. Returns an error only if epoll itself fails.
    Status run();
    void stop() { m_stopped = true; }

private:
    explicit Loop(Fd epoll) : m_epoll(std::move(epoll)) {}
    Status make_first();
    void forget_watch(int epoll, int fd, std::uint64_t id);
    void forget_timer(Instant at, std::uint64_t id);
    void tell(std::uint64_t id, std::uint32_t events);
    void tell_first();
    void run_due_timers();
    int milliseconds_to_next_timer() const;

    Fd m_epoll;
    Fd m_first;  // inside of m_epoll, once there is such a watch
    bool m_stopped = false;
    std::uint64_t m_next_id = 1;
    // Shared, so that a callback which removes its own watch does not pull the rug from under it.
    std::map<std::uint64_t, std::shared_ptr<Ready>> m_watches;
    std::map<std::pair<Instant, std::uint64_t>, Due> m_timers;  // the earliest first
};

}  // namespace fortros
