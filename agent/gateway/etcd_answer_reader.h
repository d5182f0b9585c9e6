// Takes one HTTP/1.1 answer out of a stream of bytes, whole or as an endless body of lines: its head
// by Beast's parser, its body by its length or in chunks, with neither extensions nor trailers.
// Everything is bounded; it touches no socket, and no exception leaves it.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace fortros::gateway {

class EtcdAnswerReader {
public:
    EtcdAnswerReader();
    ~EtcdAnswerReader();
    EtcdAnswerReader(const EtcdAnswerReader&) = delete;
    EtcdAnswerReader& operator=(const EtcdAnswerReader&) = delete;

    // InvalidData for what is not HTTP, or has a body or a line above the limit.
    Status feed(ByteView bytes);

    // 0 until the head is there.
    int status() const;
    bool is_whole() const;
    // Whether the connection can be used again, once the answer is whole.
    bool keeps_alive() const;
    // The body as far as it has come, without the lines that were taken.
    const std::string& body() const;
    // The next whole line of the body, without its end.
    std::optional<std::string> take_line();

    struct Implementation;

private:
    std::unique_ptr<Implementation> m_implementation;
};

}  // namespace fortros::gateway
