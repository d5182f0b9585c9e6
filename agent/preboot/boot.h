// The boot as a pure machine: nine stages from settings to hand-off. It is told what happened and
// answers with what to do next; it never touches a socket, a file or a clock, so that a whole boot
// runs in a test, in virtual time. The shell (shell.h) performs the actions.
//
//   1 settings   2 clock            read by main before the machine starts
//   3 links         BringUpLinks ─▶ LinkUsable
//   4 discover      Lookup, Connect ─▶ LookupDone, AttemptFailed        ◀─┐ next candidate, or
//   5 authenticate                  ─▶ Authenticated                      │ a new round after
//   6 enrol         (SaveState, StoreKey), Send ─▶ Answered             ──┘ the backoff
//   7 wireguard     ApplyOverlay, AwaitHandshake ─▶ OverlayApplied, HandshakeAnswered
//   8 remember      SaveState ─▶ StateSaved
//   9 hand off      WriteHandOff ─▶ HandOffWritten, Finish
//
// A node that has been in the overlay before has it applied at stage 3 already, from what it
// remembers (boot_fast_start.cc), while the stages go on.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "core/bootstrap_set.h"
#include "core/clock_rule.h"
#include "core/crypto.h"
#include "core/enrolment.h"
#include "core/settings.h"
#include "preboot/machine.h"

namespace fortros {

// --- what main has read before the machine starts ---

struct BootInputs {
    Settings settings;
    ClockVerdict clock;
    std::optional<PrivateKey> key{};   // absent: not made yet
    std::optional<NodeState> state{};  // absent: none, or not sound
    SecretBytes invite{};              // empty: none
    std::string invite_problem{};      // why there is none although there is a file
    std::string boot_id{};
    std::string agent{};               // name and version
    crypto::Digest settings_digest{};  // SHA-256 of the files as the image has them
    crypto::Digest ca_digest{};
    std::vector<Bytes> authorities{};  // the pinned CA certificates, DER, for the hand-off
    Duration settings_took{};
    Duration clock_took{};
};

class Boot final : public Machine {
public:
    // `random` and `verifier` must outlive the machine.
    Boot(BootInputs inputs, Random& random, const SignerVerifier& verifier);

    std::vector<BootAction> start(Now now) override;
    std::vector<BootAction> step(BootEvent event, Now now) override;
    std::optional<Instant> deadline() const override;

private:
    enum class Phase {
        Links,
        Discovering,
        Enrolling,
        Applying,
        Handshaking,
        Remembering,
        HandingOff,
        Waiting,
        Done
    };
    enum class Stage {
        Settings = 1,
        Clock,
        Links,
        Discover,
        Authenticate,
        Enrol,
        WireGuard,
        Remember,
        HandOff
    };

    // The conversation with a gateway that has authenticated itself.
    struct Conversation {
        Discovery::Id id = 0;
        Candidate candidate;
        GatewayIdentity gateway;
        std::optional<PendingRequest> pending{};
        WallTime asked{};  // what the clock said then
    };

    // A way out for the tunnel: the family of one of a link's addresses.
    struct TunnelWay {
        unsigned ifindex = 0;  // 0: as the routes, which are not ours to change, lead
        IpAddress own{};
        bool is_like(const TunnelWay& other) const {
            return ifindex == other.ifindex && own.family() == other.own.family();
        }
    };

    // The overlay from the remembered bootstrap set.
    struct FastStart {
        BootstrapSet set;
        IpAddress address;
        std::optional<TunnelWay> way{};  // its family is what the endpoints are chosen by
        bool applied = false;
        std::vector<InterfaceHandOff> interfaces{};
        std::vector<PublicKey> answered{};  // the peers that have answered a handshake
    };

    // boot.cc: the events
    void on(LinkUsable event);
    void on(LinkLost event);
    void on(LinkTrouble event);
    void on(LeftBy event);
    void on(LookupDone event);
    void on(Connected event);
    void on(Authenticated event);
    void on(AttemptFailed event);
    void on(Answered event);
    void on(KeyStored event);
    void on(OverlayApplied event);
    void on(HandshakeAnswered event);
    void on(StateSaved event);
    void on(HandOffWritten event);
    void on(Tick event);

    // boot_discovery.cc: stages 3 to 5
    bool check_policy();
    Duration wait_before_early() const;
    void start_early();
    void start_round();
    void perform(std::vector<Discovery::Action> actions);
    void give_up(const Discovery::GaveUp& what);
    void rest(const Endpoint& gateway, Duration retry_after);
    void round_failed();
    DiscoveryPlan make_plan() const;
    void prefer(unsigned ifindex);
    std::vector<UplinkHandOff> uplinks() const;

