#include "core/http.h"

#include <doctest/doctest.h>

using namespace fortros;
using namespace std::literals;

// Feeds the whole text at once.
static Result<std::optional<HttpAnswer>> parse(std::string_view text) {
    HttpAnswerParser parser;
    return parser.feed(as_bytes(text));
}

static std::string error_of(std::string_view text) {
    const auto answer = parse(text);
    if (answer) return *answer ? "none" : "incomplete";
    CHECK(answer.error().code == ErrorCode::InvalidData);
    constexpr std::string_view prefix = "not a usable HTTP answer: ";
    CHECK(answer.error().text().starts_with(prefix));
    return answer.error().text().substr(prefix.size());
}

// An answer with `headers` (each with its CRLF) and the body "ok".
static std::string answer_with(std::string_view headers) {
    return "HTTP/1.1 200 OK\r\n" + std::string(headers) + "\r\nok";
}

// A gateway of any make must understand the request, and its body must arrive whole.
TEST_CASE("a request is written as RFC 9112 wants it") {
    HttpRequest request{.method = "POST",
                        .target = "/v1/join",
                        .host = "gw.example.org",
                        .headers = {{"Fortros-Node", "abc"}},
                        .body = SecretBytes("{\"a\":1}")};
    CHECK(serialize(request).text() ==
          "POST /v1/join HTTP/1.1\r\nHost: gw.example.org\r\nFortros-Node: abc\r\n"
          "Content-Length: 7\r\nConnection: close\r\n\r\n{\"a\":1}");
    request.body = {};
    CHECK(serialize(request).text().ends_with("Content-Length: 0\r\nConnection: close\r\n\r\n"));
}

// The whole join depends on it: status, headers and body, however TCP has cut them.
TEST_CASE("an answer is complete with its last byte, however it was cut") {
    const std::string text =
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nRETRY-After:\t 7 \r\nEmpty:\r\n\r\nhel\r\n";
    for (std::size_t step : {1UL, 2UL, 7UL, text.size()}) {
        CAPTURE(step);
        HttpAnswerParser parser;
        for (std::size_t i = 0; i < text.size(); i += step) {
            const auto answer = parser.feed(as_bytes(std::string_view(text).substr(i, step)));
            REQUIRE(answer);
            REQUIRE(answer->has_value() == (i + step >= text.size()));
            if (!*answer) continue;
            CHECK((*answer)->status == 200);
            CHECK((*answer)->body == "hel\r\n");
            CHECK(*(*answer)->header("retry-after") == "7");
            CHECK(*(*answer)->header("empty") == "");
            CHECK((*answer)->header("absent") == nullptr);
        }
    }
}

// A second answer on the connection would be played to the next request.
TEST_CASE("bytes after the answer are an error") {
    const std::string text = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    CHECK(error_of(text + "x") == "bytes after its end");
    CHECK(error_of(text + text) == "bytes after its end");
    HttpAnswerParser parser;
    CHECK(parser.feed(as_bytes(text))->has_value());
    CHECK_FALSE(parser.feed({})->has_value());
    CHECK_FALSE(parser.feed(as_bytes("x")));
    CHECK_FALSE(parser.feed(as_bytes(text)));
}

// After an error, what follows must not be taken for a fresh answer.
TEST_CASE("a parser that has failed stays failed") {
    HttpAnswerParser parser;
    CHECK_FALSE(parser.feed(as_bytes("SSH-2.0\r\n\r\n")));
    CHECK_FALSE(parser.feed(as_bytes("HTTP/1.1 204 No Content\r\n\r\n")));
}

// Two views of where a body ends are how answers are smuggled.
TEST_CASE("exactly one Content-Length says where the body ends") {
    CHECK(error_of(answer_with("Content-Length: 2\r\n")) == "none");
    CHECK(error_of(answer_with("")) == "not exactly one Content-Length");
    CHECK(error_of(answer_with("Content-Length: 2\r\nContent-Length: 2\r\n")) ==
          "not exactly one Content-Length");
    for (std::string_view length :
         {"", "-2", "+2", "02", "2,2", "2 2", "0x2", "2.0", "two", "18446744073709551618"}) {
        CAPTURE(length);
        CHECK(error_of(answer_with("Content-Length: " + std::string(length) + "\r\n")) ==
              "a Content-Length that is none");
    }
    CHECK(error_of(answer_with("Content-Length: 262145\r\n")) == "a body of more than 256 KiB");
    CHECK(error_of(answer_with("Content-Length: 262144\r\n")) == "incomplete");
    CHECK(error_of(answer_with("Transfer-Encoding: chunked\r\n")) == "a transfer encoding");
    CHECK(error_of(answer_with("Content-Length: 2\r\nTransfer-Encoding: identity\r\n")) ==
          "a transfer encoding");
    HttpAnswerParser takes_gzip(HttpAnswerParser::Encoding::Gzip);
    CHECK(takes_gzip
              .feed(as_bytes(
                  "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Encoding: gzip\r\n\r\nxy"))
              ->value()
              .body == "xy");
    CHECK(error_of(answer_with("Content-Length: 2\r\nContent-Encoding: gzip\r\n")) ==
          "a content encoding");
}

