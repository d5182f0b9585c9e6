#include "maintainer/keeper.h"

#include <algorithm>
#include <utility>

#include "maintainer/adoption.h"
#include "maintainer/report.h"
#include "maintainer/serf_setup.h"
#include "os/clock.h"
#include "os/files.h"
#include "os/forwarding.h"
#include "os/guard.h"
#include "os/path_filters.h"
#include "os/relay_rules.h"

namespace fortros {

// The kernel's counters are read so often while something moves, and so often while nothing does.
static constexpr Duration observe_busy = 1s;
static constexpr Duration observe_idle = 3s;
// So long after the last packet nothing moves.
static constexpr Duration busy_time = 20s;
// Addresses, routes and the guard, though no event has told of them.
static constexpr Duration observe_all = 10s;
// However many events tell of them.
static constexpr Duration observe_all_pause = 200ms;
static constexpr Duration failure_pause = 1s;
// Between two rounds, whatever happens.
static constexpr Duration round_pause = 20ms;
static constexpr Duration status_pause = 2s;
// Those with the most traffic through lighthouses.
static constexpr std::size_t demands_told = 64;
static constexpr Duration save_pause = 1min;
static constexpr Duration path_filters_pause = 1min;

Keeper::Keeper(KeeperParts parts, MaintainerSettings settings, HandOff hand_off, PrivateKey key,
               OverlayLinks links, LinkControl link_control)
    : m_parts(std::move(parts)),
      m_settings(std::move(settings)),
      m_hand_off(std::move(hand_off)),
      m_key(std::move(key)),
      m_self({.address = m_hand_off.overlay_address,
              .prefix = m_hand_off.prefix,
              .key = m_hand_off.node}),
      m_links(std::move(links)),
      m_link_control(std::move(link_control)),
      m_roster(m_hand_off.prefix, m_hand_off.node, m_parts.anchors, m_hand_off.floor) {
    for (const auto& interface : m_hand_off.interfaces) {
        if (interface.plan.name != direct_interface) continue;
        m_self.mtu = interface.plan.mtu;
        m_self.listen_port = interface.plan.listen_port;
    }
}

Keeper::~Keeper() = default;

Result<std::unique_ptr<Keeper>> Keeper::create(KeeperParts parts, MaintainerSettings settings,
                                               HandOff hand_off, PrivateKey key,
                                               OverlayLinks links) {
    auto link_control = TRY(LinkControl::create());
    std::unique_ptr<Keeper> keeper(new Keeper(std::move(parts), std::move(settings),
                                              std::move(hand_off), std::move(key), std::move(links),
                                              std::move(link_control)));
    TRY(keeper->prepare());
    return keeper;
}

Status Keeper::prepare() {
    m_monitor = TRY(LinkMonitor::start(m_parts.loop, {.changed =
                                                          [this] {
                                                              m_links_changed = true;
                                                              soon();
                                                          },
                                                      .advertised = [](unsigned, ByteView) {},
                                                      .missed = [] {}}));
    TRY(observe_everything());
    TRY(remember());
    remember_cached();
    m_state_store = make_state_store(m_hand_off.state_store, m_variables, m_parts.log);
    if (auto counter = DemandCounter::create(m_hand_off.prefix))
        m_demand = std::move(*counter);
    else
        complain("demand-not-counted", counter.error());
    begin_mesh();
    m_beacons.emplace(m_parts.loop, m_parts.random, m_hand_off.prefix, m_hand_off.node,
                      [this](const mesh::LanHint& hint) {
                          m_mesh->heard(hint, monotonic_now());
                          soon();
                      });
    send_beacons();
    m_messenger = TRY(Messenger::create(
        m_parts.loop, m_hand_off.prefix, m_key, m_hand_off.node, m_parts.random,
        [this](const PublicKey& from, mesh::Via via, const mesh::LinkMessage& message) {
            received(from, via, message);
        }));
    m_feed = TRY(MemberFeed::create({.loop = m_parts.loop,
                                     .log = m_parts.log,
                                     .random = m_parts.random,
                                     .key = m_key,
                                     .anchors = m_parts.anchors,
                                     .listener = *this},
                                    feed_self()));
    return m_settings.engine == Engine::Serf ? prepare_serf() : Status{};
}

Status Keeper::prepare_serf() {
    const Endpoint& agent = m_settings.serf_agent;
    auto password = TRY(write_serf_config({.directory = m_parts.directory,
                                           .node = m_hand_off.node,
                                           .overlay_address = m_hand_off.overlay_address,
                                           .agent = agent,
                                           .key_file = m_settings.serf_key_file},
                                          m_parts.random));
    m_serf.emplace(SerfMembershipParts{.loop = m_parts.loop,
                                       .log = m_parts.log,
                                       .random = m_parts.random,
                                       .listener = *this,
                                       .estimated =
                                           [this](const PublicKey& member, Duration rtt) {
                                               m_mesh->estimated(member, rtt, monotonic_now());
                                           }},
                   m_hand_off.node, m_hand_off.prefix, agent, std::move(password));
    m_serf->announce(m_hand_off.attestation);
    introduce_serf();
    return {};
}

void Keeper::send_beacons() {
    if (!m_beacons) return;
    std::uint16_t port = 0;
    for (const InterfaceState& state : m_have)
        if (state.wireguard.name == direct_interface) port = state.wireguard.listen_port;
    const std::string problem = m_beacons->set_links(m_beacon_links, port);
    if (!problem.empty()) complain("no-beacons", {ErrorCode::Io, problem});
}

// With what the kernel has: whoever is a peer stays one.
void Keeper::begin_mesh() {
    m_mesh.emplace(mesh::Self{.key = m_hand_off.node,
                              .address = m_hand_off.overlay_address,
                              .role = m_hand_off.role,
                              .attestation = m_hand_off.attestation,
                              .metered = m_settings.metered},
                   m_roster.members(), m_parts.random, monotonic_now());
    m_mesh->adopt(peers_in_force(m_have, m_hand_off.prefix),
                  lighthouses_in_force(m_have, m_hand_off.prefix), monotonic_now());
    tell_mesh();
    m_applied = 0;
    m_must_apply = true;
}

void Keeper::start() {
    m_feed->start();
    if (m_serf) m_serf->start();
    round();
}

// --- rounds -------------------------------------------------------------------------------------

// Never later than it is due already: many events must not put off the round that they ask for.
void Keeper::soon() { next_round(std::min(m_next_round, monotonic_now() + round_pause)); }

void Keeper::next_round(Instant at) {
    m_next_round = at;
    m_next = m_parts.loop.at(at, [this] { round(); });
}

void Keeper::schedule() {
    const Instant now = monotonic_now();
    Instant next =
        std::min(m_mesh->next_step(), m_observed + (is_busy() ? observe_busy : observe_idle));
    if (m_links_changed) next = std::min(next, m_observed_everything + observe_all_pause);
    next_round(std::max(next, now + round_pause));
}

bool Keeper::is_busy() const { return monotonic_now() < m_busy_until; }

void Keeper::complain(std::string_view event, const Error& error) {
    Complaint& last = m_complaints[std::string(event)];
    last.at = monotonic_now();
    std::string words = error.text();
    if (last.words == words) return;
    last.words = words;
    m_parts.log.write(
        {.level = Level::Warning, .event = std::string(event), .message = std::move(words)});
}

void Keeper::round() {
    m_next_round = Instant::max();
    if (Status status = reconcile(); !status) {
        complain("round-failed", status.error());
        return next_round(monotonic_now() + failure_pause);
    }
    m_complaints.erase("round-failed");
    schedule();
}

Status Keeper::reconcile() {
    const Instant now = monotonic_now();
    members_changed();
    const Duration since_all = now - m_observed_everything;
    if ((m_links_changed && since_all >= observe_all_pause) || since_all >= observe_all) {
        TRY(observe_everything());
        // Somebody else's key on an interface is not ours to overwrite.
        TRY(check_own_interfaces());
        if (Status status = mend_guard(); !status) complain("no-guard", status.error());
        if (Status status = serve_as_lighthouse(); !status)
            complain("not-relaying", status.error());
    } else if (now - m_observed >= (is_busy() ? observe_busy : observe_idle)) {
        TRY(observe());
    }
    const auto messages = m_mesh->step(monotonic_now());
    // A probe tries an endpoint that the mesh has just named.
    const Status applied = apply();
    send(messages);
    TRY(applied);
    m_messenger->set_ways(ways_of(m_have, m_mesh->overlay()));
    seek_path_filters();
    if (now - m_status_written >= status_pause) write_status();
    if (now - m_saved >= save_pause) save();
    return {};
}

void Keeper::send(const std::vector<mesh::Outgoing>& messages) {
    for (const mesh::Outgoing& message : messages) m_messenger->send(message);
}

// --- observing ----------------------------------------------------------------------------------

Status Keeper::observe_everything() {
    m_links_changed = false;
    m_must_apply = true;
    m_have = TRY(m_links.observe());
    TRY(observe_underlay());
    m_observed_everything = monotonic_now();
    return observe();
}

// Counters and handshakes alone, of the interfaces that are known.
Status Keeper::observe() {
    std::uint64_t before = 0, after = 0;
    for (InterfaceState& state : m_have) {
        for (const auto& peer : state.wireguard.peers) before += peer.rx_bytes + peer.tx_bytes;
        auto status = m_links.wireguard().status(state.wireguard.name);
        if (!status) {
            m_links_changed = true;  // it is gone, or renamed
            return std::unexpected(std::move(status).error());
        }
        state.wireguard = std::move(*status);
        for (const auto& peer : state.wireguard.peers) after += peer.rx_bytes + peer.tx_bytes;
    }
    m_observed = monotonic_now();
    if (before != after) m_busy_until = m_observed + busy_time;
    if (m_mesh) tell_mesh();
    return {};
}

void Keeper::tell_mesh() {
    auto observation = observation_of(m_have, wall_now());
    observation.underlay = m_underlay;
    observation.demand = demand();
    m_mesh->observed(observation, m_observed);
}

Status Keeper::observe_underlay() {
    auto links = m_link_control.observe();
    if (!links && links.error().code == ErrorCode::Busy) {
        m_links_changed = true;  // another round will do
        return {};
    }
    if (!links) return std::unexpected(std::move(links).error());
    m_beacon_links = beacon_links_of(*links, m_hand_off.prefix);
    send_beacons();
    auto underlay = underlay_of(*links, m_hand_off.prefix);
    if (underlay == m_underlay) return {};
    const bool is_first = m_underlay.empty() && !m_mesh;
    m_underlay = std::move(underlay);
    if (is_first) return {};
    std::string names;
    for (const IpAddress& address : m_underlay) names += " " + address.text();
    m_parts.log.write(
        {.level = Level::Info,
         .event = "underlay-changed",
         .message = "this host's addresses are now" + (names.empty() ? " none" : names)});
    m_busy_until = monotonic_now() + busy_time;
    if (m_mesh) m_mesh->moved(monotonic_now());
    if (m_feed) m_feed->moved();
    return {};
}

std::vector<mesh::Observation::Demand> Keeper::demand() {
    std::vector<mesh::Observation::Demand> demands;
    if (!m_demand) return demands;
    auto counted = m_demand->read(demands_told);
    if (!counted) {
        complain("demand-not-counted", counted.error());
        return demands;
    }
    for (const auto& [address, bytes] : *counted) demands.push_back({address, bytes});
    return demands;
}

// Firewalls are reloaded at any time. Their rules may be thousands.
void Keeper::seek_path_filters() {
    const Instant now = monotonic_now();
    if (m_path_filters_sought != Instant{} && now - m_path_filters_sought < path_filters_pause)
        return;
    m_path_filters_sought = now;
    auto found = strict_path_filters();
    if (!found) return complain("path-filters-unknown", found.error());
    m_path_filters = std::move(*found);
}

// What comes from another lighthouse leaves by a member's own route, or not at all: or packets would
// circle between the two.
Status Keeper::serve_as_lighthouse() {
    std::set<std::string> relays;
    if (m_hand_off.role == Role::Lighthouse) {
        TRY(forward_ipv6());
        for (const InterfaceState& state : m_have)
            if (is_lighthouse_interface(state.wireguard.name)) relays.insert(state.wireguard.name);
    }
    return set_relay_rules(relays);
}

// What is gone is made again, for the key is known here. What is another's is left alone.
Status Keeper::check_own_interfaces() const {
    for (const InterfaceState& state : m_have)
        if (state.wireguard.public_key && *state.wireguard.public_key != m_hand_off.node)
            return fail(ErrorCode::Conflict, state.wireguard.name + " bears another key than ours",
                        state.wireguard.public_key->base64());
    return {};
}

Status Keeper::mend_guard() {
    if (m_hand_off.guard != GuardMode::Nftables || TRY(guard_is_installed())) return {};
    TRY(install_guard(m_hand_off.prefix));
    m_parts.log.write({.level = Level::Notice,
                       .event = "repaired",
                       .message = "the guard against plaintext overlay packets was gone"});
    return {};
}

// --- applying -----------------------------------------------------------------------------------

std::set<PublicKey> Keeper::other_lighthouses() const {
    std::set<PublicKey> others;
    if (m_hand_off.role != Role::Lighthouse) return others;
    for (const mesh::Member* relay : m_roster.members().relays())
        if (relay->role == Role::Lighthouse) others.insert(relay->key);
    return others;
}

Status Keeper::apply() {
    if (m_mesh->overlay_revision() == m_applied && !m_must_apply) return {};
    m_self.lighthouses = other_lighthouses();
    const auto wanted = among_lighthouses(m_mesh->overlay(), m_self);
    const auto plan = plan_of(wanted, m_self);
    const auto endpoints = endpoint_changes(wanted, m_have, m_endpoints);
    for (const auto& [interface, change] : endpoints)
        TRY(m_links.wireguard().apply(interface, {&change, 1}));
    const auto applied = TRY(m_links.apply(plan, m_key, m_have));
    m_applied = m_mesh->overlay_revision();
    m_must_apply = false;
    if (!applied.changes.empty()) m_changes = applied.changes.size();
    report(applied);
    if (applied.changes.empty() && endpoints.empty()) return {};
    m_busy_until = monotonic_now() + busy_time;
    m_have = TRY(m_links.observe());
    return {};
}

void Keeper::report(const OverlayLinks::Applied& applied) {
    for (const auto& change : applied.changes)
        m_parts.log.write(
            {.level = Level::Info, .event = "overlay-changed", .message = change.text()});
    if (m_adopted) return;
    m_adopted = true;
    std::string names;
    for (const auto& interface : applied.interfaces)
        names += (names.empty() ? "" : ", ") + interface.plan.name;
    m_parts.log.write({.level = Level::Info,
                       .event = "adopted",
                       .message = "adopted " + names + " as " + m_hand_off.overlay_address.text() +
                                  ", " + std::to_string(applied.changes.size()) + " changes",
                       .fields = {{"changes", static_cast<std::int64_t>(applied.changes.size())}}});
}

void Keeper::write_status() {
    m_status_written = monotonic_now();
    const auto& counters = m_messenger->counters();
    const Json status = status_of({.hand_off = m_hand_off,
                                   .have = m_have,
                                   .members = m_roster.members(),
                                   .wanted = m_mesh->overlay(),
                                   .peers = m_mesh->report(reported_others, monotonic_now()),
                                   .membership = m_feed->status(),
                                   .serf = m_serf ? std::optional(m_serf->status()) : std::nullopt,
                                   .claims = m_roster.claims(),
                                   .refused = m_roster.refused(),
                                   .document_serial = m_roster.document_serial(),
                                   .datagrams_sent = counters.sent,
                                   .datagrams_received = counters.received,
                                   .datagrams_refused = counters.refused,
                                   .datagrams_failed = counters.failed,
                                   .warnings = warnings(),
                                   .changes = m_changes,
                                   .now = monotonic_now(),
                                   .wall = wall_now()});
    write("status-not-written", status_file, status.dump(2) + "\n");
    write("metrics-not-written", metrics_file, metrics_text(status));
}

void Keeper::write(std::string_view event, std::string_view file, const std::string& text) {
    const auto written =
        write_file(m_parts.directory + "/" + std::string(file), as_bytes(text), 0600);
    if (!written) complain(event, written.error());
}

}  // namespace fortros
