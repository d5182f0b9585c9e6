// The slice of HTTP/1.1 (RFC 9112) that one request and one answer need, from the client's side:
// Content-Length only, no chunks, no content encoding, everything bounded. It never touches a
// socket.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"

namespace fortros {

inline constexpr std::size_t http_head_limit = std::size_t{8} * 1024;
inline constexpr std::size_t http_answer_limit = std::size_t{256} * 1024;

struct HttpRequest {
    std::string method;
    std::string target;  // "/v1/join"
    std::string host;
    std::vector<std::pair<std::string, std::string>> headers{};
    SecretBytes body{};
};

// The bytes to send. Adds Host, Content-Length and
// "Connection: close". The texts of the request are the program's own: a control character in one
// is a bug.
SecretBytes serialize(const HttpRequest& request);

struct HttpAnswer {
    int status = 0;
    std::vector<std::pair<std::string, std::string>> headers{};  // names in lower case
    std::string body;

    // The value of the header, or null if there is none, or more than one: then nobody knows which
    // one was meant.
    const std::string* header(std::string_view lower_case_name) const;
};

// Eats bytes until one whole answer is there. Stricter than RFC 9112 asks: lines end with CRLF, no
// line is folded, exactly one Content-Length in its shortest spelling says where the body ends (204
// and 304 have none), no chunks, and no content encoding that was not asked for. Interim answers (RFC 9110 section
// 15.2) are skipped; 101 is refused, as nothing was asked to switch.
class HttpAnswerParser {
public:
    // What Accept-Encoding has asked for. The body stays as it came.
    enum class Encoding { None, Gzip };
    HttpAnswerParser() = default;
    explicit HttpAnswerParser(Encoding accepted) : m_accepted(accepted) {}

    // The answer once it is complete, nothing while more is needed, InvalidData for what is not
    // HTTP, too large, or more than one answer. After an error or an answer the parser is spent:
    // any further byte is an error.
    Result<std::optional<HttpAnswer>> feed(ByteView bytes);

private:
    Status parse_head(std::string_view head);

    Encoding m_accepted = Encoding::None;
    std::string m_buffer;                // what is not parsed yet
    std::size_t m_head_size = 0;         // of all heads so far
    std::optional<HttpAnswer> m_answer;  // once the head is read
    std::size_t m_body_size = 0;
    bool m_spent = false;
};

// Retry-After as a whole number of seconds (RFC 9110 section 10.2.3); absent if it is longer than a
// day, or a date: a node that asks may not know the date.
std::optional<std::uint32_t> retry_after_of(const HttpAnswer& answer);

}  // namespace fortros
