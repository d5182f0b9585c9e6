#include "maintainer/variables.h"

#include <fcntl.h>
#include <sys/epoll.h>

#include <cerrno>
#include <utility>

#include "os/efi_vars.h"

namespace fortros {

static constexpr const char* mounts_file = "/proc/self/mountinfo";

Status guard_variables() {
    FirmwareVariables variables;
    TRY(variables.protect(efi_key_variable));
    return variables.protect(efi_state_variable);
}

Result<std::unique_ptr<VariableGuard>> VariableGuard::start(Loop& loop, Log& log) {
    Fd mounts{::open(mounts_file, O_RDONLY | O_CLOEXEC)};
    if (!mounts.valid()) return fail_errno(errno, std::string("cannot open '") + mounts_file + "'");
    std::unique_ptr<VariableGuard> guard(new VariableGuard(std::move(mounts), log));
    // proc(5): a change of the mounts is an exceptional condition, and being told ends it.
    guard->m_watch = TRY(loop.watch(guard->m_mounts.get(), EPOLLPRI,
                                    [raw = guard.get()](std::uint32_t) { raw->guard(); }));
    guard->guard();
    return guard;
}

void VariableGuard::guard() {
    const Status status = guard_variables();
    if (!status && !std::exchange(m_failed, true))
        m_log.write({.level = Level::Warning,
                     .event = "variables-not-private",
                     .message = "the node's UEFI variables may be readable by every user: " +
                                status.error().text()});
    if (status) m_failed = false;
}

}  // namespace fortros
