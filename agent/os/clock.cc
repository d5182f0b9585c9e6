#include "os/clock.h"

#include <cerrno>
#include <ctime>

namespace fortros {

WallTime wall_now() {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    return WallTime{std::chrono::seconds{now.tv_sec}};
}

Status set_wall_clock(WallTime time) {
    timespec value{.tv_sec = time.time_since_epoch().count(), .tv_nsec = 0};
    if (::clock_settime(CLOCK_REALTIME, &value) < 0)
        return fail_errno(errno, "cannot set the system clock to " + to_rfc3339(time));
    return {};
}

}  // namespace fortros
