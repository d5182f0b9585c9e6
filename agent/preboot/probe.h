// The probe as a pure machine: links, discovery and authentication as a boot does them, under the same
// policy, and no further. Every source is asked and every candidate tried to its end, so that an
// engineer sees at once which way to the gateway works, and why the others do not. It stores nothing,
// sends no invite and touches no overlay; what it configures on a link stays, as after a boot.
//
//   BringUpLinks ─▶ LinkUsable ─▶ the race (core/discovery.h); who authenticates is set aside ─▶ Exhausted
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/clock_rule.h"
#include "core/json.h"
#include "core/settings.h"
#include "core/source_policy.h"
#include "preboot/machine.h"

namespace fortros {

// What a probe has found out. Times are from its start.
struct ProbeReport {
    struct Question {
        Discovery::Id id = 0;
        Source source = Source::PublicDns;
        ResolverSet resolvers{};
        Duration asked{};
        std::optional<Duration> ended{};
        std::vector<Endpoint> endpoints{};
        std::optional<Error> error{};
    };
    struct Attempt {
        Discovery::Id id = 0;
        Candidate candidate{};
        unsigned ifindex = 0;  // of the link that it went by; 0: not known
        Duration began{};
        std::optional<Duration> connected{};
        std::optional<Duration> ended{};
        std::optional<PublicKey> gateway{};  // its WireGuard key: it has authenticated itself
        std::optional<Error> error{};
    };
    // A source that had nobody to ask.
    struct Silence {
        Source source = Source::Cached;
        Error error{};
    };

    std::string gateway_name{};
    SourceSet sources{};      // that policy allows
    bool state_lost = false;  // which is why so few are
    ClockVerdict clock{};     // what certificates are judged by
    std::vector<UplinkHandOff> links{};
    std::optional<Duration> link_usable{};  // the first
    std::string link_trouble{};
    // A link's name; empty when it is not known.
    std::string name_of_link(unsigned ifindex) const;

    std::vector<Question> questions{};
    std::vector<Attempt> attempts{};
    std::vector<Silence> silences{};
    Duration took{};

    // The first that authenticated: with whom a boot would have gone on. Null if none did.
    const Attempt* winner() const;
    // That of a boot which gets no further than this.
    ExitStatus status() const;
};

Json to_json(const ProbeReport& report);
// Tables for people.
std::string to_text(const ProbeReport& report);

struct ProbeInputs {
    Settings settings;
    std::optional<NodeState> state{};
    std::optional<PublicKey> key{};
    bool has_invite = false;
    ClockVerdict clock{};
};

class Probe final : public Machine {
public:
    explicit Probe(ProbeInputs inputs);

    std::vector<BootAction> start(Now now) override;
    std::vector<BootAction> step(BootEvent event, Now now) override;
    std::optional<Instant> deadline() const override;

    const ProbeReport& report() const { return m_report; }

private:
    void on(LinkUsable event);
    void on(LinkLost event);
    void on(LinkTrouble event);
    void on(LeftBy event);
    void on(LookupDone event);
    void on(Connected event);
    void on(Authenticated event);
    void on(AttemptFailed event);
    void on(Tick event);
    // What only a boot is told.
    void on(const Answered&) {}
    void on(const KeyStored&) {}
    void on(const OverlayApplied&) {}
    void on(const HandshakeAnswered&) {}
    void on(const StateSaved&) {}
    void on(const HandOffWritten&) {}

    void perform(std::vector<Discovery::Action> actions);
    void note(const Discovery::GaveUp& gave_up);
    void finish();
    ProbeReport::Question* question(Discovery::Id id);
    ProbeReport::Attempt* attempt(Discovery::Id id);
    Duration passed() const { return m_now.instant - m_started; }

    Settings m_settings;
    std::optional<NodeState> m_state;
    ProbeReport m_report;
    std::optional<Discovery> m_discovery;  // from the first link that works
    bool m_done = false;
    Instant m_started{};
    Now m_now{};
    std::vector<BootAction> m_actions;
};

}  // namespace fortros
