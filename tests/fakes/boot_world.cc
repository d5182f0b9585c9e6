#include "fakes/boot_world.h"

#include <algorithm>

namespace fortros::fakes {

static constexpr unsigned steps_limit = 1'000'000;  // a boot that takes more is a loop
// A packet that nobody has answered is sent again, the pause doubling, as TCP and resolvers do.
static constexpr Duration first_retransmission = 1s;
static constexpr Duration last_retransmission = 16s;

BootWorld::BootWorld(std::uint64_t seed, FakeSigner signer)
    : random(seed), org(random, std::move(signer)), verifier({org.signer.signer()}) {
    settings.gateway_name = org.gateway_name;
    settings.domain = org.domain;
    settings.public_resolvers = {*IpAddress::parse("9.9.9.9")};
    settings.hostname = "node";
    org.invites[invite] = {.uses_left = 1};
    link = UplinkHandOff{.ifindex = 2,
                         .name = "eth0",
                         .mac = "52:54:00:00:00:01",
                         .addresses = {*IpNetwork::parse("192.0.2.10/24")},
                         .resolvers = {*IpAddress::parse("192.0.2.53")}};
    const auto address = *IpAddress::parse("203.0.113.5");
    hosts[{address, 443}] = Host::Gateway;
    resolvers[*IpAddress::parse("9.9.9.9")] = {address};
    resolvers[*IpAddress::parse("192.0.2.53")] = {address};
    now.wall = wall;
}

bool BootWorld::logged(std::string_view part) const {
    return std::ranges::any_of(log, [&](const auto& line) { return line.contains(part); });
}

void BootWorld::tell(const std::string& line) const {
    if (!witness) return;
    const auto at = std::to_string(now.instant.time_since_epoch() / 1ms);
    witness(std::string(8 - std::min<std::size_t>(at.size(), 8), ' ') + at + " ms  " + line);
}

// --- the clock ------------------------------------------------------------------------------------

void BootWorld::after(Duration delay, std::optional<Discovery::Id> id,
                      std::function<Event()> event) {
    m_queue.emplace(now.instant + delay, Scheduled{id, std::move(event)});
}

void BootWorld::at_once(Duration cost, BootEvent event) {
    move_clock(now.instant + cost);
    m_at_once.push_back(std::move(event));
}

void BootWorld::move_clock(Instant to) {
    now.instant = std::max(now.instant, to);
    now.wall =
        wall + std::chrono::duration_cast<std::chrono::seconds>(now.instant.time_since_epoch());
}

ExitStatus BootWorld::boot() {
    log.clear(), entries.clear(), sources_asked.clear(), connected.clear(), order.clear();
    lookups.clear(), named.clear(), requests.clear(), told_to_wait.clear();
    most_lookups = most_connections = bound = 0;
    preferred_links.clear();
    preferred = 0;
    applied.reset(), applied_from_memory.reset(), renewed.reset();
    handed_off.reset(), clock_set.reset(), m_finished.reset();
    taken_down = false;
    m_queue.clear(), m_at_once.clear();
    m_connections.clear(), m_lookups.clear();
    tunnels = {}, org.sessions.clear();
    m_watches.clear(), m_renewals.clear();
    m_simple_link = m_simple_link || links.empty();
    if (m_simple_link) {
        links.clear();
        if (link) links.push_back(FakeLink{*link, LinkPhase{}});
        LinkPhase works{.up = true, .v6 = Route::Works};
        if (link) works.resolvers = link->resolvers;
        for (auto& one : links) one.is.then(now.instant + link_delay, works);
    }
    BootInputs inputs;
    inputs.settings = settings;
    inputs.clock = {.rtc = node_now().wall,
                    .floor = now.wall - one_day,
                    .now = node_now().wall,
                    .trusted = clock_trusted};
    if (stored_key) inputs.key = stored_key->duplicate();
    inputs.state = stored_state;
    inputs.invite = SecretBytes(invite);
    inputs.boot_id = "0123456789abcdef0123456789abcdef";
    inputs.agent = "test";

    const Instant began = now.instant;
    Boot boot(std::move(inputs), random, verifier);
    const auto perform_all = [this](std::vector<BootAction> actions) {
        for (auto& action : actions) perform(std::move(action));
    };
    perform_all(boot.start(node_now()));
    for (unsigned steps = 0; !m_finished; ++steps) {
        ASSERT(steps < steps_limit);
        Event event;
        if (!m_at_once.empty()) {
            event = std::move(m_at_once.front());
            m_at_once.pop_front();
        } else {
            const auto deadline = boot.deadline();
            ASSERT(deadline.has_value() || !m_queue.empty());
            if (!m_queue.empty() && (!deadline || m_queue.begin()->first <= *deadline)) {
                const auto next = m_queue.extract(m_queue.begin());
                move_clock(next.key());
                event = next.mapped().event();
            } else {
                move_clock(*deadline);
                event = Tick{};
            }
        }
        if (event) perform_all(boot.step(std::move(*event), node_now()));
    }
    took = now.instant - began;
    return *m_finished;
}

// --- the network ----------------------------------------------------------------------------------

// Tells of every link as it is now, and when its time comes of what changes.
void BootWorld::bring_up_links() {
    if (links.empty()) return at_once({}, LinkTrouble{link_trouble});
    for (const auto& one : links) {
        const auto usable = [this, &one]() -> Event {
            tell(one.report.name + " is usable");
            return LinkUsable{one.report_at(now.instant)};
        };
        const auto lost = [this, &one]() -> Event {
            tell(one.report.name + " is lost");
            return LinkLost{one.report.ifindex, one.report.name + ": no carrier"};
        };
        bool was_up = one.is.at(now.instant).up;
        if (was_up) after({}, {}, usable);
        for (const auto& piece : one.is.pieces()) {
            if (piece.from <= now.instant) continue;
            if (piece.value.up)
                after(piece.from - now.instant, {}, usable);
            else if (was_up)
                after(piece.from - now.instant, {}, lost);
            was_up = piece.value.up;
        }
    }
}

Duration BootWorld::round_trip_of(const Endpoint& endpoint) const {
    const auto known = hosts.find(endpoint);
    return known == hosts.end() ? round_trip : known->second.round_trip.value_or(round_trip);
}

// The first of the resolvers that says anything.
void BootWorld::ask(const Discovery::Lookup& lookup, Duration again) {
    for (const auto& server : lookup.resolvers.servers) {
        auto says = heard(server, lookup.resolvers.ifindex, now.instant);
        if (says.kind == DnsAnswer::Kind::Silent) continue;
        const auto known = resolvers.find(server);
        const Duration delay =
            known == resolvers.end() ? round_trip : known->second.delay.value_or(round_trip);
        return after(delay, lookup.id, [this, id = lookup.id, says = std::move(says)]() -> Event {
            m_lookups.erase(id);
            tell("look-up " + std::to_string(id) + ": " + std::to_string(says.endpoints.size()) +
                 " addresses");
            if (says.kind == DnsAnswer::Kind::Fails)
                return LookupDone{id, fail(ErrorCode::Unreachable, "no resolver answered")};
            if (says.kind == DnsAnswer::Kind::NoSuchName)
                return LookupDone{id, fail(ErrorCode::NameNotResolved, "no such name")};
            auto endpoints = says.endpoints;
            if (endpoints.size() > candidates_per_source_limit)
                endpoints.resize(candidates_per_source_limit);
            named.insert(endpoints.begin(), endpoints.end());
            return LookupDone{id, std::move(endpoints)};
        });
    }
    if (again <= last_retransmission)
        after(again, lookup.id, [this, lookup, again]() -> Event {
            ask(lookup, again * 2);
            return {};
        });
}

BootWorld::Event BootWorld::fails(Discovery::Id id, ErrorCode code, std::string why) {
    tell("connection " + std::to_string(id) + ": " + why);
    m_connections.erase(id);
    return AttemptFailed{id, Error{code, std::move(why)}};
}

// A SYN that may be lost.
void BootWorld::knock(Discovery::Id id, Duration again) {
    const Connection& connection = m_connections.at(id);
    const auto host = seen(connection.endpoint, connection.ifindex, now.instant);
    const Duration delay = round_trip_of(connection.endpoint);
    if (!host || host == Host::Refusing)
        return after(host ? delay : Duration{}, id, [this, id, host]() -> Event {
            return fails(id, ErrorCode::Unreachable, host ? "connection refused" : "no route");
        });
    if (host == Host::Silent) {
        if (again <= last_retransmission)
            after(again, id, [this, id, again]() -> Event {
                knock(id, again * 2);
                return {};
            });
        return;
    }
    after(delay, id, [this, id]() -> Event { return Connected{id}; });
    after(2 * delay, id, [this, id]() -> Event { return shake_hands(id); });
}

BootWorld::Event BootWorld::shake_hands(Discovery::Id id) {
    Connection& connection = m_connections.at(id);
    const Host host =
        seen(connection.endpoint, connection.ifindex, now.instant).value_or(Host::Silent);
    if (host == Host::Silent || host == Host::StallingRogue) return {};
    if (host == Host::Refusing) return fails(id, ErrorCode::Unreachable, "connection reset");
    if (!authenticates(host)) return fails(id, ErrorCode::Untrusted, "not signed by the pinned CA");
    tell("connection " + std::to_string(id) + ": authenticated a host that is " +
         std::string(name_of(host)));
    connection.host = host;
    ByteArray<32> bytes;
    random.fill(bytes);
    connection.exporter = Exporter(bytes);
    GatewayIdentity gateway;
    gateway.wireguard_key = org.gateway_public;
    gateway.newest_not_before = now.wall - one_day;
    gateway.earliest_not_after = now.wall + one_day * 90;
    gateway.exporter = connection.exporter.duplicate();
    return Authenticated{id, std::move(gateway)};
}

// Whoever ended the handshake answers, unless it can't be seen any more.
BootWorld::Event BootWorld::answer(Discovery::Id id, Duration again) {
    const Connection& connection = m_connections.at(id);
    const Host host =
        seen(connection.endpoint, connection.ifindex, now.instant).value_or(Host::Silent);
    if (host == Host::Silent) {
        if (again <= last_retransmission)
            after(again, id, [this, id, again]() { return answer(id, again * 2); });
        return {};
    }
    const bool same = (host == Host::Thief) == (connection.host == Host::Thief);
    if (!same || !authenticates(host) || host == Host::Breaks)
        return fails(id, ErrorCode::Unreachable, "connection closed");
    if (host == Host::NeverAnswers) return {};
    auto answer = answer_of(host, connection);
    tell("connection " + std::to_string(id) + ": answers " + std::to_string(answer.status));
    if (host == Host::Busy || host == Host::Pending)
        told_to_wait.push_back({now.instant, connection.endpoint, host,
                                std::chrono::seconds{hosts.at(connection.endpoint).retry_after},
                                connected.size()});
    return Answered{id, std::move(answer)};
}

HttpAnswer BootWorld::answer_of(Host host, const Connection& connection) {
    const auto retry_after = hosts.at(connection.endpoint).retry_after;
    const std::string& request = connection.request;
    const Exporter& exporter = connection.exporter;
    switch (host) {
        case Host::Busy: return org.refuse(RefusalCode::Busy, retry_after, request, exporter);
        case Host::Pending:
            return org.refuse(RefusalCode::ApprovalPending, retry_after, request, exporter);
        case Host::Refuses:
            return org.refuse(request.contains(enroll_target) ? RefusalCode::InviteInvalid
                                                              : RefusalCode::UnknownNode,
                              0, request, exporter);
        case Host::Revokes: return org.refuse(RefusalCode::Revoked, 0, request, exporter);
        case Host::Proxy: return {.status = 502, .headers = {}, .body = "<html>Bad Gateway</html>"};
        case Host::Thief: return org.forge(m_forgeries++, request, exporter, now.wall);
        default: {
            auto answer = org.answer(request, exporter, now.wall);
            // The gateway adds the peer anew when it hears of this boot first, and later if it has no
            // session; but it leaves alone what it was told of, unless that was from the future.
            const bool has_session = request.contains(R"("has_session":true)") ||
                                     (requests.size() > 1 && newest_handshake);
            const bool stays = has_session && !request.contains(R"("clock_stepped_back":true)");
            if (answer.status == 200 && !stays) newest_handshake.reset();
            return answer;
        }
    }
}

void BootWorld::drop(Discovery::Id id) {
    std::erase_if(m_queue, [&](const auto& entry) { return entry.second.id == id; });
    m_connections.erase(id);
    m_lookups.erase(id);
}

void BootWorld::tell_link(Discovery::Id id, const IpAddress& address, unsigned ifindex) {
    if (ifindex != 0) return;
    if (const FakeLink* way = way_out(address.family(), 0, now.instant))
        m_at_once.push_back(LeftBy{id, way->report.ifindex});
}

bool BootWorld::routes_carry_wireguard() const {
    const FakeLink* way = way_out(org.wireguard.address.family(), 0, now.instant);
    return way != nullptr && way->is.at(now.instant).v4 == Route::Works;
}

void BootWorld::perform_network(BootAction& action) {
    if (auto* wanted = std::get_if<Discovery::Lookup>(&action)) {
        order.emplace_back("lookup");
        sources_asked.push_back(wanted->source);
        lookups.push_back(*wanted);
        m_lookups.insert(wanted->id);
        most_lookups = std::max(most_lookups, m_lookups.size());
        tell("look-up " + std::to_string(wanted->id) + ": " + std::string(name_of(wanted->source)) +
             ", asks " + wanted->resolvers.servers.front().text());
        if (wanted->source == Source::PublicDns && wanted->resolvers.ifindex != 0) ++bound;
        tell_link(wanted->id, wanted->resolvers.servers.front(), wanted->resolvers.ifindex);
        ask(*wanted, first_retransmission);
    } else if (auto* connecting = std::get_if<Connect>(&action)) {
        order.emplace_back("connect");
        connected.push_back(connecting->endpoint);
        if (connecting->ifindex != 0) ++bound;
        m_connections[connecting->id].endpoint = connecting->endpoint;
        m_connections[connecting->id].ifindex = connecting->ifindex;
        most_connections = std::max(most_connections, m_connections.size());
        tell("connection " + std::to_string(connecting->id) + ": to " +
             connecting->endpoint.text() +
             (connecting->ifindex == 0 ? "" : " by link " + std::to_string(connecting->ifindex)));
        tell_link(connecting->id, connecting->endpoint.address, connecting->ifindex);
        knock(connecting->id, first_retransmission);
    } else if (auto* send = std::get_if<Send>(&action)) {
        order.emplace_back("send");
        Connection& connection = m_connections.at(send->id);
        connection.request = send->bytes.text();
        requests.push_back({now.instant, connection.endpoint, connection.host});
        after(round_trip_of(connection.endpoint), send->id,
              [this, id = send->id]() { return answer(id, first_retransmission); });
    } else if (auto* cancel = std::get_if<Discovery::CancelLookup>(&action)) {
        tell("look-up " + std::to_string(cancel->id) + ": cancelled");
        drop(cancel->id);
    } else if (auto* prefer = std::get_if<PreferLink>(&action)) {
        order.emplace_back("prefer-link");
        preferred = prefer->ifindex;
        preferred_links.push_back(prefer->ifindex);
    } else if (auto* close = std::get_if<Disconnect>(&action)) {
        drop(close->id);
    }
}

void BootWorld::perform(BootAction action) {
    if (auto* report = std::get_if<Report>(&action)) {
        entries.emplace_back(now.instant, report->entry);
        if (report->entry.audience == Audience::Programs) return;
        log.push_back(report->entry.message);
        tell("| " + report->entry.message);
    } else if (auto* finish = std::get_if<Finish>(&action)) {
        m_finished = finish->status;
    } else if (std::get_if<BringUpLinks>(&action)) {
        bring_up_links();
    } else {
        perform_network(action);
        perform_local(action);
    }
}

}  // namespace fortros::fakes
