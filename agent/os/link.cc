#include "os/link.h"

#include <algorithm>

namespace fortros {

// Against a fight with somebody who takes the address away each time.
static constexpr std::uint32_t restore_limit = 8;

static std::uint16_t vlan_of(const Settings& settings, const std::string& name) {
    const auto vlan = std::ranges::find(settings.vlans, name, &VlanSetting::name);
    return vlan == settings.vlans.end() ? std::uint16_t{0} : vlan->id;
}

Link::Link(LinkParts parts, const LinkState& state, Addressing addressing, std::uint32_t metric,
           std::function<void()> changed)
    : m_parts(parts),
      m_state(state),
      m_addressing(addressing),
      m_metric(metric),
      m_changed(std::move(changed)),
      m_dhcp(parts.loop, parts.random, state.ifindex, parts.settings.hostname,
             {.bound =
                  [this](const DhcpLease& lease) {
                      const std::string got = lease.address.text() + " from DHCP server " +
                                              lease.server.text() + " for " +
                                              std::to_string(lease.lifetime.count()) + " s";
                      note(Level::Info, got);
                      configure(m_configured, configuration_of(lease, m_metric));
                  },
              .lost =
                  [this](const DhcpLease& lease, const Error& why) {
                      note(Level::Warning, "lost " + lease.address.text() + ": " + why.text());
                      configure(m_configured, {.by = ConfiguredBy::Dhcp, .metric = m_metric});
                  },
              .progressed = [this] { m_changed(); }}),
      m_dhcp6(parts.loop, parts.random, state.ifindex, vlan_of(parts.settings, state.name),
              {.bound =
                   [this](const Dhcp6Lease& lease) {
                       note(Level::Info, lease.address
                                             ? lease.address->text() + " from DHCPv6 for " +
                                                   std::to_string(lease.lifetime.count()) + " s"
                                             : "DHCPv6 answered");
                       m_restored6 = 0;
                       m_applied6 = configure(m_configured6, configuration_of(lease, m_metric));
                   },
               .lost =
                   [this](const Error& why) {
                       note(Level::Warning, why.text());
                       m_settled6.reset();
                       configure(m_configured6, {.by = ConfiguredBy::Dhcp, .metric = m_metric});
                   },
               .progressed = [this] { m_changed(); }}),
      m_solicitor(parts.loop, state.ifindex) {}

void Link::note(Level level, const std::string& message) {
    m_parts.log.write({.level = level,
                       .event = "link",
                       .message = m_state.name + ": " + message,
                       .fields = {{"interface", m_state.name}}});
}

Duration wait_after_try(std::uint32_t tries) { return 1s * (1 << std::min(tries, 3U)); }

// --- steps --------------------------------------------------------------------------------------

void Link::observe(const LinkState& state) {
    // A bond that has got its first port, or a driver that reads its card's memory late.
    const bool is_another = state.mac != m_state.mac;
    m_state = state;
    if (!state.up) {
        carrier_went();
        if (m_addressing != Addressing::Adopted) bring_up();
        return;
    }
    if (m_tries_up > 0) m_trouble.clear();
    m_tries_up = 0;
    if (!state.carrier) return carrier_went();
    // The count tells a carrier that went and came between two looks. Whoever has another MAC is
    // another host to DHCP servers.
    if (m_carrier_seen != state.carrier_changes || is_another) {
        carrier_went();
        m_carrier_seen = state.carrier_changes;
        carrier_came();
    }
    follow_routers();
    follow_leased_address();
}

void Link::bring_up() {
    if (m_next_try) return;
    const Status done = m_parts.control.bring_up(m_state.ifindex);
    std::string trouble = done ? std::string() : done.error().text();
    if (!done && trouble != m_trouble) note(Level::Warning, trouble);
    m_trouble = std::move(trouble);
    m_next_try = m_parts.loop.after(wait_after_try(m_tries_up++), [this] {
        m_next_try.reset();
        if (!m_state.up) m_changed();
    });
}

// Null when there is none yet.
static const IpAddress* settled_link_local(const LinkState& state) {
    const auto found = std::ranges::find_if(state.addresses, [](const LinkAddress& it) {
        return it.settled && !it.network.address.is_v4() && it.network.address.is_link_local();
    });
    return found == state.addresses.end() ? nullptr : &found->network.address;
}

void Link::carrier_came() {
    note(Level::Info, "carrier, as " + to_text(m_state.mac));
    // The kernel solicits routers once its link-local address is settled. When it is already, that
    // was before anybody listened.
    if (m_addressing == Addressing::Automatic && settled_link_local(m_state)) solicit_routers();
    if (m_addressing == Addressing::Automatic) m_dhcp.start(m_state.mac);
    // The kernel has dropped most of it if the link was down meanwhile.
    if (m_addressing == Addressing::Static) make_static();
}

void Link::carrier_went() {
    if (!m_carrier_seen) return;
    m_carrier_seen.reset();
    note(Level::Info, "carrier lost");
    m_dhcp.stop();
    m_dhcp6.stop();
    m_dhcp6_wish = Dhcp6Wish::Nothing;
    m_settled6.reset();
    m_solicitor.stop();
    m_resolvers.clear();
    watch_expiry();
}

// DHCPv6 where routers want it. Of several routers the one that wants most counts: the kernel knows
// only the word of the latest, and two that differ must not make us begin anew with each.
void Link::follow_routers() {
    const IpAddress* own = settled_link_local(m_state);
    if (m_addressing != Addressing::Automatic || !own || m_state.dhcp6_wish <= m_dhcp6_wish) return;
    m_dhcp6_wish = m_state.dhcp6_wish;
    m_dhcp6.start(m_dhcp6_wish, m_state.mac, *own);
}

// When duplicate detection finds another host with a leased address, the kernel drops the address,
// or flags it if it was for ever. One that had passed was taken away by somebody else.
void Link::follow_leased_address() {
    const Dhcp6Lease* lease = m_dhcp6.lease();
    if (!lease || !lease->address) return;
    const auto found = std::ranges::find_if(m_state.addresses, [&](const LinkAddress& it) {
        return it.network.address == *lease->address;
    });
    if (found == m_state.addresses.end()) {
        if (m_state.addresses.size() >= link_addresses_limit) return;
        if (m_settled6 == lease->address) return restore_leased_address(*lease);
        if (m_applied6) m_dhcp6.decline();
    } else if (found->duplicate) {
        m_dhcp6.decline();
    } else if (found->settled) {
        m_settled6 = lease->address;
        m_dhcp6.settled();
    }
}

// What is left of its time now.
template <typename Lease>
static Lease rest_of(const Lease& lease) {
    Lease rest = lease;
    const auto gone =
        std::chrono::duration_cast<std::chrono::seconds>(monotonic_now() - lease.acquired);
    if (lease.lifetime != endless_lease) rest.lifetime = std::max(lease.lifetime - gone, 1s);
    if constexpr (requires { lease.preferred; })
        if (lease.preferred != endless_lease) rest.preferred = std::max(lease.preferred - gone, 0s);
    return rest;
}

// To be checked for duplicates again.
void Link::restore_leased_address(const Dhcp6Lease& lease) {
    if (m_restored6++ >= restore_limit) return;
    note(Level::Warning, lease.address->text() + " was taken away, and is put back");
    m_settled6.reset();
    m_applied6 = configure(m_configured6, configuration_of(rest_of(lease), m_metric));
}

void Link::set_metric(std::uint32_t metric) {
    m_metric = metric;
    if (m_addressing == Addressing::Static) make_static();
    if (const DhcpLease* lease = m_dhcp.lease())
        configure(m_configured, configuration_of(rest_of(*lease), m_metric));
    if (const Dhcp6Lease* lease = m_dhcp6.lease())
        configure(m_configured6, configuration_of(rest_of(*lease), m_metric));
}

bool Link::configure(LinkConfiguration& have, LinkConfiguration want) {
    if (want.mtu) set_mtu(*want.mtu);
    const Status done = m_parts.control.apply(m_state.ifindex, want, have);
    m_trouble = done ? std::string() : done.error().text();
    if (!done) note(Level::Warning, m_trouble);
    have = std::move(want);
    return done.has_value();
}

void Link::set_mtu(std::uint16_t mtu) {
    if (mtu == m_state.mtu) return;
    const Status done = m_parts.control.set_mtu(m_state.ifindex, mtu);
    if (!done) note(Level::Warning, done.error().text());
}

void Link::make_static() {
    m_addressing = Addressing::Static;
    configure(m_configured, static_configuration_of(m_parts.settings, m_metric));
}

// --- IPv6 routers' resolvers --------------------------------------------------------------------

void Link::solicit_routers() {
    if (!m_carrier_seen || m_addressing != Addressing::Automatic) return;
    const Status asked = m_solicitor.start();
    // No IPv6 here, or none yet: DHCP may do.
    if (!asked) note(Level::Debug, asked.error().text());
}

void Link::advertised(ByteView options) {
    const auto resolvers = parse_router_resolvers(options);
    if (!resolvers) return note(Level::Debug, resolvers.error().text());
    const bool counts =
        m_addressing == Addressing::Automatic || m_addressing == Addressing::Adopted;
    if (resolvers->empty() || !counts) return;
    m_solicitor.stop();
    m_resolvers.heard(*resolvers, monotonic_now());
    watch_expiry();
    m_changed();
}

void Link::watch_expiry() {
    const Instant next = m_resolvers.deadline();
    m_resolvers_expire = {};
    if (next == Instant::max()) return;
    m_resolvers_expire = m_parts.loop.at(next, [this] {
        m_resolvers.tick(monotonic_now());
        watch_expiry();
        m_changed();
    });
}

// --- what is known ------------------------------------------------------------------------------

static bool contains(const std::vector<IpNetwork>& list, const IpNetwork& network) {
    return std::ranges::find(list, network) != list.end();
}

LinkReport Link::report() const {
    LinkKnowledge knowledge;
    const auto discount = [&](const IpAddress& it) { knowledge.discounted.push_back(it); };
    switch (m_addressing) {
        case Addressing::None: return LinkReport{.ifindex = m_state.ifindex, .name = m_state.name};
        case Addressing::Static:
            knowledge.resolvers = m_parts.settings.static_resolvers;
            for (const LinkAddress& address : m_state.addresses)
                if (!contains(m_parts.settings.static_addresses, address.network))
                    discount(address.network.address);
            break;
        case Addressing::Adopted: {
            knowledge.resolvers = m_parts.settings.static_resolvers;
            auto& all = knowledge.resolvers;
            for (const auto& more : {m_parts.adopted->resolvers(m_state.ifindex, m_state.name),
                                     m_resolvers.addresses()})
                all.insert(all.end(), more.begin(), more.end());
            break;
        }
        case Addressing::Automatic:
            knowledge.lease = m_dhcp.lease();
            knowledge.lease6 = m_dhcp6.lease();
            knowledge.resolvers = m_resolvers.addresses();
            // After the carrier came back it may be another network, until a server says no.
            if (!knowledge.lease)
                for (const AddressSetting& address : m_configured.addresses)
                    discount(address.network.address);
            if (!knowledge.lease6)
                for (const AddressSetting& address : m_configured6.addresses)
                    discount(address.network.address);
            break;
    }
    LinkReport report = report_of(m_state, knowledge);
    const auto vlan = std::ranges::find(m_parts.settings.vlans, m_state.name, &VlanSetting::name);
    if (vlan != m_parts.settings.vlans.end()) report.vlan = *vlan;
    return report;
}

std::string Link::problem() const {
    if (!m_trouble.empty()) return m_trouble;
    const bool adopts = m_addressing == Addressing::Adopted;
    if (!m_state.up && adopts) return "nobody has brought it up yet";
    if (!m_state.up) return m_tries_up <= 1 ? "it is coming up" : "somebody takes it down";
    if (!m_state.carrier) return "no carrier";
    switch (m_addressing) {
        case Addressing::None: return "not the link with the static addresses";
        case Addressing::Adopted: return "nobody has given it an address yet";
        case Addressing::Static: return "its static addresses are not accepted yet";
        case Addressing::Automatic: break;
    }
    const std::string dhcp = m_dhcp.problem();
    const std::string dhcp6 = m_dhcp6.problem();
    if (dhcp.empty()) return "its address is not there yet";
    return dhcp + ", and no IPv6 address" + (dhcp6.empty() ? "" : ": " + dhcp6);
}

}  // namespace fortros
