#include "core/http.h"

#include <algorithm>

#include "base/text.h"

namespace fortros {

static constexpr std::size_t headers_limit = 64;
static constexpr std::uint32_t longest_retry_after = 86400;
static constexpr std::string_view line_end = "\r\n";

static bool is_control(char c) { return (c >= 0 && c < ' ' && c != '\t') || c == 0x7f; }

static bool has_control(std::string_view text) { return std::ranges::any_of(text, is_control); }

// RFC 9110 section 5.6.2.
static bool is_token(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               std::string_view("!#$%&'*+-.^_`|~").contains(c);
    });
}

static std::unexpected<Error> bad(std::string_view why) {
    return fail(ErrorCode::InvalidData, std::string("not a usable HTTP answer: ").append(why));
}

SecretBytes serialize(const HttpRequest& request) {
    ASSERT(is_token(request.method));
    ASSERT(request.target.starts_with('/'));
    std::string head = request.method + " " + request.target + " HTTP/1.1\r\n";
    const auto add = [&head](std::string_view name, std::string_view value) {
        ASSERT(is_token(name) && !has_control(value));
        head.append(name).append(": ").append(value).append(line_end);
    };
    ASSERT(!has_control(request.target) && !request.target.contains(' '));
    add("Host", request.host);
    for (const auto& [name, value] : request.headers) add(name, value);
    add("Content-Length", std::to_string(request.body.size()));
    add("Connection", "close");
    head += line_end;

    SecretBytes bytes(head.size() + request.body.size());
    const auto body = std::ranges::copy(as_bytes(head), bytes.writable().begin()).out;
    std::ranges::copy(request.body.view(), body);
    return bytes;
}

const std::string* HttpAnswer::header(std::string_view lower_case_name) const {
    const std::string* found = nullptr;
    for (const auto& [name, value] : headers) {
        if (name != lower_case_name) continue;
        if (found != nullptr) return nullptr;
        found = &value;
    }
    return found;
}

// "HTTP/1.1 200 OK" (RFC 9112 section 4).
static Result<int> parse_status_line(std::string_view line) {
    static constexpr std::string_view version = "HTTP/1.1 ";
    if (has_control(line)) return bad("a control character in the status line");
    if (!line.starts_with(version)) return bad("it does not begin with HTTP/1.1");
    line.remove_prefix(version.size());
    const auto status = parse_number<unsigned>(line.substr(0, 3));
    if (!status || *status < 100 || *status > 599 || line.size() < 4 || line[3] != ' ')
        return bad("a status that is none");
    return static_cast<int>(*status);
}

static Result<std::pair<std::string, std::string>> parse_header(std::string_view line) {
    const auto colon = line.find(':');
    if (colon == std::string_view::npos) return bad("a header without a colon");
    // Blanks before the colon or at the head of the line (folding) are no part of a token.
    const std::string_view name = line.substr(0, colon);
    if (!is_token(name)) return bad("a header's name that is none");
    if (has_control(line)) return bad("a control character in a header");
    return std::pair(to_lower(name), std::string(trim(line.substr(colon + 1))));
}

static bool has_header(const HttpAnswer& answer, std::string_view name) {
    return std::ranges::any_of(answer.headers,
                               [&](const auto& header) { return header.first == name; });
}

static Result<std::size_t> body_size_of(const HttpAnswer& answer) {
    static constexpr std::string_view length = "content-length";
    if (has_header(answer, "transfer-encoding")) return bad("a transfer encoding");
    const bool has_no_body = answer.status < 200 || answer.status == 204 || answer.status == 304;
    if (has_no_body && !has_header(answer, length)) return 0;
    const std::string* text = answer.header(length);
    if (text == nullptr) return bad("not exactly one Content-Length");
    const auto size = parse_number<std::size_t>(*text);
    if (!size || std::to_string(*size) != *text) return bad("a Content-Length that is none");
    if (*size > http_answer_limit) return bad("a body of more than 256 KiB");
    if (has_no_body && *size > 0) return bad("a body where there can't be one");
    return *size;
}

// Without the empty line that ends it. An interim answer leaves m_answer empty.
Status HttpAnswerParser::parse_head(std::string_view head) {
    const auto next_line = [&head] {
        const auto line = head.substr(0, head.find(line_end));
        head.remove_prefix(std::min(head.size(), line.size() + line_end.size()));
        return line;
    };
    HttpAnswer answer;
    answer.status = TRY(parse_status_line(next_line()));
    while (!head.empty()) {
        if (answer.headers.size() == headers_limit) return bad("more than 64 headers");
        answer.headers.push_back(TRY(parse_header(next_line())));
    }
    if (has_header(answer, "content-encoding")) {
        const auto* encoding = answer.header("content-encoding");
        if (m_accepted != Encoding::Gzip || encoding == nullptr || *encoding != "gzip")
            return bad("a content encoding");
    }
    m_body_size = TRY(body_size_of(answer));
    if (answer.status == 101) return bad("it switches to another protocol");
    if (answer.status >= 200) m_answer = std::move(answer);
    return {};
}

Result<std::optional<HttpAnswer>> HttpAnswerParser::feed(ByteView bytes) {
    static constexpr std::string_view head_end = "\r\n\r\n";
    if (bytes.empty()) return std::nullopt;
    if (std::exchange(m_spent, true)) return bad("bytes after its end");
    if (m_buffer.size() + bytes.size() > http_head_limit + http_answer_limit)
        return bad("larger than 264 KiB");
    m_buffer += as_text(bytes);
    while (!m_answer) {
        const auto size = m_buffer.find(head_end);
        const bool complete = size != std::string::npos;
        if (m_head_size + (complete ? size : m_buffer.size()) > http_head_limit)
            return bad("a head of more than 8 KiB");
        if (!complete) {
            m_spent = false;
            return std::nullopt;
        }
        TRY(parse_head(std::string_view(m_buffer).substr(0, size)));
        m_head_size += size + head_end.size();
        m_buffer.erase(0, size + head_end.size());
    }
    if (m_buffer.size() > m_body_size) return bad("bytes after its end");
    if (m_buffer.size() < m_body_size) {
        m_spent = false;
        return std::nullopt;
    }
    m_answer->body = std::move(m_buffer);
    return std::exchange(m_answer, std::nullopt);
}

std::optional<std::uint32_t> retry_after_of(const HttpAnswer& answer) {
    const std::string* text = answer.header("retry-after");
    if (text == nullptr) return std::nullopt;
    const auto seconds = parse_number<std::uint32_t>(*text);
    return seconds && *seconds <= longest_retry_after ? seconds : std::nullopt;
}

}  // namespace fortros
