#include "gateway/door.h"

#include <algorithm>

namespace fortros::gateway {

IpAddress source_of(const IpAddress& address) {
    if (address.is_v4()) return address;
    ByteArray<16> network{};
    const auto bytes = address.bytes();
    std::copy_n(bytes.begin(), 8, network.begin());
    return IpAddress::v6(network);
}

// Keeps the order of who has most in step; `before` is how many silent ones the source had.
void Door::set_silent(Sources::iterator source, std::size_t before) {
    const auto& [address, its] = *source;
    if (before > 0) m_by_silent.erase({before, address});
    if (!its.silent.empty()) m_by_silent.emplace(its.silent.size(), address);
}

std::optional<Door::Id> Door::enter(Id id, const IpAddress& from) {
    const auto source = m_sources.try_emplace(source_of(from)).first;
    std::optional<Id> must_go;
    if (source->second.places >= m_limits.places_of_a_source) return id;
    if (m_places.size() >= m_limits.places) {
        if (m_by_silent.empty()) {
            if (source->second.places == 0) m_sources.erase(source);
            return id;
        }
        ++source->second.places;  // so that it outlives the one that goes
        must_go = m_sources.find(m_by_silent.rbegin()->second)->second.silent.front();
        leave(*must_go);
        --source->second.places;
    }
    auto& its = source->second;
    ++its.places;
    its.silent.push_back(id);
    m_places.emplace(id, Place{source, State::Silent, std::prev(its.silent.end())});
    set_silent(source, its.silent.size() - 1);
    return must_go;
}

void Door::knock(Id id) {
    const auto found = m_places.find(id);
    if (found == m_places.end() || found->second.state != State::Silent) return;
    auto& place = found->second;
    take_out(place);
    auto& its = place.source->second;
    if (its.waiting.empty()) its.turn = m_turns.insert(m_turns.end(), place.source->first);
    its.waiting.push_back(id);
    place.at = std::prev(its.waiting.end());
    place.state = State::Waiting;
    ++m_waiting;
}

std::optional<Door::Id> Door::next(Instant now) {
    const auto at = next_at(now);
    if (!at || *at > now) return std::nullopt;
    if (m_begun.size() >= m_limits.begun) make_late(m_begun.front());
    if (m_late.size() > m_limits.late) settle(m_late.front());
    const auto source = m_sources.find(m_turns.front());
    const Id id = source->second.waiting.front();

    auto& place = m_places.find(id)->second;
    take_out(place);
    place.state = State::Begun;
    place.at = m_begun.insert(m_begun.end(), id);
    place.begun = now;
    // To the end of the line, if more of its own wait.
    if (!source->second.waiting.empty()) m_turns.splice(m_turns.end(), m_turns, m_turns.begin());
    return id;
}

std::optional<Instant> Door::next_at(Instant now) const {
    if (m_turns.empty()) return std::nullopt;
    Instant at = now;
    if (m_begun.size() >= m_limits.begun) {
        at = std::max(at, begun_at(m_begun) + m_limits.quick);
        if (m_late.size() >= m_limits.late) at = std::max(at, begun_at(m_late) + m_limits.lateness);
    }
    return at;
}

void Door::make_late(Id id) {
    auto& place = m_places.find(id)->second;
    m_begun.erase(place.at);
    place.at = m_late.insert(m_late.end(), id);
    place.state = State::Late;
}

void Door::settle(Id id) {
    const auto found = m_places.find(id);
    if (found == m_places.end()) return;
    auto& place = found->second;
    if (place.state != State::Begun && place.state != State::Late) return;
    take_out(place);
    place.state = State::Inside;
}

// Out of the list of its state; it keeps its place.
void Door::take_out(Place& place) {
    auto& its = place.source->second;
    if (place.state == State::Silent) {
        its.silent.erase(place.at);
        set_silent(place.source, its.silent.size() + 1);
    } else if (place.state == State::Waiting) {
        its.waiting.erase(place.at);
        if (its.waiting.empty()) m_turns.erase(its.turn);
        --m_waiting;
    } else if (place.state == State::Begun) {
        m_begun.erase(place.at);
    } else if (place.state == State::Late) {
        m_late.erase(place.at);
    }
}

void Door::leave(Id id) {
    const auto found = m_places.find(id);
    if (found == m_places.end()) return;
    take_out(found->second);
    const auto source = found->second.source;
    m_places.erase(found);
    if (--source->second.places == 0) m_sources.erase(source);
}

}  // namespace fortros::gateway
