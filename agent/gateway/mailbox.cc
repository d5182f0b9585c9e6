#include "gateway/mailbox.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>

namespace fortros::gateway {

// Before others of the loop have their turn.
static constexpr int works_per_turn = 16;
static constexpr Duration turn = 20ms;

Result<std::unique_ptr<Mailbox>> Mailbox::create(Loop& loop, Loop::Order order) {
    Fd event(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    if (!event.valid()) return fail_errno(errno, "cannot create an eventfd");
    std::unique_ptr<Mailbox> box(new Mailbox(loop, std::move(event)));
    box->m_watch = TRY(loop.watch(
        box->m_event.get(), EPOLLIN, [here = box.get()](std::uint32_t) { here->take(); }, order));
    return box;
}

// A counter that is full is readable already.
void Mailbox::wake() const {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(m_event.get(), &one, sizeof(one));
}

void Mailbox::put(Work work) {
    bool was_empty = false;
    {
        const std::scoped_lock lock(m_mutex);
        was_empty = m_waiting.empty();
        m_waiting.push_back(std::move(work));
    }
    if (was_empty) wake();
}

std::size_t Mailbox::size() const {
    const std::scoped_lock lock(m_mutex);
    return m_waiting.size();
}

void Mailbox::stop_loop() {
    m_must_stop = true;
    wake();
}

// The counter goes first: what is put in from now on sets it again.
void Mailbox::take() {
    std::uint64_t count = 0;
    [[maybe_unused]] const auto size = ::read(m_event.get(), &count, sizeof(count));
    const Instant end = monotonic_now() + turn;
    for (int i = 0; i < works_per_turn && (i == 0 || monotonic_now() < end); ++i) {
        if (m_must_stop) return m_loop.stop();
        Work work;
        {
            const std::scoped_lock lock(m_mutex);
            if (m_waiting.empty()) return;
            work = std::move(m_waiting.front());
            m_waiting.pop_front();
        }
        work();
    }
    wake();
}

}  // namespace fortros::gateway
