// Keeps the node's UEFI variables, its private key among them, from every user but root. efivarfs
// forgets modes: whenever it is mounted, all is readable by all again. It never reads a variable.
#pragma once

#include <memory>

#include "base/log.h"
#include "base/result.h"
#include "os/fd.h"
#include "os/loop.h"

namespace fortros {

// 0600 for both variables and 0700 for their directory, where they are. A machine without UEFI has
// none, which is as good.
Status guard_variables();

// Does it now, and again whenever something has been mounted. What fails is logged, once in a row.
class VariableGuard {
public:
    // `loop` and `log` must outlive it.
    static Result<std::unique_ptr<VariableGuard>> start(Loop& loop, Log& log);

private:
    VariableGuard(Fd mounts, Log& log) : m_mounts(std::move(mounts)), m_log(log) {}
    void guard();

    Fd m_mounts;
    Log& m_log;
    Loop::Watch m_watch;  // after the descriptor: it goes first
    bool m_failed = false;
};

}  // namespace fortros
