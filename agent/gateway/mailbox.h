// Work for a loop, from another thread: done there in the order in which it was put in. It is the only
// way from one thread to another's loop. It never waits, and has no bound of its own: whoever puts
// something in has one.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>

#include "base/result.h"
#include "os/fd.h"
#include "os/loop.h"

namespace fortros::gateway {

class Mailbox {
public:
    using Work = std::move_only_function<void()>;

    // The loop, in whose thread the work is done, must outlive it. No other thread may use it any more
    // when it ends; work that is still in it is not done.
    static Result<std::unique_ptr<Mailbox>> create(Loop& loop, Loop::Order order);

    // From any thread.
    void put(Work work);
    std::size_t size() const;

    // From any thread: the loop stops before the next piece of work. What is left is not done.
    void stop_loop();

private:
    Mailbox(Loop& loop, Fd event) : m_loop(loop), m_event(std::move(event)) {}
    void wake() const;
    void take();

    Loop& m_loop;
    Fd m_event;  // eventfd(2): there is something in it
    Loop::Watch m_watch{};
    mutable std::mutex m_mutex{};
    std::deque<Work> m_waiting{};
    std::atomic<bool> m_must_stop = false;
};

}  // namespace fortros::gateway
