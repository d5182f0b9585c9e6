// The service manager that has started this process, if one has: the sockets that it hands over
// (sd_listen_fds(3)) and what it is told (sd_notify(3)), by the documented protocol and without its
// library. Where there is none, nothing is handed over and nobody told.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "os/fd.h"

namespace fortros {

struct GivenSocket {
    std::string name;  // FileDescriptorName= of its unit
    Fd fd;
};

// What $LISTEN_PID, $LISTEN_FDS and $LISTEN_FDNAMES say to the process `own`: a name for each
// descriptor, from the third on; nothing if it is meant for another process. InvalidArgument for what
// is no such thing. Null: not set. Pure.
Result<std::vector<std::string>> given_names(const char* pid, const char* count, const char* names,
                                             pid_t own);

// Closed on exec, and still to be checked for what they are. Forgets about them: the second call finds
// none. InvalidArgument, too, for a descriptor that is not open.
Result<std::vector<GivenSocket>> take_given_sockets();

class ServiceManager {
public:
    // Of $NOTIFY_SOCKET and $WATCHDOG_USEC, which no child inherits then.
    static ServiceManager of_environment();

    // "READY=1", "STOPPING=1\nSTATUS=..."; at most once a line each. What can't be told is lost: it
    // would not help anybody to end for that.
    void tell(std::string_view state) const;
    // Reloading takes the manager's clock; READY=1 ends it.
    void tell_reloading() const;

    // Whether it ends us unless it is told every so often that we live.
    bool wants_watchdog() const { return m_wants_watchdog; }
    // A manager that is busy is not waited for: it will be told again.
    void tell_alive() const;

private:
    void send(std::string_view state, int flags) const;

    std::string m_address{};  // empty: there is none
    bool m_wants_watchdog = false;
};

}  // namespace fortros
