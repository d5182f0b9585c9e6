// Where a domain's gateways may be, asked of the given DNS servers and of nobody else: no
// resolv.conf, no /etc/hosts, no search domains, no cache, no server by default. What comes back is
// a list of candidates, never a verdict. Where policy allows no DNS, nothing here is ever
// constructed.
//
//   at once       AAAA and A of the name, SRV of the service
//   afterwards    AAAA and A of the SRV records' targets: of those only that are not the name itself
//                 and that the SRV answer gives no address for
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
    std::string service{};             // the owner of SRV records, asked for beside it; empty: none
    std::uint16_t gateway_port = 443;  // of the gateways that no SRV record names another for
    ResolverSet resolvers{};
    std::uint16_t port = 53;
};

// How long the other answers are waited for when the first address is there: RFC 8305 (section 3)
// says 50 ms for the second family where both are used as they come; here what is later is lost for
// this round.
inline constexpr Duration lookup_grace = 200ms;

// One look-up. Destroying it cancels it, without a call. It has no deadline of its own beyond
// c-ares's few retries, so its owner should.
class NameLookup {
public:
    // In the order of os/resolver_order.h, without addresses that no gateway can have; not empty.
    // NameNotResolved where a server said no; Timeout or Unreachable where none answered. SRV
    // records that are late, refused or broken, or that say that there is no such service, cost
    // only themselves.
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
