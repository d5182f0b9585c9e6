#include "sim/random_world.h"

#include <algorithm>

#include "core/crypto.h"
#include "sim/dice.h"

namespace fortros::sim {

using namespace fakes;

namespace {

// Everything that changes within a world does so within this time, or within its budget.
constexpr Duration changes_end = 15min;

class Maker : Dice {
public:
    Maker(RandomWorld& made, std::uint64_t seed)
        : Dice(~seed), m_made(made), m_world(made.boot_world) {}

    void make() {
        m_made.past = some_past();
        make_settings();
        make_hosts();
        make_members();
        make_resolvers();
        make_links();
        make_past();
    }

private:
    Instant moment() { return Instant{} + some_time(m_world.settings.total_timeout); }

    SourceSet some_sources() {
        while (true) {
            SourceSet set;
            for (const Source source : {Source::Cached, Source::PublicDns, Source::DhcpDns})
                if (chance(60)) set.add(source);
            if (!set.empty()) return set;
        }
    }

    Past some_past() {
        const std::uint64_t number = random().below(100);
        if (number < 25) return Past::None;
        if (number < 26) return Past::NoneNoInvite;
        if (number < 31) return Past::Begun;
        if (number < 36) return Past::BegunTwice;
        if (number < 76) return Past::Enrolled;
        if (number < 84) return Past::EnrolledNoMemory;
        if (number < 88) return Past::StateMissing;
        if (number < 92) return Past::StateCorrupt;
        if (number < 95) return Past::StateOfAnother;
        return Past::KeyLost;
    }

    void make_settings() {
        Settings& settings = m_world.settings;
        settings.race = chance(75);
        settings.head_start = one_of<Duration>({0ms, 100ms, 500ms, 500ms, 2s});
        settings.lookup_timeout = one_of<Duration>({500ms, 1s, 2s, 5s});
        settings.attempt_timeout = one_of<Duration>({500ms, 1s, 2s, 5s});
        settings.total_timeout = one_of<Duration>({10s, 1min, 2min, 5min, 15min});
        settings.approval_timeout = one_of<Duration>({20s, 2min, 10min});
        settings.link_timeout = one_of<Duration>({5s, 30s, 30s});
        settings.retry_min = one_of<Duration>({100ms, 1s});
        settings.retry_max = one_of<Duration>({1s, 4s, 15s});
        if (chance(45)) settings.sources = some_sources();
        if (chance(10)) settings.sources = SourceSet::only(Source::Cached);
        if (chance(25)) settings.sources_enrolled = SourceSet::only(Source::Cached);
        if (chance(10)) settings.sources_enrolled = some_sources();
        if (chance(10)) settings.handshake_timeout = Duration{};
        settings.fast_start = chance(85);
        m_world.clock_trusted = chance(90);
        m_world.round_trip = 1ms + some_time(300ms);
    }

    // --- hosts ---

    Host useless() {
        return one_of({Host::Rogue, Host::Rogue, Host::StallingRogue, Host::StallingRogue,
                       Host::Thief, Host::Thief, Host::Silent, Host::Silent, Host::Silent,
                       Host::Refusing, Host::Refusing, Host::Busy, Host::NeverAnswers, Host::Breaks,
                       Host::Proxy});
    }

    // Most are the same all the time; some come late, go early, or come and go.
    Timeline<Host> life_of(Host good) {
        if (chance(55)) return good;
        const auto bad = [this] {
            return chance(60) ? one_of({Host::Silent, Host::Refusing}) : useless();
        };
        Timeline<Host> life = chance(50) ? bad() : good;
        bool is_good = life.at(Instant{}) == good;
        Instant at = moment();
        const Duration period = 1s + some_time(3min);
        for (std::size_t left = 1 + below(chance(50) ? 1 : 8); left > 0; --left) {
            is_good = !is_good;
            life.then(at, is_good ? good : bad());
            at += 100ms + some_time(2 * period);
            if (at > Instant{} + changes_end) break;
        }
        return life;
    }

