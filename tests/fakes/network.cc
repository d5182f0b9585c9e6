#include "fakes/network.h"

#include <algorithm>

namespace fortros::fakes {

std::string_view name_of(Host host) {
    switch (host) {
        case Host::Gateway: return "gateway";
        case Host::Busy: return "busy";
        case Host::Pending: return "pending";
        case Host::Refuses: return "refuses";
        case Host::Revokes: return "revokes";
        case Host::NeverAnswers: return "never-answers";
        case Host::Breaks: return "breaks";
        case Host::Proxy: return "proxy";
        case Host::Thief: return "thief";
        case Host::Rogue: return "rogue";
        case Host::StallingRogue: return "stalling-rogue";
        case Host::Silent: return "silent";
        case Host::Refusing: return "refusing";
    }
    return "silent";
}

bool authenticates(Host host) { return host <= Host::Thief; }

FakeResolver::FakeResolver(std::initializer_list<IpAddress> addresses) {
    DnsAnswer answer{.kind = DnsAnswer::Kind::NoSuchName};
    for (const auto& address : addresses) {
        answer.kind = DnsAnswer::Kind::Addresses;
        answer.endpoints.push_back({address, 443});
    }
    says = answer;
}

static Route route_of(const LinkPhase& phase, Family family) {
    if (!phase.up) return Route::None;
    return family == Family::IPv4 ? phase.v4 : phase.v6;
}

UplinkHandOff FakeLink::report_at(Instant moment) const {
    const LinkPhase& phase = is.at(moment);
    UplinkHandOff told = report;
    told.resolvers = phase.resolvers;
    std::erase_if(told.addresses, [&](const IpNetwork& network) {
        return route_of(phase, network.address.family()) == Route::None;
    });
    return told;
}

const LinkPhase* FakeNetwork::way_out(Family family, Instant now) const {
    for (const auto& link : links)
        if (const LinkPhase& phase = link.is.at(now); route_of(phase, family) != Route::None)
            return &phase;
    return nullptr;
}

std::optional<Host> FakeNetwork::seen(const Endpoint& endpoint, Instant now) const {
    const Family family = endpoint.address.family();
    const LinkPhase* phase = way_out(family, now);
    if (phase == nullptr) return std::nullopt;
    if (phase->portal) return Host::Rogue;
    if (route_of(*phase, family) == Route::Blackhole) return Host::Silent;
    const auto known = hosts.find(endpoint);
    return known == hosts.end() ? Host::Silent : known->second.is.at(now);
}

bool FakeNetwork::answers_handshake(const Endpoint& endpoint, const PublicKey& peer,
                                    Instant now) const {
    const Family family = endpoint.address.family();
    const LinkPhase* phase = way_out(family, now);
    if (phase == nullptr || phase->portal || route_of(*phase, family) != Route::Works) return false;
    const auto known = wireguards.find(endpoint);
    return known != wireguards.end() && known->second.key == peer && known->second.answers.at(now);
}

DnsAnswer FakeNetwork::heard(const IpAddress& resolver, unsigned ifindex, Instant now) const {
    const LinkPhase* phase = nullptr;
    if (ifindex == 0) {
        phase = way_out(resolver.family(), now);
        if (phase == nullptr) return {.kind = DnsAnswer::Kind::Fails};
        if (route_of(*phase, resolver.family()) == Route::Blackhole && !phase->portal) return {};
    } else {
        const auto link = std::ranges::find(
            links, ifindex, [](const FakeLink& candidate) { return candidate.report.ifindex; });
        if (link == links.end() || !link->is.at(now).up) return {};
        phase = &link->is.at(now);
    }
    if (phase->portal) return {.kind = DnsAnswer::Kind::Addresses, .endpoints = {portal}};
    const auto known = resolvers.find(resolver);
    return known == resolvers.end() ? DnsAnswer{} : known->second.says.at(now);
}

}  // namespace fortros::fakes
