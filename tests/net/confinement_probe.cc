// Locks itself into the agent's cage and then tries to leave it, or to do what the agent does:
//
//   confinement-probe boot|probe|reboot WHAT
//
// boot, probe and reboot (OnFailure=reboot) say whose cage. It prints what came of it, "done" or the
// kernel's error, and ends with status 0; who was stopped prints nothing more.
#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "os/confinement.h"

using namespace fortros;

namespace {

struct Deed {
    std::string_view name;
    long (*perform)();
};

// 64 bits of which the kernel takes 32.
constexpr unsigned long high_bits = 0xffffffff00000000UL;

constexpr Deed deeds[] = {
    // What an attacker wants.
    {"execve", [] { return static_cast<long>(::execl("/bin/true", "true", nullptr)); }},
    {"fork", [] { return ::syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0); }},
    {"clone3", [] { return ::syscall(SYS_clone3, nullptr, 0); }},
    {"ptrace", [] { return ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr); }},
    {"mount", [] { return static_cast<long>(::mount("none", "/mnt", "tmpfs", 0, nullptr)); }},
    {"module", [] { return ::syscall(SYS_init_module, nullptr, 0, ""); }},
    {"namespace", [] { return static_cast<long>(::unshare(CLONE_NEWNS)); }},
    {"bpf", [] { return ::syscall(SYS_bpf, 0, nullptr, 0); }},
    {"io_uring", [] { return ::syscall(SYS_io_uring_setup, 1, nullptr); }},
    {"prctl", [] { return static_cast<long>(::prctl(PR_SET_DUMPABLE, 1)); }},
    {"kill", [] { return static_cast<long>(::kill(::getppid(), 0)); }},
    {"signal-another", [] { return ::syscall(SYS_tgkill, 1, 1, 0); }},
    {"unix-socket", [] { return static_cast<long>(::socket(AF_UNIX, SOCK_DGRAM, 0)); }},
    {"raw-socket", [] { return static_cast<long>(::socket(AF_INET, SOCK_RAW, IPPROTO_TCP)); }},
    {"all-frames", [] { return static_cast<long>(::socket(AF_PACKET, SOCK_RAW, 0)); }},
    {"audit-socket",
     [] { return static_cast<long>(::socket(AF_NETLINK, SOCK_RAW, NETLINK_AUDIT)); }},
    {"terminal-input", [] { return static_cast<long>(::ioctl(0, TIOCSTI, "x")); }},
    {"executable-memory",
     [] {
         return ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
                    ? -1L
                    : 0L;
     }},
    {"make-executable",
     [] {
         void* page =
             ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
         return static_cast<long>(::mprotect(page, 4096, PROT_READ | PROT_EXEC));
     }},
    {"restart", [] { return static_cast<long>(::reboot(RB_AUTOBOOT)); }},
    {"power-off", [] { return static_cast<long>(::reboot(RB_POWER_OFF)); }},
    {"x32", [] { return ::syscall(0x40000000 + SYS_getpid); }},
    // What is allowed and must stay so; what only looks so.
    {"tcp-socket",
     [] { return static_cast<long>(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0)); }},
    {"route-socket",
     [] {
         return static_cast<long>(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
     }},
    {"tcp-socket-in-64-bits",
     [] { return ::syscall(SYS_socket, high_bits | AF_INET, SOCK_STREAM, 0); }},
    {"file", [] { return static_cast<long>(::open("/proc/self/status", O_RDONLY | O_CLOEXEC)); }},
    {"abort", []() -> long { std::abort(); }},
};

Cage cage_named(std::string_view name) {
    if (name == "probe") return {.capabilities = capabilities_of_a_probe()};
    const OnFailure action = name == "reboot" ? OnFailure::Reboot : OnFailure::Exit;
    return {.capabilities = capabilities_of_a_boot(action), .on_failure = action};
}

}  // namespace

int main(int count, char** arguments) {
    if (count != 3) return 2;
    for (const auto& [name, perform] : deeds) {
        if (name != arguments[2]) continue;
        if (Status status = confine(cage_named(arguments[1])); !status) {
            std::printf("%s\n", status.error().text().c_str());
            return 1;
        }
        errno = 0;
        const long result = perform();
        std::printf("%s\n", result < 0 ? std::strerror(errno) : "done");
        return 0;
    }
    return 2;
}
