// The world around a booting node, in memory and in virtual time: links, resolvers, hosts that
// answer or do not, an org's gateways, the stores, the kernel. It performs what a Boot asks for and
// tells it what happened, in the order of a clock that only the world moves.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "fakes/org.h"
#include "preboot/boot.h"

namespace fortros::fakes {

// What a host does when somebody connects to its HTTPS port.
enum class Host { Gateway, Rogue, Silent, Refusing, NeverAnswers };

struct BootWorld {
    explicit BootWorld(std::uint64_t seed = 1);

    SeededRandom random;
    FakeOrg org;
    FakeVerifier verifier;

    // The network.
    std::optional<UplinkHandOff> link;  // absent: no link ever works
    Duration link_delay = 100ms;
    std::string link_trouble = "eth0: no carrier";
    std::map<IpAddress, std::vector<IpAddress>> resolvers;  // absent: silent
    std::map<Endpoint, Host> hosts;                         // absent: silent
    Duration round_trip = 10ms;
    bool gateway_answers_handshake = true;
    Duration handshake_takes = 10ms;

    // The node.
    Settings settings;
    std::optional<NodeState> stored_state;
    std::optional<PrivateKey> stored_key;
    std::string invite = "an-invite-of-the-test";
    WallTime wall{std::chrono::seconds{1'800'000'000}};
    bool clock_trusted = true;
    std::optional<Error> state_store_error{};
    std::optional<Error> key_store_error{};
    std::optional<Error> overlay_error{};
    std::optional<Error> handoff_error{};

    // One boot from start to Finish. Time goes on from boot to boot, as it does.
    ExitStatus boot();

    // What the last boot did.
    std::vector<std::string> log;
    std::vector<Source> sources_asked;  // look-ups, in order
    std::vector<Endpoint> connected;
    std::vector<std::string> order;  // names of actions, in order
    std::optional<OverlayPlan> applied;
    std::optional<OverlayPlan> applied_from_memory;
    std::optional<PublicKey> renewed;  // the peer whose session was begun anew
    std::optional<HandOff> handed_off;
    std::optional<WallTime> clock_set;
    bool taken_down = false;
    Duration took{};

    bool logged(std::string_view part) const;
    Now now{};

private:
    struct Connection {
        Host host;
        Exporter exporter;
    };
    void perform(BootAction action);
    void perform_network(BootAction& action);
    void perform_local(BootAction& action);
    void connect(Discovery::Id id, const Endpoint& endpoint);
    void lookup(const Discovery::Lookup& lookup);
    void after(Duration delay, std::function<BootEvent()> event,
               std::optional<Discovery::Id> id = {});

    struct Pending {
        std::optional<Discovery::Id> id;  // dropped when this id is cancelled
        std::function<BootEvent()> event;
    };
    std::multimap<Instant, Pending> m_queue;
    std::map<Discovery::Id, Connection> m_connections;
    std::optional<ExitStatus> m_finished;
};

}  // namespace fortros::fakes
