#include "os/confinement.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/netlink.h>
#include <linux/rtc.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <ctime>
#include <initializer_list>
#include <iterator>
#include <string_view>
#include <vector>

#include "core/exit_status.h"

namespace fortros {

#if defined(__x86_64__)
static constexpr std::uint32_t architecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
static constexpr std::uint32_t architecture = AUDIT_ARCH_AARCH64;
#else
#error "the list of system calls has not been thought through for this architecture"
#endif

#if defined(__SANITIZE_ADDRESS__)
static constexpr bool is_sanitized = true;
#elif defined(__has_feature)
static constexpr bool is_sanitized = __has_feature(address_sanitizer);
#else
static constexpr bool is_sanitized = false;
#endif

void forbid_core_dumps() {
    ::prctl(PR_SET_DUMPABLE, 0);
    const rlimit none{0, 0};
    ::setrlimit(RLIMIT_CORE, &none);
}

// --- capabilities ---------------------------------------------------------------------------------

static constexpr Capabilities bit(unsigned capability) { return Capabilities{1} << capability; }

Capabilities capabilities_of_a_probe() {
    return bit(CAP_NET_ADMIN) | bit(CAP_NET_RAW) | bit(CAP_NET_BIND_SERVICE) |
           bit(CAP_LINUX_IMMUTABLE);
}

Capabilities capabilities_of_a_boot(OnFailure on_failure) {
    const Capabilities all = capabilities_of_a_probe() | bit(CAP_SYS_TIME);
    return on_failure == OnFailure::Reboot ? all | bit(CAP_SYS_BOOT) : all;
}

static Status keep_capabilities(Capabilities kept) {
    // Nothing is ever executed, so not even what is kept need be in the bounding set. EPERM: who
    // started us has kept CAP_SETPCAP from us, and with PR_SET_NO_NEW_PRIVS the set has no use.
    for (unsigned capability = 0; ::prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; ++capability)
        if (::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0 && errno != EPERM)
            return fail_errno(errno, "cannot empty the bounding set of capabilities");
    if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
        return fail_errno(errno, "cannot drop ambient capabilities");

    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
    if (::syscall(SYS_capget, &header, data) < 0)
        return fail_errno(errno, "cannot read the capabilities");
    for (unsigned half = 0; half < std::size(data); ++half) {
        data[half].permitted &= static_cast<std::uint32_t>(kept >> (32 * half));
        data[half].effective = data[half].permitted;
        data[half].inheritable = 0;
    }
    if (::syscall(SYS_capset, &header, data) < 0)
        return fail_errno(errno, "cannot drop capabilities");
    return {};
}

// --- the list -------------------------------------------------------------------------------------

// Allowed whatever their arguments.
static constexpr long plain_calls[] = {
    // memory
    SYS_brk,
    SYS_munmap,
    SYS_mremap,
    SYS_madvise,
    SYS_futex,
    // files
    SYS_openat,
    SYS_read,
    SYS_write,
    SYS_readv,
    SYS_writev,
    SYS_lseek,
    SYS_close,
    SYS_fstat,
    SYS_newfstatat,
    SYS_statfs,
    SYS_fstatfs,
    SYS_faccessat,
    SYS_fcntl,
    SYS_fsync,
    SYS_fchmod,
    SYS_fchmodat,
    SYS_renameat,
    SYS_unlinkat,
    SYS_mkdirat,
    SYS_readlinkat,
    SYS_sync,
    SYS_inotify_init1,
    SYS_inotify_add_watch,
    // sockets, once there is one
    SYS_bind,
    SYS_connect,
    SYS_getsockname,
    SYS_getsockopt,
    SYS_setsockopt,
    SYS_sendto,
    SYS_recvfrom,
    SYS_sendmsg,
    SYS_recvmsg,
    // waiting
    SYS_epoll_create1,
    SYS_epoll_ctl,
    SYS_epoll_pwait,
    SYS_ppoll,
    SYS_clock_nanosleep,
    SYS_restart_syscall,
    // time and randomness
    SYS_clock_gettime,
    SYS_clock_settime,
    SYS_getrandom,
    // who we are, and our end
    SYS_getpid,
    SYS_gettid,
    SYS_geteuid,
    SYS_uname,
    SYS_getrusage,
    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_rt_sigreturn,
    SYS_exit,
    SYS_exit_group,
#ifdef __x86_64__  // younger architectures have only the calls above in their place
    SYS_open,
    SYS_stat,
    SYS_access,
    SYS_chmod,
    SYS_rename,
    SYS_unlink,
    SYS_mkdir,
    SYS_readlink,
    SYS_epoll_wait,
    SYS_poll,
    SYS_pause,
#endif
};

struct SocketKind {
    std::uint32_t domain, type, protocol;
};
static constexpr SocketKind socket_kinds[] = {
    {AF_INET, SOCK_STREAM, 0},
    {AF_INET, SOCK_STREAM, IPPROTO_TCP},
    {AF_INET6, SOCK_STREAM, 0},
    {AF_INET6, SOCK_STREAM, IPPROTO_TCP},
    {AF_INET, SOCK_DGRAM, 0},
    {AF_INET, SOCK_DGRAM, IPPROTO_UDP},
    {AF_INET6, SOCK_DGRAM, 0},
    {AF_INET6, SOCK_DGRAM, IPPROTO_UDP},
    {AF_INET6, SOCK_RAW, IPPROTO_ICMPV6},
    {AF_PACKET, SOCK_DGRAM, 0},
    {AF_NETLINK, SOCK_RAW, NETLINK_ROUTE},
    {AF_NETLINK, SOCK_RAW, NETLINK_GENERIC},
    {AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER},
};

// A flag of an inode, the RTC, and what stdio asks of a descriptor that might be a terminal.
static constexpr std::uint32_t ioctl_requests[] = {FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, RTC_RD_TIME,
                                                   RTC_SET_TIME, TCGETS};

namespace {

// Writes a BPF program. `only()` begins what is asked about one call; a test that fails leads to the
// next call's, so each ends where no other follows.
class FilterWriter {
public:
    FilterWriter() {
        load(offsetof(seccomp_data, arch));
        add(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, architecture, 1, 0));
        forbid();
        load(offsetof(seccomp_data, nr));
    }

