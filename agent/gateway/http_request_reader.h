// Takes whole HTTP/1.1 requests out of a stream of bytes, by Beast's parser, and says why when it
// can't. It touches no socket. Included by http_server.cc alone: it costs half a minute to compile.
#pragma once

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cstring>
#include <optional>
#include <string>
#include <variant>

#include "base/secret.h"
#include "base/text.h"
#include "gateway/exchange.h"

namespace fortros::gateway {

namespace http = boost::beast::http;

class HttpRequestReader {
public:
    struct NeedMore {};
    struct Whole {
        Request request;  // without what only the connection knows
        bool keep_alive = true;
    };
    // What follows can't be told apart from what came: the connection must end.
    struct Refused {
        int status = 400;
        std::string why{};
    };
    using Outcome = std::variant<NeedMore, Whole, Refused>;

    HttpRequestReader(std::size_t head_limit, std::size_t body_limit)
        : m_head_limit(head_limit), m_body_limit(body_limit) {}
    HttpRequestReader(const HttpRequestReader&) = delete;
    HttpRequestReader& operator=(const HttpRequestReader&) = delete;
    ~HttpRequestReader() { wipe(m_in.data(), m_in.size()); }

    void append(ByteView bytes) { m_in.append(as_text(bytes)); }

    // How far the next request has come.
    bool has_begun() const { return m_parser.has_value() || !m_in.empty(); }
    bool has_head() const { return m_parser && m_parser->is_header_done(); }

    // The next request, once all of it was appended.
    Outcome next() {
        if (m_in.empty() && !m_parser) return NeedMore{};
        if (!m_parser) begin();
        // The parser stops once at the end of the head, and takes nothing of a part of a head.
        while (!m_parser->is_done()) {
            if (m_in.empty()) return NeedMore{};
            const bool had_head = m_parser->is_header_done();
            boost::system::error_code error;
            consume(m_parser->put(boost::asio::buffer(m_in), error));
            if (error == http::error::need_more) return NeedMore{};
            if (error) return refusal_for(error);
            if (!had_head && m_parser->is_header_done())
                if (auto refused = refusal_for_head()) return std::move(*refused);
        }
        return take();
    }

private:
    void begin() {
        m_parser.emplace();
        m_parser->header_limit(static_cast<std::uint32_t>(m_head_limit));
        m_parser->body_limit(m_body_limit);
    }

    // An invite may have been in these bytes; an idle connection keeps no buffer.
    void consume(std::size_t size) {
        const std::size_t rest = m_in.size() - size;
        std::memmove(m_in.data(), m_in.data() + size, rest);
        wipe(m_in.data() + rest, size);
        m_in.resize(rest);
        if (m_in.empty()) m_in = {};
    }

    static Refused refusal_for(const boost::system::error_code& error) {
        if (error == http::error::body_limit) return {413, "the body is too large"};
        if (error == http::error::header_limit) return {431, "the head is too large"};
        return {400, "this is not HTTP/1.1: " + error.message()};
    }

    std::optional<Refused> refusal_for_head() const {
        const auto& head = m_parser->get();
        if (head.version() != 11) return Refused{505, "only HTTP/1.1 is spoken here"};
        if (head.count(http::field::host) != 1) return Refused{400, "one Host is needed"};
        // One way to say how long a body is leaves nothing to disagree about.
        if (head.count(http::field::transfer_encoding) != 0)
            return Refused{411, "Content-Length is needed, Transfer-Encoding is not understood"};
        if (head.count(http::field::content_encoding) != 0)
            return Refused{415, "encoded bodies are not understood"};
        return std::nullopt;
    }

    Whole take() {
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

    std::size_t m_head_limit;
    std::size_t m_body_limit;
    std::optional<http::request_parser<http::string_body>> m_parser{};  // while one is being read
    std::string m_in{};  // appended and not parsed yet
};

}  // namespace fortros::gateway
