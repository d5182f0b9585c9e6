#include "core/json.h"

#include <algorithm>

// Only its lexer and its event parser are used: its own value would take twenty times the memory
// that our bounds allow.
#include <nlohmann/json.hpp>

namespace fortros {

namespace {

// Builds a value from the parser's events, and stops it by returning false.
class Builder {
public:
    explicit Builder(const JsonLimits& limits) : m_limits(limits) {}

    bool null() { return add({}); }
    bool boolean(bool value) { return add(value); }
    bool number_integer(std::int64_t value) { return add(value); }
    bool number_unsigned(std::uint64_t value) {
        if (value > INT64_MAX) return stop("has a number that is too large");
        return add(static_cast<std::int64_t>(value));
    }
    bool number_float(double value, const std::string&) {
        static constexpr double whole_limit = 9007199254740992.0;  // 2^53
        if (m_limits.fractions == JsonLimits::Fractions::Refuse || !(value > -whole_limit) ||
            !(value < whole_limit))
            return stop("has a number that is not whole, or too large");
        return add(static_cast<std::int64_t>(value));
    }
    bool string(std::string& value) { return add(std::move(value)); }
    bool binary(const std::vector<std::uint8_t>&) { return stop("holds binary data"); }

    bool start_object(std::size_t) { return open(Json::Object{}); }
    bool key(std::string& key) {
        const Json& object = m_open.back().value;
        if (object.object()->size() >= m_limits.members) return stop("has too many members");
        if (object.find(key) != nullptr) return stop("has a member twice");
        m_open.back().key = std::move(key);
        return true;
    }
    bool end_object() { return close(); }
    bool start_array(std::size_t) { return open(Json::Array{}); }
    bool end_array() { return close(); }

    bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception&) {
        return stop("does not parse at byte " + std::to_string(position));
    }

    Json& root() { return m_root; }
    std::string& why() { return m_why; }

private:
    struct Open {
        Json value;       // an array or an object that has not ended yet
        std::string key;  // of the member that comes next
    };

    bool stop(std::string why) {
        m_why = std::move(why);
        return false;
    }

    bool count() { return ++m_values <= m_limits.values || stop("has too many values"); }

    bool add(Json value) { return count() && attach(std::move(value)); }

    bool open(Json value) {
        if (m_open.size() >= m_limits.depth) return stop("is nested too deeply");
        m_open.push_back({std::move(value), {}});
        return count();
    }

    bool close() {
        Json value = std::move(m_open.back().value);
        m_open.pop_back();
        return attach(std::move(value));
    }

    bool attach(Json value) {
        if (m_open.empty())
            m_root = std::move(value);
        else if (Open& parent = m_open.back(); parent.value.array() != nullptr)
            parent.value.push(std::move(value));
        else
            parent.value.set(parent.key, std::move(value));
        return true;
    }

    const JsonLimits& m_limits;
    std::vector<Open> m_open;
    Json m_root;
    std::size_t m_values = 0;
    std::string m_why;
};

}  // namespace

// The size of the UTF-8 sequence (RFC 3629) at the head of `text`, 0 if there is none.
static std::size_t utf8_sequence_size(std::string_view text) {
    const auto byte = [&](std::size_t i) {
        return i < text.size() ? static_cast<std::uint8_t>(text[i]) : std::uint8_t{0};
    };
    const auto follows = [&](std::size_t i) { return (byte(i) & 0xc0) == 0x80; };
    const std::uint8_t first = byte(0);
    const std::uint8_t second = byte(1);
    if (first < 0x80) return 1;
    if (first >= 0xc2 && first <= 0xdf) return follows(1) ? 2 : 0;
    if (first >= 0xe0 && first <= 0xef) {
        if (first == 0xe0 && second < 0xa0) return 0;  // longer than need be
        if (first == 0xed && second > 0x9f) return 0;  // a surrogate
        return follows(1) && follows(2) ? 3 : 0;
    }
    if (first >= 0xf0 && first <= 0xf4) {
        if (first == 0xf0 && second < 0x90) return 0;  // longer than need be
        if (first == 0xf4 && second > 0x8f) return 0;  // beyond U+10FFFF
        return follows(1) && follows(2) && follows(3) ? 4 : 0;
    }
    return 0;
}

static void append_escaped(std::string& out, char c) {
    static constexpr std::string_view digits = "0123456789abcdef";
    switch (c) {
        case '"': out += "\\\""; return;
        case '\\': out += "\\\\"; return;
        case '\n': out += "\\n"; return;
        case '\r': out += "\\r"; return;
        case '\t': out += "\\t"; return;
        default: break;
    }
    if (static_cast<std::uint8_t>(c) < 0x20 || c == 0x7f) {
        out += "\\u00";
        out += digits[static_cast<std::uint8_t>(c) >> 4];
        out += digits[c & 15];
    } else {
        out += c;
    }
}

// Stands for itself, as nearly all that we write does.
static constexpr bool is_plain(char c) { return c >= ' ' && c <= '~' && c != '"' && c != '\\'; }

static void append_quoted(std::string& out, std::string_view text) {
    out += '"';
    for (;;) {
        const auto plain =
            static_cast<std::size_t>(std::ranges::find_if_not(text, is_plain) - text.begin());
        out += text.substr(0, plain);
        text.remove_prefix(plain);
        if (text.empty()) break;
        const std::size_t size = utf8_sequence_size(text);
        if (size == 0)
            out += "\xef\xbf\xbd";
        else if (size == 1)
            append_escaped(out, text.front());
        else
            out += text.substr(0, size);
        text.remove_prefix(std::max<std::size_t>(size, 1));
    }
    out += '"';
}

