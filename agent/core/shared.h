// A value that never changes once it is there, so that copies of it are one: for what is large and
// handed about a lot. It may be absent, like std::optional.
#pragma once

#include <memory>
#include <utility>

namespace fortros {

template <typename T>
class Shared {
public:
    Shared() = default;
    Shared(T value) : m_value(std::make_shared<const T>(std::move(value))) {}

    bool has_value() const { return m_value != nullptr; }
    explicit operator bool() const { return has_value(); }
    const T& operator*() const { return *m_value; }
    const T* operator->() const { return m_value.get(); }

    friend bool operator==(const Shared& a, const Shared& b) {
        return a.m_value == b.m_value || (a && b && *a == *b);
    }

private:
    std::shared_ptr<const T> m_value;
};

}  // namespace fortros
