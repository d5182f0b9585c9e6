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
    SecretBytes body{};  // may hold an invite
};

// The bytes to send; they hold the body, so they are a secret too.
SecretBytes serialize(const HttpRequest& request);

struct HttpAnswer {
    int status = 0;
    std::vector<std::pair<std::string, std::string>> headers{};  // names in lower case
    std::string body;

    const std::string* header(std::string_view lower_case_name) const;
};

// Eats bytes until one whole answer is there.
class HttpAnswerParser {
public:
    // The answer once it is complete, nothing while more is needed, InvalidData for what is not
    // HTTP, too large, or more than one answer.
    Result<std::optional<HttpAnswer>> feed(ByteView bytes);

private:
    Status parse_head(std::string_view head);

    std::string m_buffer;
    std::optional<HttpAnswer> m_answer;  // once the head is read
    std::size_t m_body_size = 0;
};

// Retry-After as a whole number of seconds (RFC 9110 section 10.2.3), at most a day; the date form
// is not taken: a node that asks may not know the date.
std::optional<std::uint32_t> retry_after_of(const HttpAnswer& answer);

}  // namespace fortros