    // boot_trace.cc: what nobody reads while it happens, but a drawing of the boot shows (timeline.h)
    void trace(std::string event, std::vector<LogField> fields);
    void trace_start();
    void trace_link(const UplinkHandOff& link);
    void trace_lookup(const Discovery::Lookup& lookup);
    void trace_answer(const LookupDone& answer);
    void trace_attempt(const Discovery::Attempt& attempt);
    void trace_attempt(std::string event, Discovery::Id id);
    std::string name_of_link(unsigned ifindex) const;

    // boot_clock.cc: what the time is
    CertificateTime certificate_time() const;
    ClockError take_time(WallTime told);
    void forget_the_future();
    bool is_asked_again(Discovery::Id id) const;
    void asked_again(GatewayIdentity gateway);

    // boot_enrolment.cc: stage 6
    bool is_enrolled() const;
    bool may_replace_key() const;
    void prepare_key();
    void make_key();
    void send_request();
    void joined(Joined joined);
    void not_yet(const NotYet& answer);
    void await_approval(const Refusal& refusal);
    void rejected(const Rejected& answer);
    void remember_revocation();
    void conversation_failed(Error error);

    // boot_fast_start.cc: the overlay before any gateway has answered
    Result<BootstrapSet> check_remembered_set() const;
    std::optional<OrgPrefix> known_prefix() const;
    void fast_start();
    void apply_fast_start();
    bool is_unanswered() const;
    void fast_start_by_other_family();
    void fast_start_by_next_way();
    TunnelWay tunnel_way(const UplinkHandOff& link, const IpAddress& own) const;
    std::vector<TunnelWay> tunnel_ways() const;
    void fast_start_applied(Result<std::vector<InterfaceHandOff>> interfaces);
    void fast_start_answered(const PublicKey& peer);
    bool has_session_with(const PublicKey& gateway) const;
    void hand_off_remembered();
    void add_remembered(HandOff& hand_off) const;
    void remember_set(NodeState& state);

    // boot.cc: stages 7 to 9
    void hand_off();
    Instant budget_end() const;
    bool is_finishing() const;
    void finish(ExitStatus status, std::string why);
    NodeState state_to_remember();
    const IpAddress& own_address() const;
    HandOff make_hand_off() const;
    void add_joined(HandOff& hand_off) const;

    void emit(BootAction action) { m_actions.push_back(std::move(action)); }
    // It ended `ago`, if it is told of only when the next one has ended too.
    void report_stage(Stage stage, std::string message, Duration took,
                      std::vector<LogField> fields = {}, Duration ago = {});
    void warn(std::string event, std::string message, std::vector<LogField> fields = {});

    BootInputs m_in;
    Random& m_random;
    const SignerVerifier& m_verifier;

    Phase m_phase = Phase::Links;
    Now m_now{};
    std::vector<BootAction> m_actions;

    Instant m_started{};
    Instant m_stage_began{};
    std::optional<Instant> m_phase_deadline;
    std::vector<StageTiming> m_timeline;

    SourceSet m_sources;         // the effective policy
    bool m_policy_lost = false;  // a key without its state
    std::vector<UplinkHandOff> m_links;
    bool m_links_changed = false;  // since the round began
    std::string m_link_trouble;

    std::optional<Discovery> m_discovery;
    Discovery::Id m_next_id = 1;
    std::vector<std::pair<Discovery::Id, Instant>> m_attempts;  // when each began
    unsigned m_rounds = 0;
    Instant m_round_began{};
    // Gateways that have asked for patience, and when each may be asked again. A round that begins
    // before goes on without them.
    struct Resting {
        Endpoint endpoint;
        Instant told;
        Instant until;
    };
    std::vector<Resting> m_resting;
    std::optional<Instant> m_approval_deadline;  // while an administrator is waited for
    bool m_refused = false;  // a gateway that proved itself said no in this round
    bool m_silence = false;  // another one was not heard at all
    ExitStatus m_cause = ExitStatus::NoGateway;  // the most telling failure so far
    std::string m_cause_text = "no gateway authenticated itself in time";

    std::optional<PublicKey> m_public_key;
    bool m_enroll_again = false;  // the gateway does not know this enrolled node: use the invite
    unsigned m_keys_made = 0;
    std::optional<Conversation> m_conversation;
    unsigned m_reached_by = 0;  // the link by which a gateway proved itself; 0: not known
    bool m_clock_trusted;
    bool m_clock_stepped_back = false;  // after WireGuard had spoken: gateways must be told
    std::optional<FastStart> m_fast_start;
    bool m_said_session = false;  // in the request: the gateway has left our session alone
    std::optional<Joined> m_joined;
    std::vector<InterfaceHandOff> m_interfaces;
    bool m_handshake_answered = false;
};

}  // namespace fortros
