// Listening TCP sockets: made, and accepted from. It reads and writes nothing.
#pragma once

#include <vector>

#include "base/result.h"
#include "core/address.h"
#include "os/fd.h"

namespace fortros::gateway {

// A non-blocking socket that listens. [::] takes IPv4, too. PermissionDenied for a low port without
// CAP_NET_BIND_SERVICE, Conflict when somebody else listens there.
Result<Fd> listen_on(const Endpoint& endpoint);

struct Accepted {
    Fd socket;  // non-blocking, without Nagle's delay
    Endpoint from{};
};

// Invalid socket: nobody waits. Exhausted when this process or the system has no descriptor left.
Result<Accepted> accept_from(int listener);

}  // namespace fortros::gateway
