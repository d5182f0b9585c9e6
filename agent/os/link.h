// One link on its way from being there to working: up, carrier, address. It owns what is asked and
// heard on this link, changes no other, and undoes nothing when it goes.
//
//   observed ── down ──▶ bring up
//            ── carrier came ──▶ DHCP, or the static settings; IPv6 is the kernel's own work,
//                                and DHCPv6 where a router says so
//            ── carrier went ──▶ wait; what was configured stays
//   lease ──▶ configure, by difference ──▶ the kernel's events ──▶ observed
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/log.h"
#include "base/random.h"
#include "base/result.h"
#include "core/link_configuration.h"
#include "core/link_state.h"
#include "core/router_resolvers.h"
#include "core/settings.h"
#include "os/adopted_files.h"
#include "os/dhcp6_session.h"
#include "os/dhcp_session.h"
#include "os/link_control.h"
#include "os/loop.h"
#include "os/router_solicitor.h"

namespace fortros {

// What a link works with; all of it must outlive the link.
struct LinkParts {
    Loop& loop;
    Log& log;
    Random& random;
    LinkControl& control;
    const Settings& settings;
    const AdoptedFiles* adopted = nullptr;  // with Mode=adopt
};

// How a link gets its IPv4 address, and its resolvers.
enum class Addressing : std::uint8_t {
    Automatic,  // DHCP and IPv6 routers; resolvers from both
    Static,     // the settings' addresses and resolvers, and no other
    Adopted,    // somebody else's: watched only, never touched, nothing said on it
    None,       // another link has the static addresses: watched only
};

// After so many tries to bring a link up, to make one, or to see any: 1, 2, 4, 8, 8 ... seconds.
// Whoever takes it away each time is not fought faster than that.
Duration wait_after_try(std::uint32_t tries);

class Link {
public:
    // `changed` is called, from deep within the link, when the kernel, report() or problem() may say
    // something else now: look again, but later. `metric` is that of this link's routes: the lower,
    // the better.
    Link(LinkParts parts, const LinkState& state, Addressing addressing, std::uint32_t metric,
         std::function<void()> changed);
    Link(const Link&) = delete;
    Link& operator=(const Link&) = delete;
    ~Link() = default;

    // Takes in how the link is now, and the next step.
    void observe(const LinkState& state);
    // Takes in a router advertisement's options.
    void advertised(ByteView options);
    // Some advertisement may have been missed: asks for another.
    void solicit_routers();
    // Gives a link with Addressing::None the static addresses, and keeps them there.
    void make_static();

    // From now on, for what is there already too.
    void set_metric(std::uint32_t metric);
    std::uint32_t metric() const { return m_metric; }

    const LinkState& state() const { return m_state; }
    Addressing addressing() const { return m_addressing; }
    // Empty addresses: it does not work yet.
    LinkReport report() const;
    // Why it does not work, in words.
    std::string problem() const;

private:
    void bring_up();
    void carrier_came();
    void carrier_went();
    // Whether all of it is in place; if not, why has been told.
    bool configure(LinkConfiguration& have, LinkConfiguration want);
    void follow_routers();
    void follow_leased_address();
    void restore_leased_address(const Dhcp6Lease& lease);
    void set_mtu(std::uint16_t mtu);
    void watch_expiry();
    void note(Level level, const std::string& message);

    LinkParts m_parts;
    LinkState m_state;
    Addressing m_addressing;
    std::uint32_t m_metric;
    std::function<void()> m_changed;

    std::uint32_t m_tries_up = 0;                 // since it was up
    std::optional<Loop::Timer> m_next_try;        // not to be brought up before
    std::optional<std::uint32_t> m_carrier_seen;  // its number of changes; absent: no carrier
    LinkConfiguration m_configured;               // by us: DHCP, or the settings
    LinkConfiguration m_configured6;              // by us: DHCPv6
    bool m_applied6 = false;                      // the kernel took the leased IPv6 address
    std::optional<IpAddress> m_settled6;          // and it was seen to have settled
    std::uint32_t m_restored6 = 0;                // times that it had to be put back, by lease
    std::string m_trouble;                        // what the kernel refused last
    DhcpSession m_dhcp;
    Dhcp6Session m_dhcp6;
    Dhcp6Wish m_dhcp6_wish = Dhcp6Wish::Nothing;  // that is being granted
    RouterResolvers m_resolvers;
    Loop::Timer m_resolvers_expire;
    RouterSolicitor m_solicitor;
};

}  // namespace fortros
