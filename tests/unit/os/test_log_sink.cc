#include "os/log_sink.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <fstream>
#include <limits>

#include "base/text.h"
#include "core/json.h"
#include "os/files.h"
#include "unit/os/temporary_directory.h"

using namespace fortros;

namespace {

constexpr std::size_t all = std::size_t{4} * 1024 * 1024;

// Files in the place of the kernel log, standard error and what /proc says.
struct Machine {
    TemporaryDirectory folder;
    Fd stderr_fd;

    Machine() {
        for (const char* name : {"kmsg", "consoles", "printk"}) put(name, "");
        stderr_fd = Fd{::open(folder.path("stderr").c_str(), O_RDWR | O_CREAT | O_APPEND, 0600)};
        REQUIRE(stderr_fd.valid());
    }
    void put(const char* name, const std::string& text) const {
        std::ofstream(folder.path(name)) << text;
    }
    PrebootLog::Paths paths() const {
        return {folder.path("kmsg"), folder.path("consoles"), folder.path("printk")};
    }
    std::string content(const char* name) const {
        return read_file(folder.path(name), all).value_or("(missing)");
    }
    std::size_t lines(const char* name) const { return split(content(name), '\n').size() - 1; }
};

// A pseudo-terminal, which a test may declare to be a console.
struct Terminal {
    Fd master{::posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK)};
    Fd slave;
    std::string number;

