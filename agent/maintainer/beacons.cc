#include "maintainer/beacons.h"

#include <algorithm>

namespace fortros {

// More on one host's links are told as well, but not remembered.
static constexpr std::size_t known_limit = 1024;

// --- links --------------------------------------------------------------------------------------

std::string Beacons::set_links(const std::vector<BeaconLink>& links, std::uint16_t port) {
    const Instant now = monotonic_now();
    const bool is_other_port = std::exchange(m_port, port) != port;
    std::erase_if(m_links, [&](const auto& entry) {
        return !std::ranges::contains(links, entry.second.link);
    });
    std::string problem;
    for (const BeaconLink& wanted : links) {
        if (const auto there = m_links.find(wanted.ifindex); there != m_links.end()) {
            if (is_other_port) there->second.schedule.changed(now);
            continue;
        }
        Link link{.link = wanted, .schedule = mesh::BeaconSchedule(now)};
        for (const auto& own : {wanted.v4, wanted.v6}) {
            if (!own) continue;
            auto socket = MulticastSocket::open(
                m_loop, mesh::beacon_group(own->family()), wanted.ifindex, *own,
                mesh::beacon_size_limit,
                [this, ifindex = wanted.ifindex](ByteView payload, const Endpoint& source) {
                    receive(ifindex, payload, source);
                });
            if (socket)
                link.sockets.push_back(std::move(*socket));
            else
                problem = socket.error().text();
        }
        if (!link.sockets.empty()) m_links.emplace(wanted.ifindex, std::move(link));
    }
    step();
    return problem;
}

// --- in and out ---------------------------------------------------------------------------------

void Beacons::step() {
    const Instant now = monotonic_now();
    Instant next = Instant::max();
    for (auto& [ifindex, link] : m_links) {
        if (link.schedule.step(now, m_random))
            for (const auto& socket : link.sockets)
                // One that gets lost is sent again in five minutes.
                (void)socket->send(mesh::encode({m_own, m_port}, m_prefix));
        next = std::min(next, link.schedule.next_step());
    }
    m_next = {};
    if (next != Instant::max()) m_next = m_loop.at(std::max(next, now + 10ms), [this] { step(); });
}

void Beacons::receive(unsigned ifindex, ByteView payload, const Endpoint& source) {
    const auto beacon = mesh::parse_beacon(payload, m_prefix);
    if (!beacon || !*beacon || (*beacon)->sender == m_own) return;
    const Endpoint endpoint{source.address, (*beacon)->port};
    const auto known = m_known.find((*beacon)->sender);
    if (known == m_known.end() || known->second != endpoint) {
        if (known == m_known.end() && m_known.size() == known_limit) m_known.clear();
        m_known[(*beacon)->sender] = endpoint;
        // Who has come just now may not have heard us.
        m_links.at(ifindex).schedule.heard_unknown(monotonic_now(), m_random);
        m_next = m_loop.after({}, [this] { step(); });
    }
    m_heard({(*beacon)->sender, endpoint});
}

}  // namespace fortros