// A gateway that answers 204 must not leave the node waiting for a body.
TEST_CASE("some answers have no body") {
    CHECK(error_of("HTTP/1.1 204 No Content\r\n\r\n") == "none");
    CHECK(error_of("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n") == "none");
    CHECK(error_of("HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok") ==
          "a body where there can't be one");
    CHECK(error_of("HTTP/1.1 204 No Content\r\n\r\nok") == "bytes after its end");
    CHECK(error_of("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n") == "none");
}

// RFC 9110 lets any server say "100 Continue" first: taken for the answer, no join would end.
TEST_CASE("interim answers are skipped") {
    const auto answer = parse(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n"
        "\r\nHTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    REQUIRE(answer);
    REQUIRE(*answer);
    CHECK((*answer)->status == 403);
    CHECK((*answer)->body == "no");
    CHECK((*answer)->header("link") == nullptr);
    CHECK(error_of("HTTP/1.1 101 Switching Protocols\r\n\r\n") ==
          "it switches to another protocol");
    CHECK(error_of("HTTP/1.1 100 Continue\r\nContent-Length: 2\r\n\r\nok") ==
          "a body where there can't be one");
    std::string endless;
    while (endless.size() < http_head_limit) endless += "HTTP/1.1 100 Continue\r\n\r\n";
    CHECK(error_of(endless) == "a head of more than 8 KiB");
}

// What two readers of HTTP could read differently is not read at all.
TEST_CASE("what is not exactly HTTP/1.1 is refused") {
    for (std::string_view line :
         {"HTTP/1.0 200 OK", "HTTP/2 200", "http/1.1 200 OK", "HTTP/1.1  200 OK", "HTTP/1.1 200",
          "HTTP/1.1 2000 OK", "HTTP/1.1 20 OK", "HTTP/1.1 +20 OK", "HTTP/1.1 099 OK",
          "HTTP/1.1 600 OK", "HTTP/1.1 2x0 OK", "HTTP/1.1\t200 OK", "HTTP/1.1 200 O\x01K",
          "HTTP/1.1 200 O\rK", "HTTP/1.1 200 O\nK", " HTTP/1.1 200 OK", ""}) {
        CAPTURE(line);
        const std::string error = error_of(std::string(line) + "\r\nContent-Length: 0\r\n\r\n");
        CHECK(error != "none");
        CHECK(error != "incomplete");
    }
    CHECK(error_of("HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n") == "none");
    for (std::string_view header :
         {"NoColon", ": no name", "Blank : x", "X: a\r\n folded", "X: a\r\n\tfolded", " X: a",
          "X: a\nY: b", "X: a\rY: b", "X: \x01", "X: \x7f", "X\xc3\xbc: a", "X(: a"}) {
        CAPTURE(header);
        const std::string error =
            error_of(answer_with("Content-Length: 2\r\n" + std::string(header) + "\r\n"));
        CHECK(error != "none");
        CHECK(error != "incomplete");
    }
    CHECK(error_of(answer_with("Content-Length: 2\r\nX: a\xc3\xbc\tb\r\n")) == "none");
    CHECK(error_of("HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n"sv) ==
          "a control character in a header");
}

// Whoever answers could otherwise fill the memory of an initramfs.
TEST_CASE("the head and the whole are bounded") {
    const auto padded = [](std::size_t size) {
        std::string head = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: ";
        head += std::string(size - head.size(), 'x');
        return head + "\r\n\r\nok";
    };
    CHECK(error_of(padded(http_head_limit)) == "none");
    CHECK(error_of(padded(http_head_limit + 1)) == "a head of more than 8 KiB");
    CHECK(error_of(std::string(http_head_limit, 'x')) == "incomplete");
    CHECK(error_of(std::string(http_head_limit + 1, 'x')) == "a head of more than 8 KiB");
    CHECK(error_of(std::string(http_head_limit + http_answer_limit + 1, 'x')) ==
          "larger than 264 KiB");
    std::string many;
    for (int i = 0; i < 63; ++i) many += "X: y\r\n";
    CHECK(error_of(answer_with("Content-Length: 2\r\n" + many)) == "none");
    CHECK(error_of(answer_with("Content-Length: 2\r\nX: y\r\n" + many)) == "more than 64 headers");
}

// A second Fortros-Answer or Retry-After could be the one that was not checked.
TEST_CASE("a header that appears twice is as good as absent") {
    HttpAnswer answer{.status = 503, .headers = {{"retry-after", "5"}}, .body = {}};
    CHECK(retry_after_of(answer) == 5);
    answer.headers.emplace_back("retry-after", "5");
    CHECK(answer.header("retry-after") == nullptr);
    CHECK_FALSE(retry_after_of(answer));
}

// A node that waits for what it has misread comes back never, or at once with all the others.
TEST_CASE("Retry-After is a number of seconds up to a day") {
    const auto of = [](std::string value) {
        return retry_after_of({.status = 503, .headers = {{"retry-after", value}}, .body = {}});
    };
    CHECK(of("0") == 0);
    CHECK(of("86400") == 86400);
    for (auto value :
         {"86401", "-1", "+1", "1.5", "", "4294967297", "5s", "Sun, 22 Nov 2026 10:00:00 GMT"}) {
        CAPTURE(value);
        CHECK_FALSE(of(value));
    }
    CHECK_FALSE(retry_after_of({}));
}
