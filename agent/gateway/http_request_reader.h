// Takes whole HTTP/1.1 requests out of a stream of bytes, and says why when it can't. It touches no
// socket, and shows nobody that it is Beast which parses.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "base/bytes.h"
#include "gateway/exchange.h"

namespace fortros::gateway {

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

    // Bounds of a head and of a body, in bytes.
    HttpRequestReader(std::size_t head_limit, std::size_t body_limit);
    HttpRequestReader(const HttpRequestReader&) = delete;
    HttpRequestReader& operator=(const HttpRequestReader&) = delete;
    ~HttpRequestReader();

    void append(ByteView bytes);

    // How far the next request has come.
    bool has_begun() const { return m_parser || !m_in.empty(); }
    bool has_head() const { return m_parser != nullptr; }

    // The next request, once all of it was appended.
    Outcome next();

private:
    struct Parser;

    void consume(std::size_t size);
    Outcome parse();
    std::optional<std::size_t> find_head();
    std::optional<Refused> parse_head(std::size_t size);
    Whole take();

    std::size_t m_head_limit;
    std::size_t m_body_limit;
    std::unique_ptr<Parser> m_parser;  // from the end of a head to the end of its request
    std::string m_in{};                // appended and not parsed yet
    std::size_t m_searched = 0;        // bytes of it where no head ends
};

// What a status is called (RFC 9110, section 15).
std::string reason_of(int status);

}  // namespace fortros::gateway
