// The only file with Boost in it, and with exceptions: none leaves it.
#include "gateway/http_request_reader.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cstring>

#include "base/secret.h"
#include "base/text.h"

namespace fortros::gateway {

namespace http = boost::beast::http;
using Refused = HttpRequestReader::Refused;

struct HttpRequestReader::Parser : http::request_parser<http::string_body> {};

HttpRequestReader::HttpRequestReader(std::size_t head_limit, std::size_t body_limit)
    : m_head_limit(head_limit), m_body_limit(body_limit) {}

HttpRequestReader::~HttpRequestReader() { wipe(m_in.data(), m_in.size()); }

void HttpRequestReader::append(ByteView bytes) { m_in.append(as_text(bytes)); }

static Refused refusal_for(const boost::system::error_code& error) {
    if (error == http::error::body_limit) return {413, "the body is too large"};
    return {400, "this is not HTTP/1.1: " + error.message()};
}

static std::optional<Refused> refusal_for_head(const http::request<http::string_body>& head) {
    if (head.version() != 11) return Refused{505, "only HTTP/1.1 is spoken here"};
    if (head.count(http::field::host) != 1) return Refused{400, "one Host is needed"};
    // One way to say how long a body is leaves nothing to disagree about.
    if (head.count(http::field::transfer_encoding) != 0)
        return Refused{411, "Content-Length is needed, Transfer-Encoding is not understood"};
    if (head.count(http::field::content_encoding) != 0)
        return Refused{415, "encoded bodies are not understood"};
    return std::nullopt;
}

HttpRequestReader::Outcome HttpRequestReader::next() try {
    return parse();
} catch (const std::exception& error) {  // no memory
    return Refused{503, error.what()};
}

HttpRequestReader::Outcome HttpRequestReader::parse() {
    if (!m_parser) {
        const auto size = find_head();
        if (size.value_or(m_in.size()) > m_head_limit) return Refused{431, "the head is too large"};
        if (!size) return NeedMore{};
        if (auto refused = parse_head(*size)) return std::move(*refused);
    }
    while (!m_parser->is_done()) {
        if (m_in.empty()) return NeedMore{};
        boost::system::error_code error;
        consume(m_parser->put(boost::asio::buffer(m_in), error));
        if (error == http::error::need_more) return NeedMore{};
        if (error) return refusal_for(error);
    }
    return take();
}

// The size of the head that m_in begins with, once all of it is there.
std::optional<std::size_t> HttpRequestReader::find_head() {
    constexpr std::string_view end_of_head = "\r\n\r\n";
    const std::size_t end = m_in.find(end_of_head, m_searched);
    if (end != std::string::npos) return end + end_of_head.size();
    m_searched = m_in.size() - std::min(m_in.size(), end_of_head.size() - 1);
    return std::nullopt;
}

// The parser gets a head as a whole: of a part it says one thing or another by where TCP has cut it.
std::optional<Refused> HttpRequestReader::parse_head(std::size_t size) {
    m_parser = std::make_unique<Parser>();
    m_parser->header_limit(static_cast<std::uint32_t>(m_head_limit));
    m_parser->body_limit(m_body_limit);
    boost::system::error_code error;
    consume(m_parser->put(boost::asio::buffer(m_in.data(), size), error));
    m_searched = 0;
    if (error) return refusal_for(error);
    return refusal_for_head(m_parser->get());
}

// An invite may have been in these bytes; an idle connection keeps no buffer.
void HttpRequestReader::consume(std::size_t size) {
    const std::size_t rest = m_in.size() - size;
    std::memmove(m_in.data(), m_in.data() + size, rest);
    wipe(m_in.data() + rest, size);
    m_in.resize(rest);
    if (m_in.empty()) m_in.shrink_to_fit();
}

HttpRequestReader::Whole HttpRequestReader::take() {
    auto& message = m_parser->get();
    Whole whole{.request = {.method = std::string(message.method_string()),
                            .target = std::string(message.target()),
                            .body = SecretBytes(std::string_view(message.body()))},
                .keep_alive = message.keep_alive()};
    wipe(message.body().data(), message.body().size());
    for (const auto& field : message)
        whole.request.headers.emplace_back(to_lower(std::string_view(field.name_string())),
                                           std::string(field.value()));
    m_parser.reset();
    return whole;
}

std::string reason_of(int status) {
    return std::string(http::obsolete_reason(http::int_to_status(static_cast<unsigned>(status))));
}

}  // namespace fortros::gateway
