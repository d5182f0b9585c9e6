#include "mesh/members.h"

#include <algorithm>
#include <array>

#include "core/crypto.h"
#include "mesh/order.h"

namespace fortros::mesh {

namespace {

using Name = ByteArray<32>;

// By what a key goes in one order.
Name name_in(std::size_t order, const PublicKey& key) {
    if (order == 0) return key.bytes;
    const auto number = static_cast<std::uint8_t>(order);
    return crypto::sha256({as_bytes("fortros/fallback/v1"), {&number, 1}, key.bytes});
}

std::uint64_t rank_of(ByteView name) { return ByteReader(name).u64(); }

std::uint64_t rank_of(const IpAddress& address) {
    // What all members have in common (the org's prefix) would make all ranks equal.
    return rank_of(address.is_v4() ? ByteView(address.bytes()) : address.bytes().subspan(6));
}

struct Record {
    Member member;
    std::array<std::uint64_t, fallback_sorts> ranks{};  // the names' first bytes, in each order
};

std::array<std::uint64_t, fallback_sorts> ranks_of(const PublicKey& key) {
    std::array<std::uint64_t, fallback_sorts> ranks{};
    for (std::size_t i = 0; i < fallback_sorts; ++i) ranks[i] = rank_of(name_in(i, key));
    return ranks;
}

}  // namespace

struct Members::Index {
    std::vector<std::unique_ptr<Record>> records;  // by slot
    std::vector<Order::Slot> free;
    Order by_key;                             // all
    Order by_address;                         // all
    std::array<Order, fallback_sorts> sorts;  // nodes
    std::vector<Order::Slot> relays;          // with endpoints, by key
    std::uint64_t revision = 0;

    Index() = default;
    Index(const Index& other)
        : records(other.records.size()),
          free(other.free),
          by_key(other.by_key),
          by_address(other.by_address),
          sorts(other.sorts),
          relays(other.relays),
          revision(other.revision) {
        for (std::size_t i = 0; i < records.size(); ++i)
            if (other.records[i]) records[i] = std::make_unique<Record>(*other.records[i]);
    }
    Index& operator=(const Index&) = delete;

    const Member& member(Order::Slot slot) const { return records[slot]->member; }

    // Of two with one rank, which is before? The whole name says, which is not kept.
    auto before_key(std::size_t order, const PublicKey& key) const {
        return [this, order, &key](Order::Slot slot) {
            return name_in(order, member(slot).key) < name_in(order, key);
        };
    }
    auto before_address(const IpAddress& address) const {
        return [this, &address](Order::Slot slot) { return member(slot).address < address; };
    }

    std::optional<Order::Place> place_of(const PublicKey& key) const {
        const auto place = by_key.lower_bound(rank_of(key.bytes), before_key(0, key));
        return place && member(by_key.at(*place)).key == key ? place : std::nullopt;
    }

    Order::Slot take_slot() {
        if (free.empty()) {
            records.emplace_back();
            return static_cast<Order::Slot>(records.size() - 1);
        }
        const Order::Slot slot = free.back();
        free.pop_back();
        return slot;
    }

    void insert(Member member) {
        const Order::Slot slot = take_slot();
        records[slot] = std::make_unique<Record>(Record{std::move(member), {}});
        Record& record = *records[slot];
        record.ranks = ranks_of(record.member.key);
        const Member& added = record.member;
        by_key.insert(record.ranks[0], slot, before_key(0, added.key));
        by_address.insert(rank_of(added.address), slot, before_address(added.address));
        index_role(slot);
    }

    void index_role(Order::Slot slot) {
        const Record& record = *records[slot];
        const PublicKey& key = record.member.key;
        if (!record.member.relays()) {
            for (std::size_t i = 0; i < fallback_sorts; ++i)
                sorts[i].insert(record.ranks[i], slot, before_key(i, key));
        } else if (!record.member.endpoints.empty()) {
            const auto at = std::ranges::lower_bound(
                relays, key, {}, [this](Order::Slot some) { return member(some).key; });
            relays.insert(at, slot);
        }
    }

    void unindex_role(Order::Slot slot) {
        const Record& record = *records[slot];
        std::erase(relays, slot);
        if (record.member.relays()) return;
        for (std::size_t i = 0; i < fallback_sorts; ++i)
            sorts[i].erase(
                *sorts[i].lower_bound(record.ranks[i], before_key(i, record.member.key)));
    }

