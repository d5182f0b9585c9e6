#include "gateway/relay.h"

#include "gateway/admin_parts.h"
#include "os/forwarding.h"

namespace fortros::gateway {

std::string relay_problem(const GatewaySettings& settings) {
    if (!settings.relay) return {};
    const auto forwards = forwards_ipv6();
    if (!forwards) return forwards.error().text();
    return *forwards ? ""
                     : "net.ipv6.conf.all.forwarding is 0: nodes can't talk through this gateway "
                       "(fortros-gateway allow-relay switches it on)";
}

Outcome<Said> allow_relay(const Arguments&, const GatewaySettings& settings) {
    if (!settings.relay || !settings.manage) return say("Relay=no: nothing is changed\n");
    TRY(or_exit(ExitCode::Failure, forward_ipv6()));
    return say("this host forwards IPv6\n");
}

}  // namespace fortros::gateway
