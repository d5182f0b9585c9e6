#include "maintainer/message_pack.h"

// Only its event parser is used, as in core/json.cc.
#include <nlohmann/json.hpp>

namespace fortros {

// Builds a value from the parser's events, and stops it by returning false.
class MessagePackBuilder {
public:
    explicit MessagePackBuilder(const MessagePackLimits& limits) : m_limits(limits) {}

    bool null() { return add({}); }
    bool boolean(bool value) { return add(value); }
    bool number_integer(std::int64_t value) { return add(value); }
    bool number_unsigned(std::uint64_t value) {
        if (value > INT64_MAX) return stop("has a number that is too large");
        return add(static_cast<std::int64_t>(value));
    }
    bool number_float(double value, const std::string&) { return add(MessagePack(value)); }
    bool string(std::string& value) { return add(std::move(value)); }
    bool binary(const nlohmann::json::binary_t& value) {
        if (value.has_subtype()) return stop("holds an extension");
        return add(std::string(value.begin(), value.end()));
    }

    bool start_object(std::size_t) { return open(MessagePack::Map{}); }
    bool key(std::string& key) {
        m_open.back().key = std::move(key);
        return true;
    }
    bool end_object() { return close(); }
    bool start_array(std::size_t) { return open(MessagePack::Array{}); }
    bool end_array() { return close(); }

    bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception&) {
        return stop("does not parse at byte " + std::to_string(position));
    }

    MessagePack& root() { return m_root; }
    std::string& why() { return m_why; }

private:
    struct Open {
        MessagePack value;  // an array or a map that has not ended yet
        std::string key;    // of the member that comes next
    };

    bool stop(std::string why) {
        m_why = std::move(why);
        return false;
    }

    bool count() { return ++m_values <= m_limits.values || stop("has too many values"); }

    bool add(MessagePack value) { return count() && attach(std::move(value)); }

    bool open(MessagePack value) {
        if (m_open.size() >= m_limits.depth) return stop("is nested too deeply");
        m_open.push_back({std::move(value), {}});
        return count();
    }

    bool close() {
        MessagePack value = std::move(m_open.back().value);
        m_open.pop_back();
        return attach(std::move(value));
    }

    bool attach(MessagePack value) {
        if (m_open.empty())
            m_root = std::move(value);
        else if (Open& parent = m_open.back();
                 auto* array = std::get_if<MessagePack::Array>(&parent.value.m_value))
            array->push_back(std::move(value));
        else
            std::get_if<MessagePack::Map>(&parent.value.m_value)
                ->emplace_back(std::move(parent.key), std::move(value));
        return true;
    }

    const MessagePackLimits& m_limits;
    std::vector<Open> m_open;
    MessagePack m_root;
    std::size_t m_values = 0;
    std::string m_why;
};

Result<MessagePack> MessagePack::parse(ByteView bytes, const MessagePackLimits& limits) {
    MessagePackBuilder builder(limits);
    if (!nlohmann::json::sax_parse(bytes.begin(), bytes.end(), &builder,
                                   nlohmann::json::input_format_t::msgpack))
        return fail(ErrorCode::InvalidData, "MessagePack " + std::move(builder.why()));
    return std::move(builder.root());
}

const MessagePack* MessagePack::find(std::string_view key) const {
    const Map* members = map();
    if (members == nullptr) return nullptr;
    for (const auto& [name, value] : *members)
        if (name == key) return &value;
    return nullptr;
}

// --- writing ---

static void write_number(Bytes& out, std::uint64_t value, unsigned size) {
    for (unsigned shift = size * 8; shift > 0; shift -= 8)
        out.push_back(static_cast<std::uint8_t>(value >> (shift - 8)));
}

// The head of a string, an array or a map: always the 32-bit form, which every reader takes.
static void write_head(Bytes& out, std::uint8_t type, std::size_t size) {
    out.push_back(type);
    write_number(out, size, 4);
}

static void write_string(Bytes& out, std::string_view text) {
    write_head(out, 0xdb, text.size());
    out.insert(out.end(), text.begin(), text.end());
}

