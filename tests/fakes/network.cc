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
    told.gateways.clear();
    if (phase.v4 != Route::None) told.gateways.push_back(*IpAddress::parse("192.0.2.1"));
    if (phase.v6 != Route::None) told.gateways.push_back(*IpAddress::parse("fe80::1"));
    std::erase_if(told.addresses, [&](const IpNetwork& network) {
        return route_of(phase, network.address.family()) == Route::None;
    });
    return told;
}

const FakeLink* FakeNetwork::way_out(Family family, unsigned ifindex, Instant now) const {
    const FakeLink* way = nullptr;
    for (const auto& link : links) {
        if (ifindex != 0 && link.report.ifindex != ifindex) continue;
        if (route_of(link.is.at(now), family) == Route::None) continue;
        if (way == nullptr || link.report.ifindex == preferred) way = &link;
    }
    return way;
}

std::optional<Host> FakeNetwork::seen(const Endpoint& endpoint, unsigned ifindex,
                                      Instant now) const {
    const Family family = endpoint.address.family();
    const FakeLink* way = way_out(family, ifindex, now);
    if (way == nullptr) return std::nullopt;
    const LinkPhase& phase = way->is.at(now);
    if (phase.portal) return Host::Rogue;
    if (route_of(phase, family) == Route::Blackhole) return Host::Silent;
    const auto known = hosts.find(endpoint);
    return known == hosts.end() ? Host::Silent : known->second.is.at(now);
}

bool FakeNetwork::answers_handshake(const Endpoint& endpoint, const PublicKey& peer,
                                    unsigned ifindex, Instant now) const {
    const Family family = endpoint.address.family();
    const FakeLink* way = way_out(family, ifindex, now);
    if (way == nullptr) return false;
    const LinkPhase& phase = way->is.at(now);
    if (phase.portal || route_of(phase, family) != Route::Works) return false;
    const auto known = wireguards.find(endpoint);
    return known != wireguards.end() && known->second.key == peer && known->second.answers.at(now);
}

DnsAnswer FakeNetwork::heard(const IpAddress& resolver, unsigned ifindex, Instant now) const {
    const auto own = std::ranges::find(
        links, ifindex, [](const FakeLink& candidate) { return candidate.report.ifindex; });
    const bool is_own = ifindex != 0 && own != links.end() &&
                        std::ranges::contains(own->is.at(now).resolvers, resolver);
    const FakeLink* way = is_own ? &*own : way_out(resolver.family(), ifindex, now);
    if (way == nullptr && ifindex != 0) return {};
    if (way == nullptr) return {.kind = DnsAnswer::Kind::Fails};
    const LinkPhase& phase = way->is.at(now);
    if (!phase.up) return {};
    const bool is_lost = !is_own && route_of(phase, resolver.family()) == Route::Blackhole;
    if (is_lost && !phase.portal) return {};
    if (phase.portal) return {.kind = DnsAnswer::Kind::Addresses, .endpoints = {portal}};
    const auto known = resolvers.find(resolver);
    return known == resolvers.end() ? DnsAnswer{} : known->second.says.at(now);
}

}  // namespace fortros::fakes
