// A sorted set of slots, each with a 64-bit rank: an index over records that are kept elsewhere. In
// chunks, so that an insertion shifts a few kilobytes, however large the set is. It knows nothing of
// what it sorts: equal ranks are told apart by whoever asks.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace fortros::mesh {

class Order {
public:
    using Slot = std::uint32_t;

    std::size_t size() const { return m_size; }

    // The ring of all slots: a place in it, the next and the one before.
    struct Place {
        std::size_t chunk = 0;
        std::size_t index = 0;
        bool operator==(const Place&) const = default;
    };
    Slot at(Place place) const { return m_chunks[place.chunk][place.index].slot; }

    Place next(Place place) const {
        if (++place.index < m_chunks[place.chunk].size()) return place;
        return {place.chunk + 1 < m_chunks.size() ? place.chunk + 1 : 0, 0};
    }
    Place previous(Place place) const {
        if (place.index > 0) return {place.chunk, place.index - 1};
        const std::size_t chunk = (place.chunk > 0 ? place.chunk : m_chunks.size()) - 1;
        return {chunk, m_chunks[chunk].size() - 1};
    }

    // The first entry that is not before (`rank`, ...); of equal ranks `before(slot)` says which
    // come before. Absent: behind the last.
    template <typename Before>
    std::optional<Place> lower_bound(std::uint64_t rank, const Before& before) const {
        const auto less = [&](const Entry& entry) {
            return entry.rank != rank ? entry.rank < rank : before(entry.slot);
        };
        const auto chunk = std::partition_point(
            m_chunks.begin(), m_chunks.end(), [&](const Chunk& some) { return less(some.back()); });
        if (chunk == m_chunks.end()) return {};
        const auto entry = std::partition_point(chunk->begin(), chunk->end(), less);
        return Place{static_cast<std::size_t>(chunk - m_chunks.begin()),
                     static_cast<std::size_t>(entry - chunk->begin())};
    }

    template <typename Before>
    void insert(std::uint64_t rank, Slot slot, const Before& before) {
        ++m_size;
        if (m_chunks.empty()) {
            m_chunks.push_back({{rank, slot}});
            return;
        }
        const Place place =
            lower_bound(rank, before).value_or(Place{m_chunks.size() - 1, m_chunks.back().size()});
        Chunk& chunk = m_chunks[place.chunk];
        chunk.insert(chunk.begin() + static_cast<std::ptrdiff_t>(place.index), {rank, slot});
        if (chunk.size() < chunk_limit) return;
        const auto middle = chunk.begin() + chunk_limit / 2;
        Chunk rest(middle, chunk.end());
        chunk.erase(middle, chunk.end());
        m_chunks.insert(m_chunks.begin() + static_cast<std::ptrdiff_t>(place.chunk) + 1,
                        std::move(rest));
    }

    void erase(Place place) {
        --m_size;
        Chunk& chunk = m_chunks[place.chunk];
        chunk.erase(chunk.begin() + static_cast<std::ptrdiff_t>(place.index));
        if (chunk.empty())
            m_chunks.erase(m_chunks.begin() + static_cast<std::ptrdiff_t>(place.chunk));
    }

    std::size_t memory() const {
        std::size_t bytes = m_chunks.capacity() * sizeof(Chunk);
        for (const Chunk& chunk : m_chunks) bytes += chunk.capacity() * sizeof(Entry);
        return bytes;
    }

private:
    struct Entry {
        std::uint64_t rank = 0;
        Slot slot = 0;
    };
    using Chunk = std::vector<Entry>;

    static constexpr std::size_t chunk_limit = 512;

    std::vector<Chunk> m_chunks;  // none is empty
    std::size_t m_size = 0;
};

}  // namespace fortros::mesh