    void erase(Order::Place place) {
        const Order::Slot slot = by_key.at(place);
        unindex_role(slot);
        const Member& gone = member(slot);
        auto at = by_address.lower_bound(rank_of(gone.address), before_address(gone.address));
        while (by_address.at(*at) != slot) at = by_address.next(*at);
        by_address.erase(*at);
        by_key.erase(place);
        records[slot].reset();
        free.push_back(slot);
    }
};

Members::Members() : m_index(std::make_unique<Index>()) {}
Members::~Members() = default;
Members::Members(const Members& other) : m_index(std::make_unique<Index>(*other.m_index)) {}
Members::Members(Members&&) noexcept = default;
Members& Members::operator=(const Members& other) {
    if (this != &other) m_index = std::make_unique<Index>(*other.m_index);
    return *this;
}
Members& Members::operator=(Members&&) noexcept = default;

static bool same(const Member& a, const Member& b) {
    return a.key == b.key && a.address == b.address && a.role == b.role && a.serial == b.serial &&
           a.not_after == b.not_after && a.hostname == b.hostname && a.endpoints == b.endpoints &&
           a.attestation == b.attestation;
}

bool Members::put(Member member) {
    const auto place = m_index->place_of(member.key);
    if (!place) {
        m_index->insert(std::move(member));
        ++m_index->revision;
        return true;
    }
    const Order::Slot slot = m_index->by_key.at(*place);
    Member& known = m_index->records[slot]->member;
    if (member.serial < known.serial) return false;
    if (member.role == known.role && member.endpoints.empty()) member.endpoints = known.endpoints;
    if (same(member, known)) return false;
    if (member.address != known.address) {
        m_index->erase(*place);
        m_index->insert(std::move(member));
    } else {
        m_index->unindex_role(slot);
        known = std::move(member);
        m_index->index_role(slot);
    }
    ++m_index->revision;
    return true;
}

bool Members::remove(const PublicKey& key) {
    const auto place = m_index->place_of(key);
    if (!place) return false;
    m_index->erase(*place);
    ++m_index->revision;
    return true;
}

void Members::clear() {
    const std::uint64_t revision = m_index->revision + 1;
    m_index = std::make_unique<Index>();
    m_index->revision = revision;
}

const Member* Members::find(const PublicKey& key) const {
    const auto place = m_index->place_of(key);
    return place ? &m_index->member(m_index->by_key.at(*place)) : nullptr;
}

const Member* Members::find(const IpAddress& address) const {
    const Order& order = m_index->by_address;
    const auto place = order.lower_bound(rank_of(address), m_index->before_address(address));
    if (!place || m_index->member(order.at(*place)).address != address) return nullptr;
    return &m_index->member(order.at(*place));
}

std::size_t Members::size() const { return m_index->by_key.size(); }
std::uint64_t Members::revision() const { return m_index->revision; }

std::vector<const Member*> Members::relays() const {
    std::vector<const Member*> out;
    for (const Order::Slot slot : m_index->relays) out.push_back(&m_index->member(slot));
    return out;
}

std::vector<const Member*> Members::neighbours(const PublicKey& key, std::size_t order,
                                               std::size_t depth) const {
    ASSERT(order < fallback_sorts);
    const Order& sort = m_index->sorts[order];
    if (sort.size() == 0) return {};
    const auto own = m_index->place_of(key);
    const std::uint64_t rank = own ? m_index->records[m_index->by_key.at(*own)]->ranks[order]
                                   : rank_of(name_in(order, key));
    Order::Place after =
        sort.lower_bound(rank, m_index->before_key(order, key)).value_or(Order::Place{});
    Order::Place before = after;
    const bool present = m_index->member(sort.at(after)).key == key;
    if (present) after = sort.next(after);
    std::size_t left = sort.size() - (present ? 1 : 0);
    std::vector<const Member*> out;
    for (std::size_t i = 0; i < depth && left > 0; ++i) {
        out.push_back(&m_index->member(sort.at(after)));
        after = sort.next(after);
        if (--left == 0) break;
        before = sort.previous(before);
        out.push_back(&m_index->member(sort.at(before)));
        --left;
    }
    return out;
}

std::vector<const Member*> Members::fallback(const PublicKey& key, std::size_t depth) const {
    std::array<std::vector<const Member*>, fallback_sorts> orders;
    for (std::size_t i = 0; i < fallback_sorts; ++i) orders[i] = neighbours(key, i, depth);
    std::vector<const Member*> out;
    for (std::size_t k = 0; k < 2 * depth; ++k)
        for (const auto& order : orders)
            if (k < order.size() && !std::ranges::contains(out, order[k])) out.push_back(order[k]);
    return out;
}

std::vector<const Member*> Members::all() const {
    std::vector<const Member*> out;
    out.reserve(size());
    if (size() == 0) return out;
    Order::Place place;
    for (std::size_t i = 0; i < size(); ++i, place = m_index->by_key.next(place))
        out.push_back(&m_index->member(m_index->by_key.at(place)));
    return out;
}

std::size_t Members::memory() const {
    std::size_t bytes = sizeof(Index) + m_index->records.capacity() * sizeof(void*) +
                        m_index->by_key.memory() + m_index->by_address.memory();
    for (const Order& order : m_index->sorts) bytes += order.memory();
    for (const auto& record : m_index->records) {
        if (!record) continue;
        const Member& member = record->member;
        bytes += sizeof(Record) + member.attestation.capacity() +
                 member.endpoints.capacity() * sizeof(Endpoint);
        if (member.hostname.capacity() > 15) bytes += member.hostname.capacity() + 1;
    }
    return bytes;
}

}  // namespace fortros::mesh