    Endpoint new_endpoint(Family family) {
        const auto number = static_cast<std::uint8_t>(++m_hosts_made);
        const std::uint16_t port = chance(85) ? 443 : 8443;
        if (family == Family::IPv4) return {IpAddress::v4({203, 0, 113, number}), port};
        ByteArray<16> bytes{0x20, 0x01, 0x0d, 0xb8};
        bytes[15] = number;
        return {IpAddress::v6(bytes), port};
    }

    void make_host(std::vector<Endpoint>& list, Host kind) {
        FakeHost host;
        host.is = life_of(kind);
        if (chance(20)) host.round_trip = some_time(one_of<Duration>({200ms, 1s, 4s}));
        host.retry_after = one_of<std::uint32_t>({0, 1, 5, 30});
        const bool v6 = chance(40);
        if (!v6 || chance(50)) list.push_back(new_endpoint(Family::IPv4));
        if (v6) list.push_back(new_endpoint(Family::IPv6));
        for (const auto& endpoint : list)
            if (!m_world.hosts.contains(endpoint)) m_world.hosts[endpoint] = host;
    }

    void make_hosts() {
        m_world.hosts.clear();
        const bool is_dead = chance(10);  // only WireGuard may answer
        for (std::size_t left = chance(5) ? 0 : 1 + below(3); left > 0; --left)
            make_host(m_gateways, is_dead ? Host::Silent : Host::Gateway);
        for (std::size_t left = below(5); left > 0; --left) make_host(m_others, useless());
        if (chance(8)) make_host(m_others, Host::Busy);
        if (chance(6)) make_host(m_others, Host::Pending);
        if (chance(12)) make_host(m_others, Host::Refuses);
        if (chance(4)) make_host(m_others, Host::Revokes);
        if (m_gateways.empty() && m_others.empty()) make_host(m_others, Host::Silent);
    }

    std::vector<Endpoint> some_of(const std::vector<Endpoint>& all, unsigned percent) {
        std::vector<Endpoint> some;
        for (const auto& endpoint : all)
            if (chance(percent)) some.push_back(endpoint);
        return some;
    }

    // Of what is there, and of what is not, in any order.
    std::vector<Endpoint> endpoints(unsigned gateways_percent, unsigned others_percent) {
        auto list = some_of(m_gateways, gateways_percent);
        const auto others = some_of(m_others, others_percent);
        list.insert(list.end(), others.begin(), others.end());
        if (chance(10)) list.push_back(new_endpoint(Family::IPv4));
        for (std::size_t i = list.size(); i > 1; --i) std::swap(list[i - 1], list[below(i)]);
        return list;
    }

    // --- WireGuard ---

    Timeline<bool> some_answers() {
        const std::uint64_t number = random().below(100);
        if (number < 85) return number < 78;
        Timeline<bool> answers = chance(50);
        Instant at = moment();
        for (std::size_t left = 1 + below(4); left > 0; --left) {
            answers.then(at, !answers.at(at));
            at += 1s + some_time(2min);
        }
        return answers;
    }

    void make_member(const PublicKey& key, Role role, std::uint8_t number) {
        const Endpoint v4{IpAddress::v4({198, 51, 100, number}), 51820};
        ByteArray<16> bytes{0x20, 0x01, 0x0d, 0xb8, 9};
        bytes[15] = number;
        const Endpoint v6{IpAddress::v6(bytes), 51820};
        std::vector<Endpoint> endpoints;
        if (chance(75)) endpoints.push_back(v4);
        if (endpoints.empty() || chance(40)) endpoints.push_back(v6);
        m_made.members.push_back(make_peer(m_world, key, role, endpoints, some_answers()));
    }

    void make_members() {
        make_member(m_world.org.gateway_public, Role::Gateway, 1);
        m_world.org.wireguard = m_made.members.front().endpoints.back();
        m_world.org.more_wireguard = m_made.members.front().endpoints;
        m_world.org.more_wireguard.pop_back();
        for (std::size_t left = chance(60) ? 0 : 1 + below(2); left > 0; --left) {
            PublicKey lighthouse;
            lighthouse.bytes[0] = static_cast<std::uint8_t>(left);
            make_member(lighthouse, Role::Lighthouse, static_cast<std::uint8_t>(1 + left));
        }
        m_world.handshake_takes = 1ms + some_time(one_of<Duration>({100ms, 500ms, 2s}));
    }