    Terminal() {
        REQUIRE(::grantpt(master.get()) == 0);
        REQUIRE(::unlockpt(master.get()) == 0);
        slave = Fd{::open(::ptsname(master.get()), O_RDWR | O_NOCTTY)};
        struct stat status{};
        REQUIRE(::fstat(slave.get(), &status) == 0);
        number =
            std::to_string(major(status.st_rdev)) + ":" + std::to_string(minor(status.st_rdev));
    }
    // What was written since the last call. The kernel hands it over a moment later, but in order: a
    // mark of our own is the last.
    std::string seen() const {
        constexpr char mark = '\x04';
        REQUIRE(::write(slave.get(), &mark, 1) == 1);
        std::string text;
        while (!text.ends_with(mark)) {
            pollfd ready{master.get(), POLLIN, 0};
            REQUIRE(::poll(&ready, 1, 10'000) == 1);
            char buffer[4096];
            const ssize_t count = ::read(master.get(), buffer, sizeof buffer);
            if (count > 0) text.append(buffer, static_cast<std::size_t>(count));
        }
        text.pop_back();
        return text;
    }
};

LogEntry entry(Level level, std::string message) {
    return {.level = level, .event = "test", .message = std::move(message)};
}

}  // namespace

// Whoever watches the console, or reads the journal later, would see nothing.
TEST_CASE("log: an entry goes to the kernel log, standard error and the events file") {
    Machine machine;
    PrebootLog log(machine.paths(), machine.stderr_fd.get());
    log.open_events(machine.folder.path("events.jsonl"));
    log.write({.level = Level::Notice,
               .event = "stage",
               .message = "[4/9] gateway authenticated",
               .fields = {{"stage", std::int64_t{4}}, {"took_ms", 41.25}, {"ok", true}}});
    CHECK(machine.content("kmsg") == "<5>fortros-preboot: [4/9] gateway authenticated\n");
    CHECK(machine.content("stderr") == "fortros-preboot: [4/9] gateway authenticated\n");
    std::string line = machine.content("events.jsonl");
    CHECK(line.find("\"level\":\"notice\",\"event\":\"stage\",\"message\":\"[4/9] gateway "
                    "authenticated\",\"fields\":{\"stage\":4,\"took_ms\":41.250,\"ok\":true}}\n") !=
          std::string::npos);
    CHECK(line.starts_with("{\"t_ms\":"));
}

// The events tell which gateways and addresses a machine knows.
TEST_CASE("log: the events file is for root only and is appended to") {
    Machine machine;
    machine.put("events.jsonl", "{}\n");
    ::chmod(machine.folder.path("events.jsonl").c_str(), 0644);
    PrebootLog log(machine.paths(), machine.stderr_fd.get());
    log.open_events(machine.folder.path("events.jsonl"));
    log.write(entry(Level::Info, "one"));
    struct stat status{};
    REQUIRE(::stat(machine.folder.path("events.jsonl").c_str(), &status) == 0);
    CHECK((status.st_mode & 07777) == 0600);
    CHECK(machine.lines("events.jsonl") == 2);
}

// A program that reads the events would stop at the first odd host name.
TEST_CASE("log: every line of events is JSON, whatever a stranger put into it") {
    std::string nasty = "quote \" backslash \\ newline \n tab \t escape \x1b[2J bell \x07 \xff\xc3";
    auto line = to_json_line({.event = nasty, .message = nasty, .fields = {{nasty, nasty}}},
                             Instant{12345678us});
    CHECK(line.ends_with("}\n"));
    auto json = Json::parse(trim(line));
    REQUIRE(json.has_value());
    CHECK(*json->find("t_ms")->number() == 12345);
    const std::string clean = "quote \" backslash \\ newline ? tab ? escape ?[2J bell ? ??";
    CHECK(*json->find("message")->string() == clean);
    CHECK(*json->find("fields")->find(clean)->string() == clean);
}

// The same: JSON knows no infinity.
TEST_CASE("log: numbers that JSON does not know become null") {
    for (double number :
         {std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity(),
          std::numeric_limits<double>::quiet_NaN()})
        CHECK(to_json_line({.fields = {{"n", number}}}, Instant{}).find("\"n\":null") !=
              std::string::npos);
}

// A gateway's certificate could repaint the operator's terminal, or forge a line of ours.
TEST_CASE("log: control characters reach no terminal and no line is too long for the kernel") {
    Machine machine;
    PrebootLog log(machine.paths(), machine.stderr_fd.get());
    log.write(entry(Level::Info, "a\x1b[2Jb\nfortros-preboot: forged\r"));
    CHECK(machine.content("stderr") == "fortros-preboot: a?[2Jb?fortros-preboot: forged?\n");
    CHECK(machine.content("kmsg") == "<6>fortros-preboot: a?[2Jb?fortros-preboot: forged?\n");
    log.write(entry(Level::Info, std::string(5000, 'x')));
    for (std::string_view line : split(machine.content("kmsg"), '\n')) CHECK(line.size() < 1000);
}

// Debugging output would drown the stages.
TEST_CASE("log: debug entries appear only where they were asked for") {
    Machine machine;
    PrebootLog log(machine.paths(), machine.stderr_fd.get());
    log.write(entry(Level::Debug, "quiet"));
    CHECK(machine.content("stderr").empty());
    log.show_debug(true);
    log.write(entry(Level::Debug, "loud"));
    CHECK(machine.content("stderr") == "fortros-preboot: loud\n");
}

// Every line would stand twice on the console.
TEST_CASE("log: what the kernel shows on standard error's console is not written there again") {
    Machine machine;
    Terminal terminal;
    machine.put("consoles",
                "ttyS0                -W- (E  p a)    4:64\n"
                "pts0                 -W- (EC p a)    " +
                    terminal.number + "\n");
    machine.put("printk", "5\t4\t1\t7\n");
    PrebootLog log(machine.paths(), terminal.slave.get());
    log.write(entry(Level::Warning, "shown by the kernel"));
    CHECK(terminal.seen() == "");
    log.write(entry(Level::Notice, "too quiet for the kernel"));
    CHECK(terminal.seen().find("too quiet") != std::string::npos);
    CHECK(machine.lines("kmsg") == 2);
}

// An operator in front of a terminal would see nothing at all.
TEST_CASE("log: a terminal that is no enabled console of the kernel gets every line") {
    for (std::string line : {"pts0                 -W- (EC p a)    4:64\n",
                             "pts0                 -W- ( C p a)    THIS\n", ""}) {
        Machine machine;
        Terminal terminal;
        if (auto at = line.find("THIS"); at != std::string::npos)
            line.replace(at, 4, terminal.number);
        machine.put("consoles", line);
        machine.put("printk", "8 4 1 7\n");
        PrebootLog log(machine.paths(), terminal.slave.get());
        log.write(entry(Level::Warning, "here"));
        CHECK(terminal.seen().find("here") != std::string::npos);
    }
}

// With printk.devkmsg=off the console would stay dark.
TEST_CASE("log: without a kernel log the console is written to, and told once why") {
    Machine machine;
    Terminal terminal;
    machine.put("consoles", "pts0 -W- (EC p a) " + terminal.number + "\n");
    machine.put("printk", "8 4 1 7\n");
    auto paths = machine.paths();
    paths.kernel_log = "/nonexistent/kmsg";
    PrebootLog log(paths, terminal.slave.get());
    log.write(entry(Level::Info, "one"));
    std::string seen = terminal.seen();
    CHECK(seen.find("one") != std::string::npos);
    CHECK(seen.find("/nonexistent/kmsg") != std::string::npos);
    log.write(entry(Level::Info, "two"));
    seen = terminal.seen();
    CHECK(seen.find("two") != std::string::npos);
    CHECK(seen.find("/nonexistent/kmsg") == std::string::npos);
}

// A closed standard error or a full /run would end the boot.
TEST_CASE("log: a sink that fails is given up, and the others say so once") {
    Machine machine;
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    Fd reader{ends[0]}, writer{ends[1]};
    PrebootLog log(machine.paths(), writer.get());
    reader.reset();
    log.write(entry(Level::Info, "one"));
    log.write(entry(Level::Info, "two"));
    CHECK(machine.lines("kmsg") == 3);
    CHECK(machine.content("kmsg").find("<4>fortros-preboot: cannot write to standard error") !=
          std::string::npos);

    log.open_events("/dev/full");
    log.write(entry(Level::Info, "three"));
    log.write(entry(Level::Info, "four"));
    CHECK(machine.lines("kmsg") == 6);

    log.open_events("/nonexistent/events.jsonl");
    CHECK(machine.lines("kmsg") == 7);
    log.write(entry(Level::Info, "five"));
    CHECK(machine.lines("kmsg") == 8);
}

// A node that waits for days would fill the memory that /run is.
TEST_CASE("log: the events file is bounded") {
    Machine machine;
    PrebootLog log(machine.paths(), machine.stderr_fd.get());
    log.open_events(machine.folder.path("events.jsonl"));
    for (int i = 0; i < 2000; ++i) log.write(entry(Level::Info, std::string(900, 'x')));
    struct stat status{};
    REQUIRE(::stat(machine.folder.path("events.jsonl").c_str(), &status) == 0);
    CHECK(static_cast<std::size_t>(status.st_size) <= PrebootLog::events_file_limit);
    CHECK(static_cast<std::size_t>(status.st_size) > PrebootLog::events_file_limit - 2000);
    CHECK(machine.lines("kmsg") == 2001);
}

// The journal would file every line of the daemons under one level, or name them twice.
TEST_CASE("log: daemons give the service manager levels and a terminal their name") {
    Machine machine;
    ::unsetenv("JOURNAL_STREAM");
    StderrLog plain("fortros-gateway", machine.stderr_fd.get());
    plain.write(entry(Level::Warning, "a\nb"));
    ::setenv("JOURNAL_STREAM", "8:1", 1);
    StderrLog managed("fortros-gateway", machine.stderr_fd.get());
    managed.write(entry(Level::Warning, "c"));
    managed.write(entry(Level::Debug, "d"));
    ::unsetenv("JOURNAL_STREAM");
    CHECK(machine.content("stderr") == "fortros-gateway: a?b\n<4>c\n");
}
