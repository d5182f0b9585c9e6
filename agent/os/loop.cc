#include "os/loop.h"

#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>
#include <ctime>

namespace fortros {

// Between two looks at the timers, which may be work that has been put off for those who are ready.
static constexpr int events_per_turn = 64;
// Watches are counted from 1.
static constexpr std::uint64_t first_are_ready = 0;

Instant monotonic_now() {
    timespec now{};
    ::clock_gettime(CLOCK_BOOTTIME, &now);
    return Instant{std::chrono::duration_cast<Duration>(std::chrono::seconds{now.tv_sec} +
                                                        std::chrono::nanoseconds{now.tv_nsec})};
}

Result<std::unique_ptr<Loop>> Loop::create() {
    Fd epoll{::epoll_create1(EPOLL_CLOEXEC)};
    if (!epoll.valid()) return fail_errno(errno, "cannot create an epoll instance");
    return std::unique_ptr<Loop>(new Loop(std::move(epoll)));
}

Loop::Watch::Watch(Watch&& other) noexcept
    : m_loop(std::exchange(other.m_loop, nullptr)),
      m_epoll(other.m_epoll),
      m_fd(other.m_fd),
      m_id(other.m_id) {}

Loop::Watch& Loop::Watch::operator=(Watch&& other) noexcept {
    if (this != &other) {
        if (m_loop) m_loop->forget_watch(m_epoll, m_fd, m_id);
        m_loop = std::exchange(other.m_loop, nullptr);
        m_epoll = other.m_epoll;
        m_fd = other.m_fd;
        m_id = other.m_id;
    }
    return *this;
}

Loop::Watch::~Watch() {
    if (m_loop) m_loop->forget_watch(m_epoll, m_fd, m_id);
}

Status Loop::Watch::change(std::uint32_t events) {
    epoll_event event{.events = events, .data = {.u64 = m_id}};
    if (::epoll_ctl(m_epoll, EPOLL_CTL_MOD, m_fd, &event) < 0)
        return fail_errno(errno, "cannot change what is watched");
    return {};
}

Loop::Timer::Timer(Timer&& other) noexcept
    : m_loop(std::exchange(other.m_loop, nullptr)), m_at(other.m_at), m_id(other.m_id) {}

Loop::Timer& Loop::Timer::operator=(Timer&& other) noexcept {
    if (this != &other) {
        if (m_loop) m_loop->forget_timer(m_at, m_id);
        m_loop = std::exchange(other.m_loop, nullptr);
        m_at = other.m_at;
        m_id = other.m_id;
    }
    return *this;
}

Loop::Timer::~Timer() {
    if (m_loop) m_loop->forget_timer(m_at, m_id);
}

// An epoll inside of an epoll is ready when something in it is (epoll(7)).
Status Loop::make_first() {
    Fd first{::epoll_create1(EPOLL_CLOEXEC)};
    if (!first.valid()) return fail_errno(errno, "cannot create an epoll instance");
    epoll_event event{.events = EPOLLIN, .data = {.u64 = first_are_ready}};
    if (::epoll_ctl(m_epoll.get(), EPOLL_CTL_ADD, first.get(), &event) < 0)
        return fail_errno(errno, "cannot watch an epoll instance");
    m_first = std::move(first);
    return {};
}

Result<Loop::Watch> Loop::watch(int fd, std::uint32_t events, Ready ready, Order order) {
    if (order == Order::First && !m_first.valid()) TRY(make_first());
    const int epoll = order == Order::First ? m_first.get() : m_epoll.get();
    std::uint64_t id = m_next_id++;
    epoll_event event{.events = events, .data = {.u64 = id}};
    if (::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        return fail_errno(errno, "cannot watch a descriptor");
    m_watches[id] = std::make_shared<Ready>(std::move(ready));
    return Watch(this, epoll, fd, id);
}

Loop::Timer Loop::at(Instant deadline, Due due) {
    std::uint64_t id = m_next_id++;
    m_timers.emplace(std::pair(deadline, id), std::move(due));
    return Timer(this, deadline, id);
}

void Loop::forget_watch(int epoll, int fd, std::uint64_t id) {
    ::epoll_ctl(epoll, EPOLL_CTL_DEL, fd, nullptr);
    m_watches.erase(id);
}

void Loop::forget_timer(Instant at, std::uint64_t id) { m_timers.erase({at, id}); }

// One that an earlier callback has removed is not there any more.
void Loop::tell(std::uint64_t id, std::uint32_t events) {
    const auto watch = m_watches.find(id);
    if (watch == m_watches.end()) return;
    const auto call = watch->second;
    (*call)(events);
}

void Loop::tell_first() {
    epoll_event ready{};
    if (!m_first.valid() || ::epoll_wait(m_first.get(), &ready, 1, 0) != 1) return;
    tell(ready.data.u64, ready.events);
}

void Loop::run_due_timers() {
    // A callback may add and remove timers: look anew after each, but only at those that were set
    // before the turn began, so that a timer that renews itself can't starve the descriptors.
    const Instant now = monotonic_now();
    const std::uint64_t newest = m_next_id;
    while (!m_stopped) {
        tell_first();
        if (m_stopped) return;
        auto due = m_timers.begin();
        while (due != m_timers.end() && due->first.first <= now && due->first.second >= newest)
            ++due;
        if (due == m_timers.end() || due->first.first > now) return;
        const Due call = std::move(due->second);
        m_timers.erase(due);
        call();
    }
}

int Loop::milliseconds_to_next_timer() const {
    if (m_timers.empty()) return -1;
    const Instant next = m_timers.begin()->first.first;
    auto wait = std::chrono::ceil<std::chrono::milliseconds>(next - monotonic_now()).count();
    return static_cast<int>(std::clamp<std::int64_t>(wait, 0, 60'000));
}

Status Loop::run() {
    m_stopped = false;
    while (!m_stopped) {
        epoll_event ready[events_per_turn];
        int count =
            ::epoll_wait(m_epoll.get(), ready, events_per_turn, milliseconds_to_next_timer());
        if (count < 0 && errno != EINTR) return fail_errno(errno, "cannot wait for events");
        for (int i = 0; i < count && !m_stopped; ++i) {
            tell_first();
            if (m_stopped) break;
            if (ready[i].data.u64 != first_are_ready) tell(ready[i].data.u64, ready[i].events);
        }
        run_due_timers();
    }
    return {};
}

}  // namespace fortros