    RememberedSet some_set() {
        using enum RememberedSet;
        if (chance(20)) return None;
        if (chance(60)) return Sound;
        return one_of({Expired, Altered, OfAnother, Older, OlderPolicy, ByStranger, OtherPrefix});
    }

    // --- resolvers ---

    DnsAnswer saying() {
        using enum DnsAnswer::Kind;
        switch (below(10)) {
            case 0: return {};
            case 1: return {.kind = Fails};
            case 2: return {.kind = NoSuchName};
            case 3: return {.kind = Addresses, .endpoints = endpoints(0, 70)};  // a liar
            case 4: {
                DnsAnswer many{.kind = Addresses, .endpoints = endpoints(80, 50)};
                if (chance(20))
                    while (many.endpoints.size() < 60)
                        many.endpoints.insert(
                            many.endpoints.begin() +
                                static_cast<std::ptrdiff_t>(below(many.endpoints.size() + 1)),
                            {IpAddress::v4(
                                 {198, 51, 100, static_cast<std::uint8_t>(many.endpoints.size())}),
                             443});
                return many;
            }
            default: return {.kind = Addresses, .endpoints = endpoints(80, 10)};
        }
    }

    void make_resolver(const IpAddress& address) {
        FakeResolver resolver;
        resolver.says = saying();
        if (chance(40)) {
            Instant at = moment();
            for (std::size_t left = 1 + below(4); left > 0; --left) {
                resolver.says.then(at, saying());
                at += 100ms + some_time(2min);
            }
        }
        if (chance(25)) resolver.delay = some_time(one_of<Duration>({500ms, 3s, 6s}));
        m_world.resolvers[address] = resolver;
    }

    IpAddress new_resolver(std::uint8_t third) {
        const auto number = static_cast<std::uint8_t>(++m_resolvers_made);
        if (chance(75)) return IpAddress::v4({192, 0, third, number});
        ByteArray<16> bytes{0x20, 0x01, 0x0d, 0xb8, third};
        bytes[15] = number;
        return IpAddress::v6(bytes);
    }

    std::vector<IpAddress> make_some_resolvers(std::size_t count, std::uint8_t third) {
        std::vector<IpAddress> made;
        for (; count > 0; --count) {
            made.push_back(new_resolver(third));
            make_resolver(made.back());
        }
        return made;
    }

    void make_resolvers() {
        m_world.resolvers.clear();
        m_world.settings.public_resolvers = make_some_resolvers(1 + below(3), 0);
        // Where only cached addresses may be used, an image without one can do nothing.
        const bool needed = m_world.settings.sources == SourceSet::only(Source::Cached) ||
                            m_made.past == Past::StateMissing || m_made.past == Past::StateCorrupt;
        if (chance(needed ? 90 : 35)) m_world.settings.gateways = endpoints(60, 30);
    }

    // --- links ---

    LinkPhase working_link() {
        LinkPhase phase{.up = true};
        phase.v4 = chance(85) ? Route::Works : one_of({Route::None, Route::Blackhole});
        phase.v6 = one_of({Route::Works, Route::Works, Route::None, Route::Blackhole});
        phase.resolvers = make_some_resolvers(below(3), 2);
        return phase;
    }

