#include "preboot/shell.h"

#include "base/encoding.h"
#include "os/clock.h"
#include "os/files.h"
#include "os/guard.h"

namespace fortros {

class Shell::Connection final : public TlsHandler {
public:
    Connection(Shell& shell, Discovery::Id id) : m_shell(shell), m_id(id) {}

    void connected() override { m_shell.post(Connected{m_id}); }
    void authenticated(GatewayIdentity identity) override {
        m_shell.post(Authenticated{m_id, std::move(identity)});
    }
    void answered(HttpAnswer answer) override { m_shell.post(Answered{m_id, std::move(answer)}); }
    void failed(Error error) override {
        // Ends this object, so nothing of it is used afterwards.
        Shell& shell = m_shell;
        AttemptFailed failure{m_id, std::move(error)};
        shell.m_connections.erase(failure.id);
        shell.post(std::move(failure));
    }

    std::unique_ptr<TlsConnection> tls;

private:
    Shell& m_shell;
    Discovery::Id m_id;
};

Shell::Shell(ShellParts parts, Settings settings, Machine& machine)
    : m_parts(std::move(parts)), m_settings(std::move(settings)), m_machine(machine) {}

Shell::~Shell() = default;

Now Shell::now() const { return {monotonic_now(), wall_now()}; }

ExitStatus Shell::run() {
    m_busy = true;
    perform_all(m_machine.start(now()));
    m_busy = false;
    post(Tick{});
    if (!m_finished) {
        if (Status status = m_parts.loop.run(); !status) {
            note(Level::Error, "loop-failed", status.error().text());
            return ExitStatus::Internal;
        }
    }
    return m_finished.value_or(ExitStatus::Internal);
}

// The only door into the machine. Actions may post events in turn; those wait their turn.
void Shell::post(BootEvent event) {
    m_events.push_back(std::move(event));
    if (m_busy) return;
    m_busy = true;
    while (!m_events.empty() && !m_finished) {
        BootEvent next = std::move(m_events.front());
        m_events.pop_front();
        perform_all(m_machine.step(std::move(next), now()));
    }
    m_busy = false;
    const auto deadline = m_finished ? std::nullopt : m_machine.deadline();
    m_deadline = deadline ? m_parts.loop.at(*deadline, [this] { post(Tick{}); }) : Loop::Timer{};
}

void Shell::perform_all(std::vector<BootAction> actions) {
    for (auto& action : actions) std::visit([this](auto& wanted) { perform(wanted); }, action);
}

void Shell::note(Level level, std::string event, std::string message) {
    m_parts.log.write({.level = level, .event = std::move(event), .message = std::move(message)});
}

void Shell::perform(Report& action) { m_parts.log.write(action.entry); }

void Shell::perform(Finish& action) {
    m_finished = action.status;
    m_parts.loop.stop();
}

// --- the network ---

void Shell::perform(BringUpLinks&) { bring_up_links(); }

// The kernel may be out of something, or have so much to tell of the links that it cannot be read in
// one piece: that passes, and the machine has the deadline.
void Shell::bring_up_links() {
    auto links = Links::start(
        m_parts.loop, m_parts.log, m_parts.random, m_settings,
        {.usable = [this](const LinkReport& report) { post(LinkUsable{report}); },
         .lost = [this](unsigned ifindex, const std::string& why) { post(LinkLost{ifindex, why}); },
         .trouble = [this](const std::string& why) { post(LinkTrouble{why}); }});
    if (links) {
        m_links = std::move(*links);
        return;
    }
    note(Level::Warning, "links", links.error().text());
    m_next_try_links =
        m_parts.loop.after(wait_after_try(m_tries_links++), [this] { bring_up_links(); });
    post(LinkTrouble{links.error().text()});
}

void Shell::tell_link(Discovery::Id id, const IpAddress& address) {
    if (!m_links) return;
    if (const auto ifindex = m_links->link_towards(address)) post(LeftBy{id, *ifindex});
}

void Shell::perform(PreferLink& action) {
    const Status done =
        m_links ? m_links->prefer(action.ifindex) : fail(ErrorCode::Internal, "there are no links");
    if (!done) note(Level::Warning, "link-not-preferred", done.error().text());
}

void Shell::perform(Discovery::Lookup& action) {
    const Discovery::Id id = action.id;
    if (action.resolvers.ifindex == 0 && !action.resolvers.servers.empty())
        tell_link(id, action.resolvers.servers.front());
    m_lookups[id] =
        NameLookup::start(m_parts.loop,
                          {.name = std::move(action.name),
                           .service = std::move(action.service),
                           .gateway_port = action.port,
                           .resolvers = std::move(action.resolvers)},
                          [&shell = *this, id](Result<std::vector<Endpoint>> endpoints) {
                              // Erasing ends this very function object, so nothing of it is used afterwards.
                              Shell& self = shell;
                              LookupDone done{id, std::move(endpoints)};
                              self.m_lookups.erase(done.id);
                              self.post(std::move(done));
                          });
}

void Shell::perform(Discovery::CancelLookup& action) { m_lookups.erase(action.id); }

void Shell::perform(Connect& action) {
    if (!m_connector) {
        auto connector = TlsConnector::create(m_parts.loop, m_parts.anchors);
        if (!connector) return post(AttemptFailed{action.id, std::move(connector).error()});
        m_connector = std::move(*connector);
    }
    auto connection = std::make_unique<Connection>(*this, action.id);
    connection->tls = m_connector->connect({.endpoint = action.endpoint,
                                            .gateway_name = m_settings.gateway_name,
                                            .now = action.time,
                                            .ifindex = action.ifindex},
                                           *connection);
    m_connections[action.id] = std::move(connection);
    if (action.ifindex == 0) tell_link(action.id, action.endpoint.address);
}

void Shell::perform(Disconnect& action) { m_connections.erase(action.id); }

void Shell::perform(Send& action) {
    const auto connection = m_connections.find(action.id);
    if (connection != m_connections.end()) connection->second->tls->send(std::move(action.bytes));
}

// --- the node itself ---

void Shell::perform(StoreKey& action) { post(KeyStored{m_parts.key_store.store(action.key)}); }

void Shell::perform(SaveState& action) {
    post(StateSaved{m_parts.state_store.store(encode(action.state))});
}

void Shell::perform(SetClock& action) {
    if (Status status = set_wall_clock(action.time); !status)
        return note(Level::Warning, "clock-not-set", status.error().text());
    if (Status status = set_hardware_clock(action.time); !status)
        note(Level::Debug, "hardware-clock-not-set", status.error().text());
}

// What the maintainer could not read must not be left behind as if all were well.
Status Shell::write_hand_off(const HandOff& hand_off) const {
    const std::string text = to_json_text(hand_off);
    if (auto read = parse_hand_off(text); !read)
        return std::unexpected(std::move(read).error().in("the hand-off does not read back"));
    return write_file(m_parts.run_directory + "/" + std::string(handoff_file), as_bytes(text),
                      0600);
}

void Shell::perform(WriteHandOff& action) { post(HandOffWritten{write_hand_off(action.hand_off)}); }

// --- the overlay ---

Result<OverlayLinks*> Shell::overlay() {
    if (!m_overlay) m_overlay = TRY(OverlayLinks::create());
    return &*m_overlay;
}

// A peer that is added anew begins with a handshake. To remove one that is not there is nothing.
Status Shell::forget_session(const PublicKey& peer) {
    const WireGuardChange remove{.kind = WireGuardChange::Kind::Remove, .peer = {.key = peer}};
    for (const auto& interface : TRY(m_overlay->observe()))
        TRY(m_overlay->wireguard().apply(interface.wireguard.name, {&remove, 1}));
    return {};
}

// The guard comes first: no interface may be up for a moment without it.
Result<std::vector<InterfaceHandOff>> Shell::apply(const ApplyOverlay& action) {
    if (m_settings.guard == GuardMode::Nftables) TRY(install_guard(action.plan.prefix));
    OverlayLinks& links = *TRY(overlay());
    if (action.renew) TRY(forget_session(*action.renew));
    auto applied = TRY(links.apply(action.plan, action.key));
    for (const auto& change : applied.changes) note(Level::Debug, "overlay", change.text());
    return std::move(applied.interfaces);
}

void Shell::perform(ApplyOverlay& action) {
    post(OverlayApplied{apply(action), action.remembered});
}

void Shell::perform(AwaitHandshake& action) {
    m_handshakes.erase(action.peer);
    auto watch = HandshakeWatch::start(
        m_parts.loop, m_overlay->wireguard(), action.interface, action.peer, action.address,
        [this, peer = action.peer] { post(HandshakeAnswered{peer}); });
    m_handshakes[action.peer] = std::move(watch);
}

void Shell::perform(TakeDownOverlay&) {
    m_handshakes.clear();
    auto links = overlay();
    auto removed = links ? (*links)->take_down() : std::unexpected(links.error());
    if (!removed) note(Level::Error, "take-down-failed", removed.error().text());
}

}  // namespace fortros
