#include "os/links.h"

#include <algorithm>

#include "base/text.h"

namespace fortros {

// More links than this are left alone.
static constexpr std::size_t links_limit = 64;

// The metric of networkd's DHCP routes, so that the real root replaces our routes by its own. Each
// further link gets the next: a link that comes later never takes the traffic of one that works.
static constexpr std::uint32_t first_metric = 1024;

Links::Links(Loop& loop, Log& log, Random& random, Settings settings, LinkControl control,
             LinkEvents events)
    : m_loop(loop),
      m_log(log),
      m_settings(std::move(settings)),
      m_events(std::move(events)),
      m_control(std::move(control)),
      m_parts{
          .loop = loop, .log = log, .random = random, .control = m_control, .settings = m_settings},
      m_next_metric(first_metric) {}

Links::~Links() = default;

Result<std::unique_ptr<Links>> Links::start(Loop& loop, Log& log, Random& random,
                                            const Settings& settings, LinkEvents events) {
    auto control = TRY(LinkControl::create());
    std::unique_ptr<Links> links(
        new Links(loop, log, random, settings, std::move(control), std::move(events)));
    Links* raw = links.get();
    if (settings.link_mode == LinkMode::Adopt) {
        links->m_adopted = TRY(AdoptedFiles::start(loop, [raw] { raw->observe_again(); }));
        links->m_parts.adopted = links->m_adopted.get();
    }
    links->m_monitor = TRY(LinkMonitor::start(
        loop, {.changed = [raw] { raw->observe_again(); },
               .advertised = [raw](unsigned ifindex,
                                   ByteView options) { raw->advertised(ifindex, options); },
               .missed = [raw] { raw->missed(); }}));
    links->observe(TRY(links->m_control.observe()));
    return links;
}

// --- what the kernel tells ----------------------------------------------------------------------

// A link tells of a change from deep within itself, and to look again may end it: do it later, in
// this turn of the loop.
void Links::observe_soon() {
    m_soon = m_loop.at(monotonic_now(), [this] { observe_again(); });
}

void Links::observe_again() {
    m_soon = {};
    auto states = m_control.observe();
    if (states) return observe(*std::move(states));
    m_log.write({.level = Level::Warning, .event = "link", .message = states.error().text()});
}

void Links::observe(std::vector<LinkState> states) {
    m_states = std::move(states);
    drop_gone();
    make_vlans();
    for (const LinkState& state : m_states) {
        if (!reason_to_leave(state, m_settings).empty()) continue;
        if (Link* link = take_up(state)) link->observe(state);
    }
    choose_static_link();
    if (const Status done = follow_preferred(); !done)
        m_log.write({.level = Level::Debug, .event = "link", .message = done.error().text()});
    tell();
}

void Links::advertised(unsigned ifindex, ByteView options) {
    const auto found = m_links.find(ifindex);
    if (found != m_links.end()) found->second.link->advertised(options);
}

void Links::missed() {
    for (auto& [ifindex, entry] : m_links) entry.link->solicit_routers();
}

// --- which links there are ----------------------------------------------------------------------

void Links::drop_gone() {
    for (auto it = m_links.begin(); it != m_links.end();) {
        const auto state = std::ranges::find(m_states, it->first, &LinkState::ifindex);
        const bool is_gone = state == m_states.end();
        const std::string why = is_gone ? "it is gone" : reason_to_leave(*state, m_settings);
        if (why.empty()) {
            ++it;
            continue;
        }
        const unsigned ifindex = it->first;
        const bool was_usable = it->second.told.has_value();
        it = m_links.erase(it);
        if (was_usable) m_events.lost(ifindex, why);
    }
}

Link* Links::take_up(const LinkState& state) {
    const auto found = m_links.find(state.ifindex);
    if (found != m_links.end()) return found->second.link.get();
    if (m_links.size() >= links_limit) return nullptr;
    Addressing addressing = Addressing::Automatic;
    if (m_settings.link_mode == LinkMode::Static) addressing = Addressing::None;
    if (m_settings.link_mode == LinkMode::Adopt) addressing = Addressing::Adopted;
    // Or an unplugged link with the best metric would swallow what another could carry.
    const bool is_ours = addressing != Addressing::Adopted;
    const Status done = is_ours ? LinkControl::pass_over_without_carrier(state.name) : Status{};
    if (!done)
        m_log.write({.level = Level::Debug, .event = "link", .message = done.error().text()});
    Entry& entry = m_links[state.ifindex];
    entry.link = std::make_unique<Link>(m_parts, state, addressing, m_next_metric++,
                                        [this] { observe_soon(); });
    return entry.link.get();
}

// A VLAN's parent is brought up and nothing else; the VLAN itself is a link like any other as soon
// as the kernel tells of it.
void Links::make_vlans() {
    for (const VlanSetting& vlan : m_settings.vlans) {
        if (!interface_allowed(m_settings, vlan.name)) continue;
        const auto parent = std::ranges::find(m_states, vlan.parent, &LinkState::name);
        if (parent == m_states.end()) {
            m_vlans[vlan.name].trouble = "its parent " + vlan.parent + " is not there";
            continue;
        }
        const bool is_there = std::ranges::contains(m_states, vlan.name, &LinkState::name);
        VlanProgress& progress = m_vlans[vlan.name];
        if (parent->up && is_there) progress.tries = 0;
        if ((parent->up && is_there) || progress.next_try) continue;
        progress.next_try = m_loop.after(wait_after_try(progress.tries++), [this, &progress] {
            progress.next_try.reset();
            observe_soon();
        });
        Status done;
        if (!parent->up) done = m_control.bring_up(parent->ifindex);
        if (done && !is_there) done = m_control.add_vlan(vlan, parent->ifindex);
        const std::string before =
            std::exchange(progress.trouble, done ? "it is being made" : done.error().text());
        if (!done && progress.trouble != before)
            m_log.write({.level = Level::Warning,
                         .event = "link",
                         .message = vlan.name + ": " + progress.trouble});
    }
}

// The static addresses go to the first link that has a carrier, and stay there while it exists: on
// two links at once they would be of no use on either.
void Links::choose_static_link() {
    if (m_settings.link_mode != LinkMode::Static) return;
    for (const auto& [ifindex, entry] : m_links)
        if (entry.link->addressing() == Addressing::Static) return;
    for (auto& [ifindex, entry] : m_links)
        if (entry.link->state().carrier) return entry.link->make_static();
}

// It takes the metric of the one that has the best, which gets its own in return. It comes first:
// a route with a metric replaces the one that had it, so at no moment there is none.
Status Links::prefer(unsigned ifindex) {
    const auto found = m_links.find(ifindex);
    if (found == m_links.end() || found->second.link->addressing() == Addressing::Adopted)
        return fail(ErrorCode::Unsupported, "the link is not ours");
    if (m_preferred != 0 && m_preferred != ifindex)
        TRY(m_control.stop_preferring_routers(m_preferred));
    m_preferred = ifindex;
    const auto best = std::ranges::min_element(
        m_links, {}, [](const auto& it) { return it.second.link->metric(); });
    const std::uint32_t own = found->second.link->metric();
    if (best != found) {
        found->second.link->set_metric(best->second.link->metric());
        best->second.link->set_metric(own);
    }
    return follow_preferred();
}

// The kernel says nothing when a router has only renewed its word, so look again before that is over.
Status Links::follow_preferred() {
    if (m_preferred == 0) return {};
    const auto lasts = TRY(m_control.prefer_routers(m_preferred));
    m_routers_age = {};
    if (lasts) m_routers_age = m_loop.after(*lasts / 2, [this] { observe_soon(); });
    return {};
}

// --- what is told -------------------------------------------------------------------------------

void Links::tell() {
    for (auto& [ifindex, entry] : m_links) {
        LinkReport report = entry.link->report();
        if (!report.addresses.empty()) {
            if (entry.told == report) continue;
            entry.told = std::move(report);
            m_events.usable(*entry.told);
        } else if (entry.told) {
            entry.told.reset();
            m_events.lost(ifindex, entry.link->problem());
        }
    }
    std::string problems = describe();
    if (problems == m_problems) return;
    m_problems = std::move(problems);
    m_events.trouble(m_problems);
}

std::string Links::describe() const {
    std::vector<std::string> troubles;
    for (const auto& [ifindex, entry] : m_links)
        if (!entry.told)
            troubles.push_back(entry.link->state().name + ": " + entry.link->problem());
    for (const auto& [name, vlan] : m_vlans)
        if (!std::ranges::contains(m_states, name, &LinkState::name))
            troubles.push_back(name + ": " + vlan.trouble);
    if (!m_links.empty() || !troubles.empty()) return join(troubles, "; ");

    for (const LinkState& state : m_states)
        if (state.ethernet)
            troubles.push_back(state.name + " is " + reason_to_leave(state, m_settings));
    if (troubles.empty()) return "no network interface: is the driver in the image?";
    return "no network interface that may be used: " + join(troubles, "; ");
}

}  // namespace fortros