    // Only before the first that is judged: the number of the call is still loaded.
    void allow(long call) {
        add(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(call), 0, 1));
        allow();
    }

    // `body` decides, with allow_if_*(); what it does not allow is forbidden.
    template <typename Body>
    void judge(long call, Body&& body) {
        load(offsetof(seccomp_data, nr));
        const std::size_t at = m_program.size();
        add(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(call), 0, 0));
        body();
        forbid();
        m_program[at].jf = static_cast<std::uint8_t>(m_program.size() - at - 1);
    }

    // The lower half: all that the kernel takes of an int.
    void load_argument(unsigned number) {
        // Little-endian, as both architectures are.
        load(offsetof(seccomp_data, args) + number * sizeof(std::uint64_t));
    }
    void allow_if(std::uint32_t value) {
        add(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1));
        allow();
    }
    void allow_without(std::uint32_t bits) {
        add(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, bits, 1, 0));
        allow();
    }
    void combine_with_argument(unsigned number, std::uint32_t mask) {
        add(BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 8));
        add(BPF_STMT(BPF_MISC | BPF_TAX, 0));
        load_argument(number);
        add(BPF_STMT(BPF_ALU | BPF_AND | BPF_K, mask));
        add(BPF_STMT(BPF_ALU | BPF_OR | BPF_X, 0));
    }

    std::vector<sock_filter> finish() {
        forbid();
        return std::move(m_program);
    }

private:
    void add(sock_filter instruction) { m_program.push_back(instruction); }
    void load(std::size_t offset) {
        add(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset)));
    }
    void allow() { add(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)); }
    void forbid() { add(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP)); }

    std::vector<sock_filter> m_program;
};

}  // namespace

// The BPF program that the kernel asks about each system call: for this architecture's own calls only,
// with arguments looked at where that says much.
// x32, whose calls have the same architecture and a bit more in their number, is in no list.
static std::vector<sock_filter> system_call_filter(OnFailure on_failure, std::uint32_t process) {
    FilterWriter filter;
    for (const long call : plain_calls) filter.allow(call);
    filter.judge(SYS_socket, [&] {
        filter.load_argument(0);
        filter.combine_with_argument(1, 0x0f);  // SOCK_CLOEXEC and SOCK_NONBLOCK do not matter
        filter.combine_with_argument(2, 0xff);
        for (const auto& [domain, type, protocol] : socket_kinds)
            filter.allow_if(domain << 16 | type << 8 | protocol);
    });
    filter.judge(SYS_ioctl, [&] {
        filter.load_argument(1);
        for (const std::uint32_t request : ioctl_requests) filter.allow_if(request);
    });
    // What is written is never executed.
    for (const long call : {SYS_mmap, SYS_mprotect})
        filter.judge(call, [&] {
            filter.load_argument(2);
            filter.allow_without(PROT_EXEC);
        });
    // abort(3).
    filter.judge(SYS_tgkill, [&] {
        filter.load_argument(0);
        filter.allow_if(process);
    });
    if (on_failure == OnFailure::Reboot)
        filter.judge(SYS_reboot, [&] {
            filter.load_argument(2);
            filter.allow_if(RB_AUTOBOOT);
        });
    return filter.finish();
}

