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

// --- coming and going ---

std::optional<Door::Id> Door::enter(Id id, const IpAddress& from, Instant now) {
    const auto source = m_sources.try_emplace(source_of(from)).first;
    auto& its = source->second;
    const bool is_full = m_places.size() >= m_limits.places;
    if (its.places >= m_limits.places_of_a_source || (is_full && m_by_silent.empty())) {
        if (its.places == 0 && its.owed == 0) m_sources.erase(source);
        return id;
    }
    if (its.places++ == 0 && its.owed > 0) m_absent.erase(its.absent);
    std::optional<Id> must_go;
    if (is_full) {
        must_go = m_sources.find(m_by_silent.rbegin()->second)->second.silent.front();
        leave(*must_go, now);
    }
    its.silent.push_back(id);
    m_places.emplace(id, Place{source, State::Silent, std::prev(its.silent.end())});
    set_silent(source, its.silent.size() - 1);
    return must_go;
}

void Door::leave(Id id, Instant now) {
    const auto found = m_places.find(id);
    if (found == m_places.end()) return;
    const State was = found->second.state;
    const auto source = found->second.source;
    take_out(found->second);
    m_places.erase(found);
    if (was == State::Shaking || was == State::Awaited) blame(source->second, now);
    if (--source->second.places == 0) see_off(source, now);
}

// What it owes is remembered, within a bound.
void Door::see_off(Sources::iterator source, Instant now) {
    if (is_forgiven(source->second, now)) {
        m_sources.erase(source);
        return;
    }
    source->second.absent = m_absent.insert(m_absent.end(), source->first);
    while (!m_absent.empty()) {
        const auto first = m_sources.find(m_absent.front());
        if (m_absent.size() <= m_limits.remembered && !is_forgiven(first->second, now)) return;
        m_absent.pop_front();
        m_sources.erase(first);
    }
}

// Out of the list of its state; it keeps its place.
void Door::take_out(Place& place) {
    auto& its = place.source->second;
    if (place.state == State::Silent) {
        its.silent.erase(place.at);
        set_silent(place.source, its.silent.size() + 1);
    } else if (place.state == State::Waiting) {
        its.waiting.erase(place.at);
        if (its.waiting.empty()) its.line->erase(its.turn);
        --m_waiting;
    } else if (place.state == State::Shaking) {
        m_shaking.erase(place.at);
    } else if (place.state == State::Awaited) {
        m_awaited.erase(place.at);
    }
}

// --- turns ---

void Door::knock(Id id, Instant now) {
    const auto found = m_places.find(id);
    if (found == m_places.end() || found->second.state != State::Silent) return;
    auto& place = found->second;
    take_out(place);
    auto& its = place.source->second;
    if (is_forgiven(its, now)) set_owed(its, 0);
    if (its.waiting.empty()) {
        its.line = &line_of(its);
        its.turn = its.line->insert(its.line->end(), place.source->first);
    }
    its.waiting.push_back(id);
    place.at = std::prev(its.waiting.end());
    place.state = State::Waiting;
    ++m_waiting;
}

std::optional<Door::Id> Door::next(Instant now) {
    note_late(m_shaking, m_limits.quick, now);
    note_late(m_awaited, m_limits.prompt, now);
    if (m_waiting == 0 || m_shaking.size() >= m_limits.shaking) return std::nullopt;
    auto& line = line_whose_turn_it_is();
    auto& its = m_sources.find(line.front())->second;
    const Id id = its.waiting.front();

    auto& place = m_places.find(id)->second;
    take_out(place);
    place.state = State::Shaking;
    place.at = m_shaking.insert(m_shaking.end(), id);
    place.since = now;
    // To the end of the line, if more of its own wait.
    if (!its.waiting.empty()) line.splice(line.end(), line, its.turn);
    return id;
}

std::optional<Instant> Door::next_at(Instant now) const {
    if (m_waiting == 0) return std::nullopt;
    if (m_shaking.size() < m_limits.shaking) return now;
    return std::max(now, m_places.at(m_shaking.front()).since + m_limits.quick);
}

Door::Line& Door::line_whose_turn_it_is() {
    if (m_owing_turns.empty()) return m_turns;
    if (!m_turns.empty() && ++m_turns_of_others < m_limits.turns_for_one_that_owes) return m_turns;
    m_turns_of_others = 0;
    return m_owing_turns;
}

void Door::shaken(Id id, Instant now) {
    const auto found = m_places.find(id);
    if (found == m_places.end() || found->second.state != State::Shaking) return;
    auto& place = found->second;
    take_out(place);
    place.state = State::Awaited;
    place.at = m_awaited.insert(m_awaited.end(), id);
    place.since = now;
}

void Door::settle(Id id) {
    const auto found = m_places.find(id);
    if (found == m_places.end()) return;
    auto& place = found->second;
    if (place.state == State::Silent || place.state == State::Waiting ||
        place.state == State::Inside)
        return;
    take_out(place);
    place.state = State::Inside;
    auto& its = place.source->second;
    if (its.owed > 0) set_owed(its, its.owed - 1);
}

// --- what a source owes ---

void Door::note_late(std::list<Id>& list, Duration limit, Instant now) {
    while (!list.empty()) {
        auto& place = m_places.find(list.front())->second;
        if (now - place.since < limit) return;
        take_out(place);
        place.state = State::Late;
        blame(place.source->second, now);
    }
}

void Door::blame(Source& source, Instant now) {
    set_owed(source, std::min(source.owed + 1, m_limits.most_owed));
    source.owed_since = now;
}

// It may wait: then it changes to the end of the other line.
void Door::set_owed(Source& source, std::uint32_t owed) {
    source.owed = owed;
    auto& line = line_of(source);
    if (source.waiting.empty() || source.line == &line) return;
    line.splice(line.end(), *source.line, source.turn);
    source.line = &line;
}

}  // namespace fortros::gateway
