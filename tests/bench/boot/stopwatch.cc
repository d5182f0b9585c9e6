// From the start of a program to the first packet across the tunnel that it makes, and what that cost. Run in the
// node's network namespace; it knows nothing of what it measures but the address at the tunnel's other end.
//
//   usage: boot-stopwatch [--stays] FAR_NAMESPACE ADDRESS CGROUP LIMIT_MS PROGRAM ARG...
//
// From the start on it sends an echo request to ADDRESS every 2 ms, as an application would that cannot wait, and
// looks in FAR_NAMESPACE, behind the tunnel, for the first that arrives. The program runs in the new cgroup CGROUP
// and is waited for, or with --stays ended after that; the kernel's trace events are of it and its children alone
// (tracefs on /tracing, whose `event-fork` is on). One JSON object tells: microseconds from the start to the
// first packet and to the program's end; its status; its processor time; the most memory of all its processes
// together; the largest resident set of a single one.
#include <fcntl.h>
#include <netdb.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fstream>
#include <iostream>
#include <optional>
#include <span>
#include <string>

#include "base/result.h"
#include "base/text.h"
#include "core/address.h"
#include "os/fd.h"

using namespace fortros;

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr milliseconds send_every{2};
constexpr int grace_ms = 2000;
constexpr const char* counted_pids = "/tracing/set_event_pid";
constexpr std::uint16_t echo_id = 0x4654;

struct Orders {
    bool stays = false;
    std::string far_namespace;
    IpAddress address;
    std::string cgroup;
    milliseconds limit;
    char** program;
};

// Echo requests to one address, and their arrival in another namespace.
class Echo {
public:
    static Result<Echo> make(const IpAddress& address, const std::string& far_namespace) {
        const bool is_v6 = address.family() == Family::IPv6;
        const auto socket = [is_v6] {
            return Fd(::socket(
                is_v6 ? AF_INET6 : AF_INET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC,
                is_v6 ? static_cast<int>(IPPROTO_ICMPV6) : static_cast<int>(IPPROTO_ICMP)));
        };
        const Fd home{::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC)};
        const Fd away{::open(("/run/netns/" + far_namespace).c_str(), O_RDONLY | O_CLOEXEC)};
        Echo echo;
        echo.m_near = socket();
        if (::setns(away.get(), CLONE_NEWNET) < 0)
            return fail_errno(errno, "cannot enter " + far_namespace);
        echo.m_far = socket();
        if (::setns(home.get(), CLONE_NEWNET) < 0) return fail_errno(errno, "cannot come back");
        if (!echo.m_near.valid() || !echo.m_far.valid())
            return fail_errno(errno, "cannot make a raw socket");
        echo.m_is_v6 = is_v6;
        const auto bytes = address.bytes();
        if (is_v6) {
            auto& to = reinterpret_cast<sockaddr_in6&>(echo.m_to);
            to.sin6_family = AF_INET6;
            std::memcpy(&to.sin6_addr, bytes.data(), bytes.size());
            echo.m_to_size = sizeof to;
        } else {
            auto& to = reinterpret_cast<sockaddr_in&>(echo.m_to);
            to.sin_family = AF_INET;
            std::memcpy(&to.sin_addr, bytes.data(), bytes.size());
            echo.m_to_size = sizeof to;
        }
        return echo;
    }

    int far() const { return m_far.get(); }

    // Where there is no way yet the kernel says so, which is what we wait for to end.
    void send() const {
        std::array<std::uint8_t, 8> message{};
        message[0] = m_is_v6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO;
        message[4] = echo_id >> 8;
        message[5] = echo_id & 255;
        if (!m_is_v6) {  // of ICMPv6 the kernel makes the checksum
            const unsigned sum = 0xFFFFU - (unsigned{ICMP_ECHO} << 8) - echo_id;
            message[2] = static_cast<std::uint8_t>(sum >> 8);
            message[3] = static_cast<std::uint8_t>(sum);
        }
        ::sendto(m_near.get(), message.data(), message.size(), 0,
                 reinterpret_cast<const sockaddr*>(&m_to), m_to_size);
    }

    // Whether one of ours has arrived.
    bool has_arrived() const {
        std::array<std::uint8_t, 256> packet{};
        while (true) {
            const auto size = ::recv(m_far.get(), packet.data(), packet.size(), 0);
            if (size < 0) return false;
            std::span<const std::uint8_t> message(packet.data(), static_cast<std::size_t>(size));
            if (!m_is_v6) {
                const std::size_t header = std::size_t{4} * (packet[0] & 15U);
                if (message.size() < header) continue;
                message = message.subspan(header);
            }
            if (message.size() >= 8 && message[0] == (m_is_v6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO) &&
                message[4] == echo_id >> 8 && message[5] == (echo_id & 255))
                return true;
        }
    }

private:
    Fd m_near;
    Fd m_far;
    bool m_is_v6 = false;
    sockaddr_storage m_to{};
    socklen_t m_to_size = 0;
};