    void make_links() {
        m_world.link.reset();
        for (std::size_t i = 0, count = chance(3) ? 0 : 1 + below(2); i < count; ++i) {
            FakeLink link;
            link.report.ifindex = static_cast<unsigned>(2 + i);
            link.report.name = "eth" + std::to_string(i);
            link.report.mac = "52:54:00:00:00:01";
            link.report.addresses = {*IpNetwork::parse("192.0.2.10/24"),
                                     *IpNetwork::parse("2001:db8:2::10/64")};
            if (chance(30)) std::ranges::reverse(link.report.addresses);
            LinkPhase works = working_link();
            Instant at = Instant{} + some_time(one_of<Duration>({1s, 1s, 10s, 40s}));
            if (chance(10)) {
                LinkPhase portal = works;
                portal.portal = true;
                link.is.then(at, portal);
                at += 1s + some_time(1min);
            }
            link.is.then(at, works);
            if (chance(35)) {
                const Duration period = 1s + some_time(2min);
                for (std::size_t left = 1 + below(6); left > 0; --left) {
                    at += 100ms + some_time(2 * period);
                    if (chance(80)) link.is.then(at, LinkPhase{});
                    at += 100ms + some_time(period);
                    if (chance(20)) works = working_link();
                    link.is.then(at, works);
                }
            }
            m_world.links.push_back(std::move(link));
        }
        // An empty list would mean the simple link of the other tests.
        if (m_world.links.empty()) m_world.links.push_back({});
    }

    // --- the node ---

    NodeState some_state(const PublicKey& node, bool enrolled) {
        NodeState state;
        state.node = node;
        state.enrolled = enrolled;
        if (!enrolled) return state;
        state.prefix = m_world.org.prefix;
        state.gateways = endpoints(70, 25);
        if (state.gateways.size() > state_gateways_limit)
            state.gateways.resize(state_gateways_limit);
        if (chance(20)) state.policy = some_sources();
        if (chance(5)) state.revoked = true;
        return state;
    }

    // As main finds it: what does not read is not there.
    void damage_state() {
        Bytes bytes = encode(*m_world.stored_state);
        if (chance(50))
            bytes[below(bytes.size())] ^= static_cast<std::uint8_t>(1 + below(255));
        else
            bytes.resize(below(bytes.size()));
        auto state = decode_state(bytes);
        m_world.stored_state.reset();
        if (state) m_world.stored_state = std::move(*state);
    }

    void make_past() {
        const PrivateKey key = crypto::make_private_key(random());
        const PublicKey own = *crypto::public_key_of(key);
        PublicKey another;
        another.bytes[3] = 7;
        const bool has_key = m_made.past != Past::None && m_made.past != Past::NoneNoInvite &&
                             m_made.past != Past::KeyLost;
        bool enrolled = has_key;
        if (has_key) m_world.stored_key = key.duplicate();
        switch (m_made.past) {
            case Past::None:
            case Past::NoneNoInvite: break;
            case Past::Begun:
                m_world.stored_state = some_state(own, false);
                enrolled = chance(50);  // the answer may have been lost
                break;
            case Past::BegunTwice:
                m_world.stored_state = some_state(another, false);
                enrolled = false;
                break;
            case Past::EnrolledNoMemory:
                m_world.settings.state_store.kind = StoreKind::Ephemeral;
                break;
            case Past::StateMissing: break;
            case Past::Enrolled:
            case Past::StateCorrupt: m_world.stored_state = some_state(own, true); break;
            case Past::StateOfAnother:
            case Past::KeyLost: m_world.stored_state = some_state(another, true); break;
        }
        if (m_world.stored_state && m_world.stored_state->enrolled) {
            m_made.set = some_set();
            remember_set(m_world, m_made.set, own, m_made.members, random());
        }
        if (m_made.past == Past::StateCorrupt) damage_state();
        if (enrolled) m_world.org.nodes[own] = false;
        m_made.has_invite = m_made.past != Past::NoneNoInvite && (!enrolled || chance(50));
        if (!m_made.has_invite) m_world.invite.clear();
    }

    RandomWorld& m_made;
    BootWorld& m_world;
    std::vector<Endpoint> m_gateways;
    std::vector<Endpoint> m_others;
    unsigned m_hosts_made = 0;
    unsigned m_resolvers_made = 0;
};

}  // namespace

RandomWorld::RandomWorld(std::uint64_t seed, const FakeSigner& signer) : boot_world(seed, signer) {
    Maker(*this, seed).make();
}

}  // namespace fortros::sim
