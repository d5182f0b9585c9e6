#include "os/clock.h"

#include <fcntl.h>
#include <linux/rtc.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <ctime>

#include "os/fd.h"

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

static rtc_time fields_of(WallTime time) {
    using namespace std::chrono;
    const auto day = floor<days>(time);
    const year_month_day date{day};
    const hh_mm_ss clock{time - day};
    return {.tm_sec = static_cast<int>(clock.seconds().count()),
            .tm_min = static_cast<int>(clock.minutes().count()),
            .tm_hour = static_cast<int>(clock.hours().count()),
            .tm_mday = static_cast<int>(static_cast<unsigned>(date.day())),
            .tm_mon = static_cast<int>(static_cast<unsigned>(date.month())) - 1,
            .tm_year = static_cast<int>(date.year()) - 1900,
            .tm_wday = 0,  // these three the kernel finds out by itself
            .tm_yday = 0,
            .tm_isdst = 0};
}

Status set_hardware_clock(WallTime time, const std::string& device) {
    const auto failed = [&] {
        return fail_errno(errno, "cannot set the hardware clock '" + device + "'");
    };
    const Fd clock{::open(device.c_str(), O_RDONLY | O_CLOEXEC)};
    if (!clock.valid()) return failed();
    const rtc_time fields = fields_of(time);
    if (::ioctl(clock.get(), RTC_SET_TIME, &fields) < 0) return failed();
    return {};
}

}  // namespace fortros
