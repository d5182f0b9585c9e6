#include "os/log_sink.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "base/text.h"
#include "os/files.h"
#include "os/loop.h"

namespace fortros {

// The kernel refuses records of more than 1024 bytes (PRINTKRB_RECORD_MAX); a line for people that
// is longer is no longer one for people.
static constexpr std::size_t line_limit = 900;
static constexpr std::size_t field_limit = 1024;
static constexpr std::size_t proc_file_limit = 16 * 1024;
static constexpr std::string_view program_name = "fortros-preboot";

// --- one object for programs ---

static std::string json_string(std::string_view text) {
    std::string out = "\"";
    for (char c : printable(text, field_limit)) {  // so only these two need a backslash
        if (c == '"' || c == '\\') out += '\\';
        out += c;
    }
    return out + '"';
}

static std::string json_value(const std::string& value) { return json_string(value); }
static std::string json_value(std::int64_t value) { return std::to_string(value); }
static std::string json_value(bool value) { return value ? "true" : "false"; }
static std::string json_value(double value) {
    if (!std::isfinite(value)) return "null";
    // std::to_chars would do it too, with 130 KB of tables in a static program.
    char text[400];
    std::snprintf(text, sizeof text, "%.3f", value);
    return text;
}

static std::string_view name_of(Level level) {
    switch (level) {
        case Level::Error: return "error";
        case Level::Warning: return "warning";
        case Level::Notice: return "notice";
        case Level::Info: return "info";
        case Level::Debug: return "debug";
    }
    return "info";
}

std::string to_json_line(const LogEntry& entry, Instant now) {
    auto t_ms = std::chrono::floor<std::chrono::milliseconds>(now.time_since_epoch()).count();
    std::string out = "{\"t_ms\":" + std::to_string(t_ms);
    out += ",\"t_us\":" + std::to_string(now.time_since_epoch().count());
    out.append(",\"level\":\"").append(name_of(entry.level)).append("\"");
    out += ",\"event\":" + json_string(entry.event);
    out += ",\"message\":" + json_string(entry.message);
    if (!entry.fields.empty()) {
        char separator = '{';
        out += ",\"fields\":";
        for (const auto& field : entry.fields) {
            out += separator + json_string(field.key) + ":";
            out += std::visit([](const auto& value) { return json_value(value); }, field.value);
            separator = ',';
        }
        out += '}';
    }
    return out + "}\n";
}

// --- one line for people ---

static std::string level_prefix(Level level) {
    return "<" + std::to_string(static_cast<int>(level)) + ">";
}

// Whole or not: a log that is full or has gone is no reason to try for ever.
static bool write_line(int fd, std::string_view line) {
    while (!line.empty()) {
        ssize_t count = ::write(fd, line.data(), line.size());
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return false;
        line.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
}

// Whether the descriptor is a console that the kernel itself writes its log to. A line of
// /proc/consoles: "ttyS0                -W- (EC p a)    4:64"; E is enabled.
static bool is_kernel_console(int fd, const std::string& consoles_path) {
    struct stat status{};
    if (::fstat(fd, &status) < 0 || !S_ISCHR(status.st_mode)) return false;
    const dev_t dev_console = makedev(5, 1);  // stands for the enabled one
    const std::string number =
        std::to_string(major(status.st_rdev)) + ":" + std::to_string(minor(status.st_rdev));
    auto consoles = read_file(consoles_path, proc_file_limit);
    if (!consoles) return false;
    for (std::string_view line : split(*consoles, '\n')) {
        auto flags = line.find('(');
        if (flags == std::string_view::npos || line.find('E', flags) == std::string_view::npos)
            continue;
        auto words = words_of(line);
        if (status.st_rdev == dev_console || words.back() == number) return true;
    }
    return false;
}

// The console level, the first number of /proc/sys/kernel/printk: what is below it is shown.
static int console_level(const std::string& printk_path) {
    auto text = read_file(printk_path, proc_file_limit);
    if (!text) return 0;
    auto words = words_of(trim(*text));
    return words.empty() ? 0 : parse_number<int>(words.front()).value_or(0);
}

PrebootLog::PrebootLog(Paths paths, int stderr_fd)
    : m_kernel_log(std::move(paths.kernel_log)), m_stderr(stderr_fd) {
    std::signal(SIGPIPE, SIG_IGN);
    if (is_kernel_console(stderr_fd, paths.consoles))
        m_kernel_shows_below = console_level(paths.printk);
}

void PrebootLog::open_events(const std::string& path) {
    m_events = Fd{::open(path.c_str(),
                         O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600)};
    m_events_size = 0;
    if (!m_events.valid() || ::fchmod(m_events.get(), 0600) < 0) {
        const int error = errno;
        m_events.reset();
        warn("events-lost",
             fail_errno(error, "cannot write events to '" + path + "'").error().text());
    }
}

// The kernel lets ten lines in five seconds through for each time that the device is opened
// (printk.devkmsg=ratelimit, its default); the stages of a boot are more. So it is opened anew for
// each line, which changes no setting of the machine.
bool PrebootLog::write_kernel_log(const LogEntry& entry) {
    Fd device{::open(m_kernel_log.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY)};
    if (!device.valid()) return false;
    std::string line = level_prefix(entry.level);
    line.append(program_name)
        .append(": ")
        .append(printable(entry.message, line_limit))
        .append("\n");
    return write_line(device.get(), line);
}

bool PrebootLog::write_stderr(const LogEntry& entry) {
    std::string line(program_name);
    line.append(": ").append(printable(entry.message, line_limit)).append("\n");
    return write_line(m_stderr, line);
}

bool PrebootLog::write_events(const LogEntry& entry) {
    std::string line = to_json_line(entry, monotonic_now());
    if (m_events_size + line.size() > events_file_limit) {
        errno = EFBIG;
        return false;
    }
    m_events_size += line.size();
    return write_line(m_events.get(), line);
}

void PrebootLog::warn(std::string_view event, std::string message) {
    write({.level = Level::Warning, .event = std::string(event), .message = std::move(message)});
}

// A sink is marked as given up before the others are told, so this ends.
void PrebootLog::write(const LogEntry& entry) {
    if (entry.level == Level::Debug && !m_show_debug) return;

    bool shown = entry.audience == Audience::Programs;
    if (!shown && !m_kernel_log.empty()) {
        if (write_kernel_log(entry)) {
            shown = static_cast<int>(entry.level) < m_kernel_shows_below;
        } else {
            const int error = errno;
            const std::string path = std::exchange(m_kernel_log, {});
            warn("kernel-log-lost",
                 fail_errno(error, "cannot write to the kernel log '" + path + "'").error().text());
        }
    }
    if (!shown && m_stderr >= 0 && !write_stderr(entry)) {
        const int error = errno;
        m_stderr = -1;
        warn("stderr-lost", fail_errno(error, "cannot write to standard error").error().text());
    }
    if (m_events.valid() && !write_events(entry)) {
        const int error = errno;
        m_events.reset();
        warn("events-lost", fail_errno(error, "the events file ends here").error().text());
    }
}

// sd-daemon(3): the service manager takes the level from the prefix and knows the name already.
StderrLog::StderrLog(std::string program, int stderr_fd)
    : m_program(::getenv("JOURNAL_STREAM") ? std::string() : std::move(program)),
      m_stderr(stderr_fd) {}

void StderrLog::write(const LogEntry& entry) {
    if (entry.audience == Audience::Programs) return;
    if (entry.level == Level::Debug && !m_show_debug) return;
    std::string line = m_program.empty() ? level_prefix(entry.level) : m_program + ": ";
    line.append(printable(entry.message, line_limit)).append("\n");
    write_line(m_stderr, line);  // and if nobody listens, so be it
}

}  // namespace fortros