static void append_line(std::string& out, int indent, int level) {
    if (indent <= 0) return;
    out += '\n';
    out.append(static_cast<std::size_t>(indent) * static_cast<std::size_t>(level), ' ');
}

Result<Json> Json::parse(std::string_view text, const JsonLimits& limits) {
    if (text.size() > limits.bytes)
        return fail(ErrorCode::InvalidData,
                    "JSON is longer than " + std::to_string(limits.bytes) + " bytes");
    // The parser takes a NUL for the end, and would not look at what follows it.
    if (text.contains('\0')) return fail(ErrorCode::InvalidData, "JSON has a zero byte");
    Builder builder(limits);
    if (!nlohmann::json::sax_parse(text.begin(), text.end(), &builder))
        return fail(ErrorCode::InvalidData, "JSON " + std::move(builder.why()));
    return std::move(builder.root());
}

const Json* Json::find(std::string_view key) const {
    const Object* members = object();
    if (members == nullptr) return nullptr;
    for (const auto& [name, value] : *members)
        if (name == key) return &value;
    return nullptr;
}

Json& Json::set(std::string_view key, Json value) {
    if (is_null()) m_value = Object{};
    ASSERT(object() != nullptr);
    std::get_if<Object>(&m_value)->emplace_back(key, std::move(value));
    return *this;
}

Json& Json::push(Json value) {
    if (is_null()) m_value = Array{};
    ASSERT(array() != nullptr);
    std::get_if<Array>(&m_value)->push_back(std::move(value));
    return *this;
}

std::string Json::dump(int indent) const {
    std::string out;
    dump_to(out, indent, 0);
    return out;
}

void Json::dump_to(std::string& out, int indent, int level) const {
    const auto next = [&](char bracket) {
        if (out.back() != bracket) out += ',';  // a bracket that closes or is quoted is not last
        append_line(out, indent, level + 1);
    };
    if (is_null()) out += "null";
    if (boolean() != nullptr) out += *boolean() ? "true" : "false";
    if (number() != nullptr) out += std::to_string(*number());
    if (string() != nullptr) append_quoted(out, *string());
    if (array() != nullptr) {
        out += '[';
        for (const Json& element : *array()) {
            next('[');
            element.dump_to(out, indent, level + 1);
        }
        if (!array()->empty()) append_line(out, indent, level);
        out += ']';
    }
    if (object() != nullptr) {
        out += '{';
        for (const auto& [key, value] : *object()) {
            next('{');
            append_quoted(out, key);
            out += indent > 0 ? ": " : ":";
            value.dump_to(out, indent, level + 1);
        }
        if (!object()->empty()) append_line(out, indent, level);
        out += '}';
    }
}

std::unexpected<Error> JsonReader::bad(std::string_view key, std::string_view why) const {
    std::string what = m_where;
    return fail(ErrorCode::InvalidData, what.append(": '").append(key).append("' ").append(why));
}

// The member, or null where it is absent or null.
static const Json* present(const Json& object, std::string_view key) {
    const Json* member = object.find(key);
    return member == nullptr || member->is_null() ? nullptr : member;
}

Result<std::string> JsonReader::string(std::string_view key, std::size_t limit) const {
    auto value = TRY(optional_string(key, limit));
    if (!value) return bad(key, "is missing");
    return std::move(*value);
}

Result<std::optional<std::string>> JsonReader::optional_string(std::string_view key,
                                                               std::size_t limit) const {
    const Json* member = present(m_object, key);
    if (member == nullptr) return std::nullopt;
    const std::string* value = member->string();
    if (value == nullptr) return bad(key, "is not a string");
    if (value->size() > limit) return bad(key, "is longer than " + std::to_string(limit));
    return *value;
}

Result<std::int64_t> JsonReader::number(std::string_view key, std::int64_t low,
                                        std::int64_t high) const {
    const auto value = TRY(optional_number(key, low, high));
    if (!value) return bad(key, "is missing");
    return *value;
}

Result<std::optional<std::int64_t>> JsonReader::optional_number(std::string_view key,
                                                                std::int64_t low,
                                                                std::int64_t high) const {
    const Json* member = present(m_object, key);
    if (member == nullptr) return std::nullopt;
    const std::int64_t* value = member->number();
    if (value == nullptr) return bad(key, "is not a number");
    if (*value < low || *value > high)
        return bad(key, "is not within " + std::to_string(low) + " to " + std::to_string(high));
    return *value;
}

Result<bool> JsonReader::boolean(std::string_view key, bool absent) const {
    const Json* member = present(m_object, key);
    if (member == nullptr) return absent;
    const bool* value = member->boolean();
    if (value == nullptr) return bad(key, "is neither true nor false");
    return *value;
}

Result<const Json::Array*> JsonReader::array(std::string_view key, std::size_t limit) const {
    static const Json::Array empty;
    const Json* member = present(m_object, key);
    if (member == nullptr) return &empty;
    const Json::Array* value = member->array();
    if (value == nullptr) return bad(key, "is not an array");
    if (value->size() > limit)
        return bad(key, "has more than " + std::to_string(limit) + " elements");
    return value;
}

Result<const Json*> JsonReader::object(std::string_view key) const {
    const Json* member = present(m_object, key);
    if (member == nullptr) return bad(key, "is missing");
    if (member->object() == nullptr) return bad(key, "is not an object");
    return member;
}

}  // namespace fortros
