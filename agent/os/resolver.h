// The addresses of one name, asked of the given DNS servers and of nobody else: no resolv.conf, no
// /etc/hosts, no search domains, no cache, no server by default. What comes back is a list of
// candidates, never a verdict. Where policy allows no DNS, nothing here is ever constructed.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "core/address.h"
#include "core/discovery.h"
#include "os/loop.h"

namespace fortros {

struct LookupRequest {
    std::string name;                  // of the gateways
    std::string service{};             // asked for SRV records beside it; empty: none
    std::uint16_t gateway_port = 443;  // of the gateways that no SRV record names another for
    ResolverSet resolvers{};
    std::uint16_t port = 53;
};

// How long the second family is waited for when the first has addresses. RFC 8305 (section 3) says
// 50 ms where both answers are used as they come; here the other family is lost for this round.
inline constexpr Duration second_family_grace = 200ms;

// One look-up: A and AAAA together. Destroying it cancels it, without a call. It has no deadline of
// its own beyond c-ares's few retries, so its owner should.
class NameLookup {
public:
    // IPv6 and IPv4 interleaved (RFC 8305), without those that no gateway can have, at most
    // candidates_per_source_limit. NameNotResolved where a server said no; Timeout or Unreachable
    // where none answered.
    using Done = std::function<void(Result<std::vector<Endpoint>>)>;

    // `done` is called once, from the loop, never from inside start(), and may destroy the look-up.
    static std::unique_ptr<NameLookup> start(Loop& loop, const LookupRequest& request, Done done);
    NameLookup(const NameLookup&) = delete;
    NameLookup& operator=(const NameLookup&) = delete;
    ~NameLookup();

private:
    class Machine;
    explicit NameLookup(std::unique_ptr<Machine> machine);

    std::unique_ptr<Machine> m_machine;
};

}  // namespace fortros
