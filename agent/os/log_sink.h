// Where log entries go: kernel log and console and a file of events for preboot, standard error for
// the daemons. Writing never fails the program: a sink that can't be written is given up, and the
// others say so once. Control characters of strangers never reach a terminal.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/log.h"
#include "base/time.h"
#include "os/fd.h"

namespace fortros {

// One JSON object and a newline: {"t_ms":12,"t_us":12345,"level":"info","event":"stage",
// "message":"...","fields":{...}}. `t_ms` and `t_us` are milli- and microseconds since the machine
// started. Always ASCII, one line. protocol/events.schema.json describes it.
std::string to_json_line(const LogEntry& entry, Instant now);

// The log of fortros-preboot. Each entry is
//   - a line in the kernel log: "<6>fortros-preboot: ..."
//   - the same line on standard error, unless that is a console on which the kernel shows it already
//   - a line in the events file, once there is one; what is only for programs is nowhere else
class PrebootLog final : public Log {
public:
    struct Paths {
        std::string kernel_log = "/dev/kmsg";
        std::string consoles = "/proc/consoles";
        std::string printk = "/proc/sys/kernel/printk";
    };
    static constexpr std::size_t events_file_limit = std::size_t{1024} * 1024;

    // Never fails: it logs wherever it can. Ignores SIGPIPE for the whole process, or a closed
    // standard error would end the boot. `stderr_fd` is borrowed.
    explicit PrebootLog(Paths paths, int stderr_fd = 2);
    PrebootLog() : PrebootLog(Paths{}) {}

    // Starts to append to `path` (mode 0600), at most events_file_limit bytes from us.
    void open_events(const std::string& path);

    // Debug entries are dropped unless this was asked for.
    void show_debug(bool show) { m_show_debug = show; }

    void write(const LogEntry& entry) override;

private:
    bool write_kernel_log(const LogEntry& entry);
    bool write_stderr(const LogEntry& entry);
    bool write_events(const LogEntry& entry);
    void warn(std::string_view event, std::string message);

    std::string m_kernel_log;  // empty: given up
    int m_stderr = -1;         // -1: given up
    Fd m_events;
    std::size_t m_events_size = 0;
    int m_kernel_shows_below = 0;  // levels below this one reach the console that stderr is
    bool m_show_debug = false;
};

// The log of the daemons: one line an entry on standard error. Under a service manager that keeps
// them (JOURNAL_STREAM is set) with the level as "<6>", otherwise with the program's name.
class StderrLog final : public Log {
public:
    explicit StderrLog(std::string program, int stderr_fd = 2);

    void show_debug(bool show) { m_show_debug = show; }
    void write(const LogEntry& entry) override;

private:
    std::string m_program;  // empty: with levels
    int m_stderr;
    bool m_show_debug = false;
};

}  // namespace fortros