// --- the end of who leaves it ---------------------------------------------------------------------

// For the signal handler, which gets no argument.
static OnFailure last_action = OnFailure::Exit;
static std::string last_events;

namespace {

// A line in memory of its own: a signal handler may not ask for any.
class Line {
public:
    Line& operator<<(std::string_view text) {
        const std::size_t size = std::min(text.size(), sizeof m_text - m_size);
        std::memcpy(m_text + m_size, text.data(), size);
        m_size += size;
        return *this;
    }
    Line& operator<<(std::int64_t number) {
        char digits[20];
        std::size_t at = sizeof digits;
        do digits[--at] = static_cast<char>('0' + number % 10);
        while ((number /= 10) > 0 && at > 0);
        return *this << std::string_view(digits + at, sizeof digits - at);
    }
    std::string_view text() const { return {m_text, m_size}; }
    void write(int fd) const {
        // Nobody is left who could do anything about a failure.
        [[maybe_unused]] const ssize_t count = ::write(fd, m_text, m_size);
    }

private:
    char m_text[400];
    std::size_t m_size = 0;
};

}  // namespace

// Only what signal-safety(7) allows, and only calls of the list: another one outside it ends the
// process without a word.
static void on_forbidden_call(int, siginfo_t* info, void*) {
    constexpr std::int64_t status = static_cast<int>(ExitStatus::ForbiddenCall);
    Line words;
    words << "forbidden-call (exit status " << status << "): the agent made the system call number "
          << info->si_syscall << ", which is not on its list";

    const int kernel_log = ::open("/dev/kmsg", O_WRONLY | O_CLOEXEC | O_NOCTTY);
    Line line;
    line << "fortros-preboot: " << words.text() << "\n";
    if (kernel_log >= 0) (Line() << "<3>" << line.text()).write(kernel_log);
    line.write(STDERR_FILENO);

    timespec now{};
    ::clock_gettime(CLOCK_BOOTTIME, &now);
    Line event;
    event << R"({"t_ms":)" << std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1000000
          << R"(,"level":"error","event":"finished","message":")" << words.text()
          << R"(","fields":{"status":)" << status << R"(,"cause":"forbidden-call","system_call":)"
          << info->si_syscall << "}}\n";
    const int events = ::open(last_events.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
    if (events >= 0) event.write(events);

    if (last_action == OnFailure::Reboot) {
        ::sync();
        ::reboot(RB_AUTOBOOT);
    }
    while (last_action == OnFailure::Hold) ::pause();
    ::_exit(static_cast<int>(status));
}

static Status install_list(const Cage& cage) {
    last_action = cage.on_failure;
    last_events = cage.events;
    struct sigaction handler{};
    handler.sa_sigaction = on_forbidden_call;
    handler.sa_flags = SA_SIGINFO;
    if (::sigaction(SIGSYS, &handler, nullptr) < 0)
        return fail_errno(errno, "cannot handle SIGSYS");
    auto filter = system_call_filter(cage.on_failure, static_cast<std::uint32_t>(::getpid()));
    const sock_fprog program{.len = static_cast<unsigned short>(filter.size()),
                             .filter = filter.data()};
    if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0) return {};
    if (errno == EINVAL)
        return fail(ErrorCode::Unsupported, "cannot confine system calls",
                    "the kernel has no seccomp filters");
    return fail_errno(errno, "cannot confine system calls");
}

Status confine(const Cage& cage) {
    TRY(keep_capabilities(cage.capabilities));
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return fail_errno(errno, "cannot forbid new privileges");
    if (is_sanitized) return {};
    return install_list(cage);
}

}  // namespace fortros
