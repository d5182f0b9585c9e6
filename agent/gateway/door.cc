#include "gateway/door.h"

#include <algorithm>

namespace fortros::gateway {

// How much one turn changes the smoothed pace.
static constexpr std::int64_t pace_memory = 64;

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

bool Door::knock(Id id, Instant now) {
    const auto found = m_places.find(id);
    if (found == m_places.end() || found->second.state != State::Silent) return true;
    auto& place = found->second;
    if (expected_wait(place.source->first) > m_limits.patience) return false;
    take_out(place);
    auto& its = place.source->second;
    if (its.waiting.empty()) its.turn = m_turns.insert(m_turns.end(), place.source->first);
    its.waiting.push_back(id);
    place.at = std::prev(its.waiting.end());
    place.state = State::Waiting;
    if (m_waiting++ == 0) m_last_turn = now;
    return true;
}

// Each source that waits has a turn for each of those that wait at this one, and no more than it needs.
Duration Door::expected_wait(const IpAddress& from) const {
    const auto source = m_sources.find(source_of(from));
    const std::size_t own = source == m_sources.end() ? 0 : source->second.waiting.size();
    const std::size_t before = std::min(m_waiting, (own + 1) * m_turns.size());
    return m_pace * static_cast<std::int64_t>(before);
}

std::optional<Door::Id> Door::next(Instant now) {
    const auto at = next_at(now);
    if (!at || *at > now) return std::nullopt;
    if (m_begun.size() >= m_limits.begun) settle(m_begun.front());
    const auto source = m_sources.find(m_turns.front());
    const Id id = source->second.waiting.front();
    if (m_last_turn) m_pace += (now - *m_last_turn - m_pace) / pace_memory;

    auto& place = m_places.find(id)->second;
    take_out(place);
    place.state = State::Begun;
    place.at = m_begun.insert(m_begun.end(), id);
    place.begun = now;
    // To the end of the line, if more of its own wait.
    if (!source->second.waiting.empty()) m_turns.splice(m_turns.end(), m_turns, m_turns.begin());
    m_last_turn = m_waiting > 0 ? std::optional(now) : std::nullopt;
    return id;
}

std::optional<Instant> Door::next_at(Instant now) const {
    if (m_turns.empty()) return std::nullopt;
    if (m_begun.size() < m_limits.begun) return now;
    return std::max(now, m_places.at(m_begun.front()).begun + m_limits.quick);
}

void Door::settle(Id id) {
    const auto found = m_places.find(id);
    if (found == m_places.end() || found->second.state != State::Begun) return;
    take_out(found->second);
    found->second.state = State::Inside;
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
        if (--m_waiting == 0) m_last_turn.reset();  // nobody waits: no pace
    } else if (place.state == State::Begun) {
        m_begun.erase(place.at);
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
