#include "os/service_manager.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "base/text.h"

namespace fortros {

static constexpr int first_given = 3;  // SD_LISTEN_FDS_START
static constexpr int given_limit = 64;
static constexpr std::size_t state_limit = 1024;
static constexpr timeval patience{.tv_sec = 1, .tv_usec = 0};  // with a busy manager

// --- sockets ---

Result<std::vector<std::string>> given_names(const char* pid, const char* count, const char* names,
                                             pid_t own) {
    std::vector<std::string> given;
    if (pid == nullptr || count == nullptr) return given;
    const auto whose = parse_number<pid_t>(pid);
    if (!whose) return fail(ErrorCode::InvalidArgument, "LISTEN_PID is no number");
    if (*whose != own) return given;
    const auto size = parse_number<int>(count);
    if (!size || *size < 0 || *size > given_limit)
        return fail(ErrorCode::InvalidArgument,
                    "LISTEN_FDS is no number up to " + std::to_string(given_limit));
    if (*size == 0) return given;
    if (names == nullptr) {
        given.assign(static_cast<std::size_t>(*size), "unknown");
        return given;
    }
    for (const auto name : split(names, ':')) given.emplace_back(name);
    if (given.size() != static_cast<std::size_t>(*size))
        return fail(ErrorCode::InvalidArgument, "LISTEN_FDNAMES names another number of sockets");
    return given;
}

Result<std::vector<GivenSocket>> take_given_sockets() {
    const auto names = given_names(std::getenv("LISTEN_PID"), std::getenv("LISTEN_FDS"),
                                   std::getenv("LISTEN_FDNAMES"), ::getpid());
    for (const char* variable : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"})
        ::unsetenv(variable);
    std::vector<GivenSocket> sockets;
    for (const auto& name : TRY(names)) {
        const int fd = first_given + static_cast<int>(sockets.size());
        if (::fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
            return fail_errno(errno, "cannot take over descriptor " + std::to_string(fd));
        sockets.push_back({name, Fd(fd)});
    }
    return sockets;
}

// --- notifications ---

ServiceManager ServiceManager::of_environment() {
    ServiceManager manager;
    const auto value = [](const char* variable) {
        const char* text = std::getenv(variable);
        std::string copy = text == nullptr ? "" : text;
        ::unsetenv(variable);
        return copy;
    };
    manager.m_address = value("NOTIFY_SOCKET");
    const std::string period = value("WATCHDOG_USEC");
    const std::string whose = value("WATCHDOG_PID");
    manager.m_wants_watchdog =
        !period.empty() && (whose.empty() || parse_number<pid_t>(whose) == ::getpid());
    return manager;
}

void ServiceManager::tell(std::string_view state) const { send(state, 0); }

void ServiceManager::tell_alive() const { send("WATCHDOG=1", MSG_DONTWAIT); }

void ServiceManager::send(std::string_view state, int flags) const {
    sockaddr_un address{};
    if (m_address.empty() || m_address.size() >= sizeof(address.sun_path)) return;
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, m_address.data(), m_address.size());
    if (m_address.starts_with('@')) address.sun_path[0] = '\0';  // of the abstract namespace
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + m_address.size());
    const Fd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!socket.valid()) return;
    ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    const auto said = state.substr(0, state_limit);
    ::sendto(socket.get(), said.data(), said.size(), MSG_NOSIGNAL | flags,
             reinterpret_cast<const sockaddr*>(&address), size);
}

void ServiceManager::tell_reloading() const {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    const auto microseconds = std::int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1000;
    tell("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(microseconds));
}

}  // namespace fortros
