// What something is like over time: a value that holds from a moment on until the next one. Tests
// write it down before a boot; nothing moves it but the world's clock.
#pragma once

#include <utility>
#include <vector>

#include "base/time.h"

namespace fortros::fakes {

template <typename T>
class Timeline {
public:
    struct Piece {
        Instant from;
        T value;
    };

    // NOLINTNEXTLINE(google-explicit-constructor): what never changes is written as its value.
    Timeline(T always = {}) : m_pieces{{Instant::min(), std::move(always)}} {}

    // `at` is not before the last change.
    Timeline& then(Instant at, T value) {
        m_pieces.push_back({at, std::move(value)});
        return *this;
    }

    const T& at(Instant moment) const {
        std::size_t i = m_pieces.size() - 1;
        while (i > 0 && moment < m_pieces[i].from) --i;
        return m_pieces[i].value;
    }

    // In the order of time; the first one has always been.
    const std::vector<Piece>& pieces() const { return m_pieces; }

private:
    std::vector<Piece> m_pieces;
};

}  // namespace fortros::fakes
