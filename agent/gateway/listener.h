// Listening sockets: made, taken over from a service manager, and accepted from. It reads and writes
// nothing.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "core/address.h"
#include "os/fd.h"

namespace fortros::gateway {

// A non-blocking socket that listens. [::] takes IPv4, too. PermissionDenied for a low port without
// CAP_NET_BIND_SERVICE, Conflict when somebody else listens there.
Result<Fd> listen_on(const Endpoint& endpoint);

// The same at a path, for this user and root alone. A socket that somebody has left behind there is
// replaced.
Result<Fd> listen_at(const std::string& path);

enum class ListenerKind {
    Internet,  // TCP over IPv4 or IPv6
    Any,       // that, or a socket with a path
};
// A socket that somebody else has made, if it is a stream socket that listens and of this kind. It
// does not wait any more. InvalidArgument says what it is not.
Result<Fd> adopt_listener(Fd socket, ListenerKind kind);

// Where it listens, for people: an endpoint or a path.
std::string place_of(int listener);

struct Accepted {
    Fd socket;        // non-blocking, without Nagle's delay
    Endpoint from{};  // of nobody, if the listener has a path
};

// Invalid socket: nobody waits. Exhausted when this process or the system has no descriptor left.
Result<Accepted> accept_from(int listener);

}  // namespace fortros::gateway
