#include "sim/random_world.h"

namespace fortros::sim {

using namespace fakes;

std::string_view name_of(Past past) {
    switch (past) {
        case Past::None: return "none";
        case Past::NoneNoInvite: return "none, no invite";
        case Past::Begun: return "begun";
        case Past::BegunTwice: return "begun twice";
        case Past::Enrolled: return "enrolled";
        case Past::EnrolledNoMemory: return "enrolled, no memory";
        case Past::StateMissing: return "state missing";
        case Past::StateCorrupt: return "state corrupt";
        case Past::StateOfAnother: return "state of another";
        case Past::KeyLost: return "key lost";
    }
    return "none";
}

namespace {

std::string since_start(Instant at) {
    return at == Instant::min() ? "always" : "from " + to_text(at - Instant{});
}

std::string text_of(const std::vector<Endpoint>& endpoints) {
    std::string text;
    for (const auto& endpoint : endpoints) text += ' ' + endpoint.text();
    return text.empty() ? " -" : text;
}

std::string text_of(const DnsAnswer& answer) {
    switch (answer.kind) {
        case DnsAnswer::Kind::Silent: return "silent";
        case DnsAnswer::Kind::Fails: return "fails";
        case DnsAnswer::Kind::NoSuchName: return "no such name";
        case DnsAnswer::Kind::Addresses: break;
    }
    return "names" + text_of(answer.endpoints);
}

std::string text_of(Route route) {
    return route == Route::Works ? "works" : route == Route::None ? "none" : "blackhole";
}

std::string text_of(const LinkPhase& phase) {
    if (!phase.up) return "down";
    std::string text = phase.portal ? "captive portal" : "up";
    text += ", IPv4 " + text_of(phase.v4) + ", IPv6 " + text_of(phase.v6) + ", DNS";
    for (const auto& resolver : phase.resolvers) text += ' ' + resolver.text();
    return text;
}

}  // namespace

std::string RandomWorld::text() const {
    const BootWorld& world = boot_world;
    const Settings& settings = world.settings;
    std::string text;
    const auto line = [&text](std::string_view what, const std::string& is) {
        text += "  " + std::string(what) + ": " + is + "\n";
    };
    line("past", std::string(name_of(past)) + (has_invite ? ", invite" : ", no invite"));
    line("sources", settings.sources.text());
    if (settings.sources_enrolled) line("after enrolment", settings.sources_enrolled->text());
    line("race", settings.race ? "on" : "off");
    line("head start", to_text(settings.head_start));
    line("time-outs", "look-up " + to_text(settings.lookup_timeout) + ", attempt " +
                          to_text(settings.attempt_timeout) + ", link " +
                          to_text(settings.link_timeout) + ", total " +
                          to_text(settings.total_timeout) + ", approval " +
                          to_text(settings.approval_timeout) + ", retry " +
                          to_text(settings.retry_min) + " to " + to_text(settings.retry_max));
    line("round trip", to_text(world.round_trip));
    line("baked in", text_of(settings.gateways).substr(1));
    if (world.stored_state) {
        line("remembered", text_of(world.stored_state->gateways).substr(1));
        if (world.stored_state->policy)
            line("remembered policy", world.stored_state->policy->text());
    }
    line("fast start", std::string(settings.fast_start ? "on" : "off") + ", clock " +
                           (world.clock_trusted ? "trusted" : "not trusted") +
                           ", remembered set: " + std::string(name_of(set)));
    for (const auto& [endpoint, wireguard] : world.wireguards)
        for (const auto& piece : wireguard.answers.pieces())
            line("WireGuard " + endpoint.text(),
                 since_start(piece.from) + (piece.value ? " answers as " : " is silent, ") +
                     wireguard.key.base64());
    for (const auto& link : world.links)
        for (const auto& piece : link.is.pieces())
            line(link.report.name, since_start(piece.from) + " " + text_of(piece.value));
    for (const auto& [address, resolver] : world.resolvers)
        for (const auto& piece : resolver.says.pieces())
            line("resolver " + address.text(),
                 since_start(piece.from) + " " + text_of(piece.value) +
                     (resolver.delay ? ", after " + to_text(*resolver.delay) : ""));
    for (const auto& [endpoint, host] : world.hosts)
        for (const auto& piece : host.is.pieces())
            line("host " + endpoint.text(),
                 since_start(piece.from) + " " + std::string(name_of(piece.value)) +
                     (host.round_trip ? ", round trip " + to_text(*host.round_trip) : "") +
                     (host.retry_after ? ", retry after " + std::to_string(host.retry_after) + " s"
                                       : ""));
    return text;
}

}  // namespace fortros::sim
