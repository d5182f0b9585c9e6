// All members that a node knows, in the orders that the mesh needs: by key, by overlay address, and
// by the fallback's independent sorts. One member's change costs no more than a few look-ups and
// shifts within a chunk of an index. Silence never removes a member; only a revocation does, or
// expiry and no link. Many may read one at once, as long as nobody changes it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "mesh/member.h"

namespace fortros::mesh {

// Independent orders. In order i members go by SHA-256("fortros/fallback/v1" || i (one byte) || key),
// in order 0 by the key itself. Vectors in tests/vectors/fallback.json.
inline constexpr std::size_t fallback_sorts = 4;

class Members {
public:
    Members();
    ~Members();
    Members(const Members& other);
    Members(Members&&) noexcept;
    Members& operator=(const Members& other);
    Members& operator=(Members&&) noexcept;

    // Takes it, or the newer of the two: an older serial changes nothing, and no endpoints never
    // replace some of the same role. True where something has changed.
    bool put(Member member);
    // True where it was there.
    bool remove(const PublicKey& key);
    void clear();

    // Pointers to members hold until that member is changed or removed.
    const Member* find(const PublicKey& key) const;
    const Member* find(const IpAddress& overlay_address) const;
    std::size_t size() const;
    // Grows with each change.
    std::uint64_t revision() const;

    // Lighthouses and gateways that have endpoints, by key.
    std::vector<const Member*> relays() const;

    // The neighbours of `key` in one order, as in a ring: the next behind it, the next before it,
    // the second behind, and so on, `depth` to each side; nodes only (no relays), without `key`
    // itself and without repetition. `key` need not be a member. O(log N + depth).
    std::vector<const Member*> neighbours(const PublicKey& key, std::size_t order,
                                          std::size_t depth = 1) const;
    // Of all orders: the nearest of each first. Without repetition.
    std::vector<const Member*> fallback(const PublicKey& key, std::size_t depth = 1) const;

    // By key; for tables and tests.
    std::vector<const Member*> all() const;
    // Of the orders and what they hold, members' own strings included; for benches.
    std::size_t memory() const;

private:
    struct Index;
    std::unique_ptr<Index> m_index;
};

}  // namespace fortros::mesh
