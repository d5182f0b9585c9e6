// A map by public key that is searched and walked far more often than it grows. The beginnings of all keys lie side by
// side, in order; each entry has a place of its own, which does not move when others come and go. An insertion shifts
// 16 bytes for each greater key: for thousands of entries, not for millions.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <utility>
#include <vector>

#include "base/result.h"
#include "core/key.h"

namespace fortros::mesh {

template <typename Value>
class KeyMap {
public:
    using value_type = std::pair<const PublicKey, Value>;

private:
    struct Slot {
        std::uint64_t rank = 0;  // of the key
        std::unique_ptr<value_type> entry;
    };

    template <typename Entry, typename Place>
    class Walk {
    public:
        using value_type = KeyMap::value_type;
        using difference_type = std::ptrdiff_t;
        using iterator_concept = std::forward_iterator_tag;

        Walk() = default;
        explicit Walk(Place place) : m_place(place) {}
        // One that may write is one that reads, too.
        template <typename OtherEntry, typename OtherPlace>
        Walk(const Walk<OtherEntry, OtherPlace>& other) : m_place(other.place()) {}

        Entry& operator*() const { return *m_place->entry; }
        Entry* operator->() const { return m_place->entry.get(); }
        Walk& operator++() {
            ++m_place;
            return *this;
        }
        Walk operator++(int) { return Walk(m_place++); }
        template <typename OtherEntry, typename OtherPlace>
        bool operator==(const Walk<OtherEntry, OtherPlace>& other) const {
            return m_place == other.place();
        }
        Place place() const { return m_place; }

    private:
        Place m_place{};
    };

public:
    using iterator = Walk<value_type, typename std::vector<Slot>::iterator>;
    using const_iterator = Walk<const value_type, typename std::vector<Slot>::const_iterator>;

    KeyMap() = default;
    KeyMap(KeyMap&&) noexcept = default;
    KeyMap& operator=(KeyMap&&) noexcept = default;
    KeyMap(const KeyMap& other) {
        m_slots.reserve(other.size());
        for (const Slot& slot : other.m_slots)
            m_slots.push_back({slot.rank, std::make_unique<value_type>(*slot.entry)});
    }
    KeyMap& operator=(const KeyMap& other) { return *this = KeyMap(other); }
    ~KeyMap() = default;

    std::size_t size() const { return m_slots.size(); }
    bool empty() const { return m_slots.empty(); }
    iterator begin() { return iterator(m_slots.begin()); }
    iterator end() { return iterator(m_slots.end()); }
    const_iterator begin() const { return const_iterator(m_slots.begin()); }
    const_iterator end() const { return const_iterator(m_slots.end()); }

    iterator find(const PublicKey& key) {
        const auto place = lower_bound(*this, key);
        return is_at(place, key) ? iterator(place) : end();
    }
    const_iterator find(const PublicKey& key) const {
        const auto place = lower_bound(*this, key);
        return is_at(place, key) ? const_iterator(place) : end();
    }
    // Of one that is there.
    Value& at(const PublicKey& key) {
        const auto found = find(key);
        ASSERT(found != end());
        return found->second;
    }
    Value& at(const_iterator entry) {
        return m_slots[static_cast<std::size_t>(entry.place() - m_slots.cbegin())].entry->second;
    }

    template <typename... Arguments>
    std::pair<iterator, bool> try_emplace(const PublicKey& key, Arguments&&... arguments) {
        const auto place = lower_bound(*this, key);
        if (is_at(place, key)) return {iterator(place), false};
        auto entry = std::make_unique<value_type>(
            std::piecewise_construct, std::forward_as_tuple(key),
            std::forward_as_tuple(std::forward<Arguments>(arguments)...));
        return {iterator(m_slots.insert(place, {key.rank(), std::move(entry)})), true};
    }
    iterator erase(const_iterator entry) { return iterator(m_slots.erase(entry.place())); }
    void erase(const PublicKey& key) {
        if (const auto found = find(key); found != end()) erase(found);
    }

    bool operator==(const KeyMap& other) const { return std::ranges::equal(*this, other); }

private:
    template <typename Self>
    static auto lower_bound(Self& self, const PublicKey& key) {
        return std::partition_point(
            self.m_slots.begin(), self.m_slots.end(), [&key, rank = key.rank()](const Slot& slot) {
                return slot.rank != rank ? slot.rank < rank : slot.entry->first < key;
            });
    }
    template <typename Place>
    bool is_at(Place place, const PublicKey& key) const {
        return place != m_slots.end() && place->entry->first == key;
    }

    std::vector<Slot> m_slots{};
};

}  // namespace fortros::mesh
