// JSON (RFC 8259) from strangers and for strangers: a small value, a parser with bounds on size,
// depth and count, and a writer. Duplicate keys and numbers that are not whole are refused: nothing
// in our formats needs them. An error never repeats the text: it may hold an invite.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"

namespace fortros {

struct JsonLimits {
    std::size_t bytes = std::size_t{256} * 1024;
    std::size_t depth = 8;
    std::size_t values = 32768;  // values of every kind, all together
    std::size_t members = 256;   // of one object
    enum class Fractions { Refuse, CutOff } fractions = Fractions::Refuse;
};

class Json {
public:
    using Array = std::vector<Json>;
    using Object = std::vector<std::pair<std::string, Json>>;  // in the order of the text

    Json() = default;  // null
    Json(bool value) : m_value(value) {}
    Json(std::int64_t value) : m_value(value) {}
    Json(int value) : m_value(std::int64_t{value}) {}
    Json(unsigned value) : m_value(std::int64_t{value}) {}
    Json(std::string value) : m_value(std::move(value)) {}
    Json(std::string_view value) : m_value(std::string(value)) {}
    Json(const char* value) : m_value(std::string(value)) {}
    Json(Array value) : m_value(std::move(value)) {}
    Json(Object value) : m_value(std::move(value)) {}

    static Result<Json> parse(std::string_view text, const JsonLimits& limits = {});

    bool is_null() const { return std::holds_alternative<std::monostate>(m_value); }
    const bool* boolean() const { return std::get_if<bool>(&m_value); }
    const std::int64_t* number() const { return std::get_if<std::int64_t>(&m_value); }
    const std::string* string() const { return std::get_if<std::string>(&m_value); }
    const Array* array() const { return std::get_if<Array>(&m_value); }
    const Object* object() const { return std::get_if<Object>(&m_value); }

    // The member of an object, or null if there is none (or this is no object).
    const Json* find(std::string_view key) const;

    // Appends a member or an element, and gives *this back; null becomes an object or an array
    // first. A key must be new: set() does not look.
    Json& set(std::string_view key, Json value);
    Json& push(Json value);

    // One line without blanks; `indent` > 0 for people. Always valid: bytes in a string that are not
    // UTF-8 become U+FFFD.
    std::string dump(int indent = 0) const;

    bool operator==(const Json&) const = default;

private:
    void dump_to(std::string& out, int indent, int level) const;

    std::variant<std::monostate, bool, std::int64_t, std::string, Array, Object> m_value;
};

// Reads the members of one object and says by name what is missing or of the wrong kind. Unknown
// members are ignored, so that a newer peer may say more; null is as good as absent. The object must
// outlive the reader.
class JsonReader {
public:
    // `where` names the object in error messages: "answer", "peers[3]".
    JsonReader(const Json& object, std::string where)
        : m_object(object), m_where(std::move(where)) {}

    Result<std::string> string(std::string_view key, std::size_t limit) const;
    Result<std::optional<std::string>> optional_string(std::string_view key,
                                                       std::size_t limit) const;
    Result<std::int64_t> number(std::string_view key, std::int64_t low, std::int64_t high) const;
    Result<std::optional<std::int64_t>> optional_number(std::string_view key, std::int64_t low,
                                                        std::int64_t high) const;
    Result<bool> boolean(std::string_view key, bool absent) const;
    // An absent array reads as empty.
    Result<const Json::Array*> array(std::string_view key, std::size_t limit) const;
    Result<const Json*> object(std::string_view key) const;

    // An InvalidData error about one member.
    std::unexpected<Error> bad(std::string_view key, std::string_view why) const;
    const std::string& where() const { return m_where; }

private:
    const Json& m_object;
    std::string m_where;
};

}  // namespace fortros
