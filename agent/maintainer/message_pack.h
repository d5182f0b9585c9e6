// MessagePack (the specification of 2013), as the Serf agent speaks it: a small value, a writer, a
// parser with bounds, and a framer that finds where one value ends in a stream. It knows nothing of Serf.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace fortros {

struct MessagePackLimits {
    std::size_t depth = 8;
    std::size_t values = std::size_t{4} * 1024 * 1024;  // of every kind, all together
};

class MessagePack {
public:
    using Array = std::vector<MessagePack>;
    using Map =
        std::vector<std::pair<std::string, MessagePack>>;  // keys are strings, in their order

    MessagePack() = default;  // nil
    MessagePack(bool value) : m_value(value) {}
    MessagePack(std::int64_t value) : m_value(value) {}
    MessagePack(int value) : m_value(std::int64_t{value}) {}
    MessagePack(std::string value) : m_value(std::move(value)) {}
    MessagePack(const char* value) : m_value(std::string(value)) {}
    MessagePack(Array value) : m_value(std::move(value)) {}
    MessagePack(Map value) : m_value(std::move(value)) {}

    // Exactly one value. Numbers beyond int64, extensions and keys that are no strings are refused.
    static Result<MessagePack> parse(ByteView bytes, const MessagePackLimits& limits = {});

    const bool* boolean() const { return std::get_if<bool>(&m_value); }
    const std::int64_t* number() const { return std::get_if<std::int64_t>(&m_value); }
    const double* real() const { return std::get_if<double>(&m_value); }
    const std::string* string() const { return std::get_if<std::string>(&m_value); }  // or bytes
    const Array* array() const { return std::get_if<Array>(&m_value); }
    const Map* map() const { return std::get_if<Map>(&m_value); }

    // The member of a map, or null if there is none (or this is no map).
    const MessagePack* find(std::string_view key) const;

    // Appends its encoding. What we say has no reals.
    void write_to(Bytes& out) const;

    bool operator==(const MessagePack&) const = default;

private:
    friend class MessagePackBuilder;
    explicit MessagePack(double value) : m_value(value) {}

    std::variant<std::monostate, bool, std::int64_t, double, std::string, Array, Map> m_value;
};

// Finds the end of a value, whatever the portions in which it comes; each byte is looked at once.
class MessagePackFramer {
public:
    explicit MessagePackFramer(std::size_t size_limit) : m_size_limit(size_limit) {}

    // Looks at what has been received so far, which begins with the value and only grows between two
    // calls. Its size when all of it is there; absent while it is not. InvalidData where it is larger
    // than the limit, or no MessagePack. After a size, it begins anew.
    Result<std::optional<std::size_t>> look(ByteView received);

private:
    std::size_t m_size_limit;
    std::size_t m_seen = 0;       // bytes that are known to belong to the value
    std::uint64_t m_pending = 1;  // values that have yet to begin
};

}  // namespace fortros
