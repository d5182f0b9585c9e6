// Performs what a machine (boot.h, probe.h) asks for on the real machine, and tells it what happened.
// It decides nothing. Cancelling is destroying: a look-up or a connection whose object is gone
// calls nobody back.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/log.h"
#include "base/random.h"
#include "core/exit_status.h"
#include "core/settings.h"
#include "os/handshake.h"
#include "os/links.h"
#include "os/loop.h"
#include "os/overlay_links.h"
#include "os/resolver.h"
#include "os/stores.h"
#include "os/tls.h"
#include "os/trust.h"
#include "preboot/machine.h"

namespace fortros {

// What the shell works with; all of it must outlive the shell.
struct ShellParts {
    Loop& loop;
    Log& log;
    Random& random;
    const TrustAnchors& anchors;
    KeyStore& key_store;
    StateStore& state_store;
    std::string run_directory;
};

class Shell {
public:
    // `machine` must outlive the shell.
    Shell(ShellParts parts, Settings settings, Machine& machine);
    Shell(const Shell&) = delete;
    Shell& operator=(const Shell&) = delete;
    ~Shell();

    // Works until the machine has finished.
    ExitStatus run();

private:
    // One TLS connection, under the id that the machine knows it by.
    class Connection;

    void post(BootEvent event);
    void perform_all(std::vector<BootAction> actions);
    Now now() const;

    void perform(Report& action);
    void perform(BringUpLinks& action);
    void perform(Discovery::Lookup& action);
    void perform(Discovery::CancelLookup& action);
    void perform(Connect& action);
    void perform(PreferLink& action);
    void perform(Disconnect& action);
    void perform(Send& action);
    void perform(StoreKey& action);
    void perform(SetClock& action);
    void perform(ApplyOverlay& action);
    void perform(AwaitHandshake& action);
    void perform(TakeDownOverlay& action);
    void perform(SaveState& action);
    void perform(WriteHandOff& action);
    void perform(Finish& action);

    void bring_up_links();
    void tell_link(Discovery::Id id, const IpAddress& address);
    Status write_hand_off(const HandOff& hand_off) const;
    Result<OverlayLinks*> overlay();
    Result<std::vector<InterfaceHandOff>> apply(const ApplyOverlay& action);
    Status forget_session(const PublicKey& peer);
    void note(Level level, std::string event, std::string message);

    ShellParts m_parts;
    Settings m_settings;
    Machine& m_machine;
    // Events wait here while actions are performed, so that the machine is never entered twice.
    std::deque<BootEvent> m_events;
    bool m_busy = false;
    std::optional<ExitStatus> m_finished;

    Loop::Timer m_deadline;
    std::unique_ptr<Links> m_links;
    std::uint32_t m_tries_links = 0;
    Loop::Timer m_next_try_links;
    std::unique_ptr<TlsConnector> m_connector;
    std::map<Discovery::Id, std::unique_ptr<NameLookup>> m_lookups;
    std::map<Discovery::Id, std::unique_ptr<Connection>> m_connections;
    std::optional<OverlayLinks> m_overlay;
    std::map<PublicKey, std::unique_ptr<HandshakeWatch>> m_handshakes;  // by peer
};

}  // namespace fortros
