#include "gateway/http_request_reader.h"

#include <doctest/doctest.h>

#include <string_view>
#include <vector>

#include "base/text.h"

using namespace fortros;
using namespace fortros::gateway;

using NeedMore = HttpRequestReader::NeedMore;
using Refused = HttpRequestReader::Refused;
using Whole = HttpRequestReader::Whole;

static constexpr std::size_t head_limit = 100;
static constexpr std::size_t body_limit = 10;

// The verdict on a stream that comes in pieces of a size, and 0 while it is none; 200 for a request.
static int verdict(std::string_view stream, std::size_t step) {
    HttpRequestReader reader(head_limit, body_limit);
    while (!stream.empty()) {
        reader.append(as_bytes(stream.substr(0, step)));
        stream.remove_prefix(std::min(step, stream.size()));
        const auto outcome = reader.next();
        if (const auto* refused = std::get_if<Refused>(&outcome)) return refused->status;
        if (std::holds_alternative<Whole>(outcome)) return 200;
    }
    return 0;
}

// A head with a filler that makes it of this size.
static std::string head_of(std::size_t size) {
    const std::string begin = "GET / HTTP/1.1\r\nHost: gateway\r\nFill: ";
    const std::string end = "\r\n\r\n";
    return begin + std::string(size - begin.size() - end.size(), 'x') + end;
}

static constexpr std::size_t steps[] = {1, 2, 3, 7, 96, 97, 98, 99, 100, 101, 1000};

// One and the same request would be taken or refused by the mood of the network.
TEST_CASE("http request reader: how TCP cuts a head does not change what comes of it") {
    for (const std::size_t step : steps) {
        CAPTURE(step);
        CHECK(verdict(head_of(head_limit - 1), step) == 200);
        CHECK(verdict(head_of(head_limit), step) == 200);
        CHECK(verdict(head_of(head_limit + 1), step) == 431);
        CHECK(verdict(head_of(head_limit + 4), step) == 431);
        CHECK(verdict(head_of(head_limit * 3), step) == 431);
        CHECK(verdict("what is this\r\n\r\n", step) == 400);
        CHECK(verdict("GET / HTTP/1.1\r\n\r\n", step) == 400);  // no Host
        CHECK(verdict("GET / HTTP/1.0\r\nHost: gateway\r\n\r\n", step) == 505);
    }
}

// A client that never ends its head would fill the gateway's memory.
TEST_CASE("http request reader: a head without end is refused as soon as it is too large") {
    for (const std::size_t step : steps) {
        CAPTURE(step);
        CHECK(verdict(std::string(head_limit, 'x'), step) == 0);
        CHECK(verdict(std::string(head_limit + 1, 'x'), step) == 431);
    }
}

// The second of two requests in one piece would be lost, or be read as the first one's body.
TEST_CASE("http request reader: two requests in one piece are two requests") {
    HttpRequestReader reader(head_limit, body_limit);
    reader.append(
        as_bytes("POST /a HTTP/1.1\r\nHost: g\r\nContent-Length: 4\r\n\r\n\r\n\r\n"
                 "GET /b HTTP/1.1\r\nHost: g\r\n\r\nGET"));
    auto first = reader.next();
    REQUIRE(std::holds_alternative<Whole>(first));
    CHECK(std::get<Whole>(first).request.target == "/a");
    CHECK(std::get<Whole>(first).request.body.text() == "\r\n\r\n");
    auto second = reader.next();
    REQUIRE(std::holds_alternative<Whole>(second));
    CHECK(std::get<Whole>(second).request.target == "/b");
    CHECK(std::holds_alternative<NeedMore>(reader.next()));
    CHECK(reader.has_begun());
    CHECK(!reader.has_head());
}

// An invite may be in a body: more of it than is allowed is not kept.
TEST_CASE("http request reader: a body over the limit is refused by its head") {
    for (const std::size_t step : steps) {
        CAPTURE(step);
        CHECK(verdict("POST / HTTP/1.1\r\nHost: g\r\nContent-Length: 10\r\n\r\n0123456789", step) ==
              200);
        CHECK(verdict("POST / HTTP/1.1\r\nHost: g\r\nContent-Length: 11\r\n\r\n", step) == 413);
    }
}
