#include "gateway/etcd_answer_reader.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <charconv>

#include "gateway/etcd_messages.h"

namespace fortros::gateway {

namespace http = boost::beast::http;

static constexpr std::uint32_t head_limit = 8 * 1024;
static constexpr std::size_t chunk_digits_limit = 8;
static constexpr std::string_view line_end = "\r\n";

// The head is Beast's to parse. The body is not: an assertion of Beast's ends the program on what may
// follow the last chunk (1.83), and etcd sends nothing there.
struct EtcdAnswerReader::Implementation {
    enum class Part { Head, Body, ChunkSize, Chunk, ChunkEnd, LastEnd, Nothing };

    http::response_parser<http::empty_body> head;
    std::string in{};  // fed and not taken yet
    std::string body{};
    Part part = Part::Head;
    std::uint64_t left = 0;  // of a chunk, or of the body

    // Takes the next part; false if more is needed for it.
    Result<bool> take();
    Result<bool> take_head();
    Result<bool> take_chunk_size();
    bool take_bytes(Part next);
    Result<bool> take_line_end(Part next);
};

using Reader = EtcdAnswerReader::Implementation;

static std::unexpected<Error> not_http(std::string_view why) {
    return fail(ErrorCode::InvalidData, "this is no HTTP answer", std::string(why));
}

Result<bool> Reader::take() {
    switch (part) {
        case Part::Head: return take_head();
        case Part::Body: return take_bytes(Part::Nothing);
        case Part::ChunkSize: return take_chunk_size();
        case Part::Chunk: return take_bytes(Part::ChunkEnd);
        case Part::ChunkEnd: return take_line_end(Part::ChunkSize);
        case Part::LastEnd: return take_line_end(Part::Nothing);
        case Part::Nothing: break;
    }
    if (!in.empty()) return not_http("something follows it");
    return false;
}

// The parser takes the head whole, and stops behind it.
Result<bool> Reader::take_head() {
    if (in.empty()) return false;
    boost::system::error_code error;
    in.erase(0, head.put(boost::asio::buffer(in), error));
    if (error == http::error::need_more) return false;
    if (error) return not_http(error.message());
    if (!head.is_header_done()) return false;
    const auto length = head.content_length();
    if (head.chunked()) {
        part = Part::ChunkSize;
    } else if (length) {
        if (*length > etcd_answer_limit) return not_http("it is too large");
        left = *length;
        part = Part::Body;
    } else {
        return not_http("it does not say where it ends");
    }
    return true;
}

Result<bool> Reader::take_chunk_size() {
    const auto end = in.find(line_end);
    if (end == std::string::npos && in.size() <= chunk_digits_limit + 1) return false;
    const auto* first = in.data();
    const auto* last = first + std::min(end, in.size());
    if (end > chunk_digits_limit || end == 0) return not_http("a chunk has no size");
    const auto [parsed, error] = std::from_chars(first, last, left, 16);
    if (error != std::errc{} || parsed != last) return not_http("a chunk has no size");
    in.erase(0, end + line_end.size());
    part = left == 0 ? Part::LastEnd : Part::Chunk;
    return true;
}

bool Reader::take_bytes(Part next) {
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(left, in.size()));
    body.append(in, 0, size);
    in.erase(0, size);
    left -= size;
    if (left != 0) return false;
    part = next;
    return true;
}

Result<bool> Reader::take_line_end(Part next) {
    if (in.size() < line_end.size()) return false;
    if (!in.starts_with(line_end)) return not_http("a chunk does not end where it should");
    in.erase(0, line_end.size());
    part = next;
    return true;
}

// --- the reader ---

EtcdAnswerReader::EtcdAnswerReader() : m_implementation(std::make_unique<Implementation>()) {
    m_implementation->head.header_limit(head_limit);
    m_implementation->head.body_limit(boost::none);  // the body is not its business
}

EtcdAnswerReader::~EtcdAnswerReader() = default;

Status EtcdAnswerReader::feed(ByteView bytes) {
    Reader& reader = *m_implementation;
    reader.in.append(as_text(bytes));
    while (TRY(reader.take()))
        if (reader.body.size() > etcd_answer_limit) return not_http("it is too large");
    if (reader.body.size() > etcd_answer_limit) return not_http("it is too large");
    return {};
}

int EtcdAnswerReader::status() const {
    const auto& head = m_implementation->head;
    return head.is_header_done() ? static_cast<int>(head.get().result_int()) : 0;
}

bool EtcdAnswerReader::is_whole() const { return m_implementation->part == Reader::Part::Nothing; }

bool EtcdAnswerReader::keeps_alive() const { return m_implementation->head.keep_alive(); }
const std::string& EtcdAnswerReader::body() const { return m_implementation->body; }

std::optional<std::string> EtcdAnswerReader::take_line() {
    std::string& body = m_implementation->body;
    const auto end = body.find('\n');
    if (end == std::string::npos) return std::nullopt;
    std::string line = body.substr(0, end);
    body.erase(0, end + 1);
    return line;
}

}  // namespace fortros::gateway
