// A TCP connection's beginning: a non-blocking socket on its way to an endpoint. It resolves no
// name and waits for nothing.
#pragma once

#include "base/result.h"
#include "core/address.h"
#include "os/fd.h"

namespace fortros {

// The socket becomes writable when it is connected or has failed; finish_connecting() says which.
// Small writes leave at once (TCP_NODELAY). `ifindex`: leave by this link only, 0: as the routes
// say; it is also the link of a link-local address.
Result<Fd> start_connecting(const Endpoint& endpoint, unsigned ifindex);

Status finish_connecting(const Fd& socket);

}  // namespace fortros