Status write_to(const std::string& path, const char* text) {
    std::ofstream file(path);
    if (!(file << text).flush()) return fail_errno(errno, "cannot write " + path);
    return {};
}

std::string first_word(const std::string& path, const std::string& key = {}) {
    std::ifstream file(path);
    std::string word;
    while (file >> word) {
        if (key.empty()) return word;
        if (word == key) return file >> word ? word : "0";
    }
    return "0";
}

struct Watched {
    std::optional<microseconds> first_packet;
    std::optional<microseconds> end;
    std::string cpu_us;
    std::string memory_peak;
};

Watched watch(const Orders& orders, const Echo& echo, int process, Clock::time_point start) {
    Watched seen;
    const auto since_start = [start] {
        return std::chrono::duration_cast<microseconds>(Clock::now() - start);
    };
    std::array<pollfd, 2> events{{{echo.far(), POLLIN, 0}, {process, POLLIN, 0}}};
    while (since_start() < orders.limit && !(seen.first_packet && (seen.end || orders.stays))) {
        if (!seen.first_packet) echo.send();
        const timespec wait{.tv_sec = 0, .tv_nsec = std::chrono::nanoseconds(send_every).count()};
        if (::ppoll(events.data(), events.size(), &wait, nullptr) <= 0) continue;
        if (events[0].revents != 0 && echo.has_arrived() && !seen.first_packet)
            seen.first_packet = since_start();
        if (events[1].revents != 0) {
            if (!seen.end) seen.end = since_start();
            events[1].fd = -1;
        }
    }
    seen.cpu_us = first_word(orders.cgroup + "/cpu.stat", "usage_usec");
    seen.memory_peak = first_word(orders.cgroup + "/memory.peak");
    return seen;
}

// It may say its last words, and then all that it has started ends with it.
Status end(const Orders& orders, pid_t child, int process) {
    ::kill(child, SIGTERM);
    pollfd ended{process, POLLIN, 0};
    ::poll(&ended, 1, grace_ms);
    return write_to(orders.cgroup + "/cgroup.kill", "1");
}

void tell(const Watched& seen, int status, const rusage& used) {
    const auto number = [](const std::optional<microseconds>& time) {
        return time ? std::to_string(time->count()) : "null";
    };
    std::cout << "{\"first_packet_us\": " << number(seen.first_packet)
              << ", \"end_us\": " << number(seen.end)
              << ", \"status\": " << (WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status))
              << ", \"cpu_us\": " << seen.cpu_us << ", \"memory_peak\": " << seen.memory_peak
              << ", \"largest_rss_kib\": " << used.ru_maxrss << "}\n";
}

Status run(const Orders& orders) {
    const auto echo = TRY(Echo::make(orders.address, orders.far_namespace));
    if (::mkdir(orders.cgroup.c_str(), 0755) < 0)
        return fail_errno(errno, "cannot make " + orders.cgroup);
    std::array<int, 2> gate{};
    if (::pipe2(gate.data(), O_CLOEXEC) < 0) return fail_errno(errno, "cannot make a pipe");
    const auto child = ::fork();
    if (child < 0) return fail_errno(errno, "cannot fork");
    if (child == 0) {
        ::close(gate[1]);
        char nothing = 0;
        if (!write_to(orders.cgroup + "/cgroup.procs", "0") || ::read(gate[0], &nothing, 1) != 0)
            ::_exit(126);
        ::execvp(orders.program[0], orders.program);
        ::_exit(127);
    }
    const Fd process{static_cast<int>(::syscall(SYS_pidfd_open, child, 0))};
    while (first_word(orders.cgroup + "/cgroup.procs") == "0") ::sched_yield();
    TRY(write_to(counted_pids, std::to_string(child).c_str()));
    const auto start = Clock::now();
    ::close(gate[1]);
    const auto seen = watch(orders, echo, process.get(), start);
    TRY(end(orders, child, process.get()));
    int status = 0;
    rusage used{};
    ::wait4(child, &status, 0, &used);
    tell(seen, status, used);
    return {};
}

}  // namespace

int main(int argc, char** argv) {
    int at = 1;
    const bool stays = argc > at && std::string_view(argv[at]) == "--stays";
    if (stays) ++at;
    const auto address = argc > at + 4 ? IpAddress::parse(argv[at + 1]) : std::nullopt;
    const auto limit = address ? parse_number<unsigned>(argv[at + 3]) : std::nullopt;
    if (!limit) {
        std::cerr << "usage: boot-stopwatch [--stays] FAR_NAMESPACE ADDRESS CGROUP LIMIT_MS "
                     "PROGRAM ARG...\n";
        return 2;
    }
    const auto done = run({.stays = stays,
                           .far_namespace = argv[at],
                           .address = *address,
                           .cgroup = argv[at + 2],
                           .limit = milliseconds(*limit),
                           .program = argv + at + 4});
    if (!done) std::cerr << "boot-stopwatch: " << done.error().text() << "\n";
    return done ? 0 : 1;
}
