#include "fakes/boot_world.h"

#include <algorithm>

namespace fortros::fakes {

static constexpr unsigned steps_limit = 100'000;  // a boot that takes more is a loop

BootWorld::BootWorld(std::uint64_t seed)
    : random(seed), org(random), verifier({org.signer.signer()}) {
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

void BootWorld::after(Duration delay, std::function<BootEvent()> event,
                      std::optional<Discovery::Id> id) {
    m_queue.emplace(now.instant + delay, Pending{id, std::move(event)});
}

ExitStatus BootWorld::boot() {
    log.clear(), sources_asked.clear(), connected.clear(), order.clear();
    applied.reset(), applied_from_memory.reset(), renewed.reset(), handed_off.reset(),
        clock_set.reset(), m_finished.reset();
    taken_down = false;
    m_queue.clear();
    m_connections.clear();
    BootInputs inputs;
    inputs.settings = settings;
    inputs.clock = {.floor = now.wall, .now = now.wall, .trusted = clock_trusted};
    if (stored_key) inputs.key = stored_key->duplicate();
    inputs.state = stored_state;
    inputs.invite = SecretBytes(invite);
    inputs.boot_id = "0123456789abcdef0123456789abcdef";
    inputs.agent = "test";

    const Instant began = now.instant;
    Boot boot(std::move(inputs), random, verifier);
    for (auto& action : boot.start(now)) perform(std::move(action));
    for (unsigned steps = 0; !m_finished; ++steps) {
        ASSERT(steps < steps_limit);
        const auto deadline = boot.deadline();
        ASSERT(deadline.has_value() || !m_queue.empty());
        BootEvent event = Tick{};
        Instant next = deadline.value_or(Instant::max());
        if (!m_queue.empty() && m_queue.begin()->first <= next) {
            next = m_queue.begin()->first;
            event = m_queue.begin()->second.event();
            m_queue.erase(m_queue.begin());
        }
        now.instant = std::max(now.instant, next);
        now.wall =
            wall + std::chrono::duration_cast<std::chrono::seconds>(now.instant.time_since_epoch());
        for (auto& action : boot.step(std::move(event), now)) perform(std::move(action));
    }
    took = now.instant - began;
    return *m_finished;
}

void BootWorld::lookup(const Discovery::Lookup& lookup) {
    sources_asked.push_back(lookup.source);
    for (const auto& server : lookup.resolvers.servers) {
        const auto known = resolvers.find(server);
        if (known == resolvers.end()) continue;
        const auto id = lookup.id;
        after(
            round_trip,
            [id, addresses = known->second]() -> BootEvent {
                if (addresses.empty())
                    return LookupDone{id, fail(ErrorCode::NameNotResolved, "no such name")};
                std::vector<Endpoint> endpoints;
                for (const auto& address : addresses) endpoints.push_back({address, 443});
                return LookupDone{id, std::move(endpoints)};
            },
            id);
        return;
    }
}

void BootWorld::connect(Discovery::Id id, const Endpoint& endpoint) {
    connected.push_back(endpoint);
    const auto known = hosts.find(endpoint);
    const Host host = known == hosts.end() ? Host::Silent : known->second;
    if (host == Host::Silent) return;
    if (host == Host::Refusing)
        return after(
            round_trip,
            [id]() -> BootEvent {
                return AttemptFailed{id, Error{ErrorCode::Unreachable, "connection refused"}};
            },
            id);
    after(round_trip, [id]() -> BootEvent { return Connected{id}; }, id);
    if (host == Host::Rogue)
        return after(
            2 * round_trip,
            [id]() -> BootEvent {
                return AttemptFailed{id,
                                     Error{ErrorCode::Untrusted, "not signed by the pinned CA"}};
            },
            id);
    ByteArray<32> bytes;
    random.fill(bytes);
    m_connections[id] = {host, Exporter(bytes)};
    after(
        2 * round_trip,
        [this, id]() -> BootEvent {
            GatewayIdentity gateway;
            gateway.wireguard_key = org.gateway_public;
            gateway.newest_not_before = now.wall - one_day;
            gateway.earliest_not_after = now.wall + one_day * 30;
            gateway.exporter = m_connections.at(id).exporter.duplicate();
            return Authenticated{id, std::move(gateway)};
        },
        id);
}

void BootWorld::perform_network(BootAction& action) {
    if (auto* wanted = std::get_if<Discovery::Lookup>(&action)) {
        order.emplace_back("lookup");
        lookup(*wanted);
    } else if (auto* connecting = std::get_if<Connect>(&action)) {
        order.emplace_back("connect");
        connect(connecting->id, connecting->endpoint);
    } else if (auto* send = std::get_if<Send>(&action)) {
        order.emplace_back("send");
        const auto& connection = m_connections.at(send->id);
        if (connection.host == Host::NeverAnswers) return;
        auto answer = org.answer(send->bytes.text(), connection.exporter, now.wall);
        const auto id = send->id;
        after(round_trip, [id, answer]() -> BootEvent { return Answered{id, answer}; }, id);
    } else {
        std::optional<Discovery::Id> id;
        if (auto* cancel = std::get_if<Discovery::CancelLookup>(&action)) id = cancel->id;
        if (auto* close = std::get_if<Disconnect>(&action)) id = close->id;
        if (id) std::erase_if(m_queue, [&](const auto& entry) { return entry.second.id == id; });
    }
}

void BootWorld::perform_local(BootAction& action) {
    if (auto* save = std::get_if<SaveState>(&action)) {
        order.emplace_back("save-state");
        if (!state_store_error) stored_state = save->state;
        after(1ms, [this]() -> BootEvent {
            return StateSaved{state_store_error ? Status(std::unexpected(*state_store_error))
                                                : Status()};
        });
    } else if (auto* store = std::get_if<StoreKey>(&action)) {
        order.emplace_back("store-key");
        if (!key_store_error) stored_key = std::move(store->key);
        after(1ms, [this]() -> BootEvent {
            return KeyStored{key_store_error ? Status(std::unexpected(*key_store_error))
                                             : Status()};
        });
    } else if (auto* clock = std::get_if<SetClock>(&action)) {
        order.emplace_back("set-clock");
        clock_set = clock->time;
    } else if (auto* apply = std::get_if<ApplyOverlay>(&action)) {
        order.emplace_back("apply-overlay");
        applied = apply->plan;
        if (apply->remembered) applied_from_memory = apply->plan;
        renewed = apply->renew;
        after(5ms, [this, remembered = apply->remembered]() -> BootEvent {
            if (overlay_error) return OverlayApplied{std::unexpected(*overlay_error), remembered};
            std::vector<InterfaceHandOff> interfaces;
            for (const auto& plan : applied->interfaces) interfaces.push_back({plan, 7});
            return OverlayApplied{interfaces, remembered};
        });
    } else if (auto* await = std::get_if<AwaitHandshake>(&action)) {
        order.emplace_back("await-handshake");
        if (gateway_answers_handshake)
            after(handshake_takes,
                  [peer = await->peer]() -> BootEvent { return HandshakeAnswered{peer}; });
    } else if (auto* write = std::get_if<WriteHandOff>(&action)) {
        order.emplace_back("write-hand-off");
        if (!handoff_error) handed_off = write->hand_off;
        after(1ms, [this]() -> BootEvent {
            return HandOffWritten{handoff_error ? Status(std::unexpected(*handoff_error))
                                                : Status()};
        });
    } else if (std::get_if<TakeDownOverlay>(&action)) {
        taken_down = true;
    }
}

void BootWorld::perform(BootAction action) {
    if (auto* report = std::get_if<Report>(&action)) {
        log.push_back(report->entry.message);
    } else if (auto* finish = std::get_if<Finish>(&action)) {
        m_finished = finish->status;
    } else if (std::get_if<BringUpLinks>(&action)) {
        if (link)
            after(link_delay, [this]() -> BootEvent { return LinkUsable{*link}; });
        else
            after(0ms, [this]() -> BootEvent { return LinkTrouble{link_trouble}; });
    } else {
        perform_network(action);
        perform_local(action);
    }
}

}  // namespace fortros::fakes