void MessagePack::write_to(Bytes& out) const {
    if (const bool* value = boolean()) {
        out.push_back(*value ? 0xc3 : 0xc2);
    } else if (const std::int64_t* value = number()) {
        out.push_back(0xd3);
        write_number(out, static_cast<std::uint64_t>(*value), 8);
    } else if (const std::string* value = string()) {
        write_string(out, *value);
    } else if (const Array* value = array()) {
        write_head(out, 0xdd, value->size());
        for (const MessagePack& element : *value) element.write_to(out);
    } else if (const Map* value = map()) {
        write_head(out, 0xdf, value->size());
        for (const auto& [key, member] : *value) {
            write_string(out, key);
            member.write_to(out);
        }
    } else {
        out.push_back(0xc0);
    }
}

// --- framing ---

namespace {

// What the first bytes of a value say: how many bytes it has itself, and how many values follow in it.
struct Head {
    std::uint64_t bytes = 1;
    std::uint64_t values = 0;
};

}  // namespace

// The number of `size` bytes after the first, if they are there.
static std::optional<std::uint64_t> number_after(ByteView bytes, std::size_t size) {
    if (bytes.size() <= size) return std::nullopt;
    std::uint64_t number = 0;
    for (std::size_t i = 1; i <= size; ++i) number = number << 8 | bytes[i];
    return number;
}

// A string, an array and so on, with its size in the `width` bytes after the type.
static std::optional<Head> head_with_size(ByteView bytes, std::size_t width, std::uint64_t extra,
                                          unsigned values_each) {
    const auto size = number_after(bytes, width);
    if (!size) return std::nullopt;
    if (values_each > 0) return Head{1 + width, *size * values_each};
    return Head{1 + width + extra + *size, 0};
}

// Absent while too few bytes are there to tell. `bytes` is not empty.
static std::optional<Head> head_of(ByteView bytes) {
    const std::uint8_t type = bytes[0];
    if (type < 0x80 || type >= 0xe0) return Head{};
    if (type < 0x90) return Head{1, (type & 0x0fU) * 2U};
    if (type < 0xa0) return Head{1, type & 0x0fU};
    if (type < 0xc0) return Head{1 + (type & 0x1fU), 0};
    switch (type) {
        case 0xc4:
        case 0xd9: return head_with_size(bytes, 1, 0, 0);
        case 0xc5:
        case 0xda: return head_with_size(bytes, 2, 0, 0);
        case 0xc6:
        case 0xdb: return head_with_size(bytes, 4, 0, 0);
        case 0xc7: return head_with_size(bytes, 1, 1, 0);
        case 0xc8: return head_with_size(bytes, 2, 1, 0);
        case 0xc9: return head_with_size(bytes, 4, 1, 0);
        case 0xcc:
        case 0xd0: return Head{2, 0};
        case 0xcd:
        case 0xd1: return Head{3, 0};
        case 0xca:
        case 0xce:
        case 0xd2: return Head{5, 0};
        case 0xcb:
        case 0xcf:
        case 0xd3: return Head{9, 0};
        case 0xd4: return Head{3, 0};
        case 0xd5: return Head{4, 0};
        case 0xd6: return Head{6, 0};
        case 0xd7: return Head{10, 0};
        case 0xd8: return Head{18, 0};
        case 0xdc: return head_with_size(bytes, 2, 0, 1);
        case 0xdd: return head_with_size(bytes, 4, 0, 1);
        case 0xde: return head_with_size(bytes, 2, 0, 2);
        case 0xdf: return head_with_size(bytes, 4, 0, 2);
        default: return Head{};  // nil, false, true, and 0xc1, which the parser refuses
    }
}

Result<std::optional<std::size_t>> MessagePackFramer::look(ByteView received) {
    while (m_pending > 0 && m_seen < received.size()) {
        const auto head = head_of(received.subspan(m_seen));
        if (!head) break;
        // Each value has a byte at least: who claims more than the limit claims too much.
        if (head->bytes > m_size_limit - m_seen || head->values > m_size_limit ||
            m_pending > m_size_limit)
            return fail(ErrorCode::InvalidData, "a MessagePack value is larger than " +
                                                    std::to_string(m_size_limit) + " bytes");
        m_seen += static_cast<std::size_t>(head->bytes);
        m_pending += head->values;
        --m_pending;
    }
    if (m_pending > 0 || m_seen > received.size()) {
        if (received.size() > m_size_limit)
            return fail(ErrorCode::InvalidData, "a MessagePack value is larger than " +
                                                    std::to_string(m_size_limit) + " bytes");
        return std::nullopt;
    }
    const std::size_t size = m_seen;
    m_seen = 0;
    m_pending = 1;
    return size;
}

}  // namespace fortros
