#include "gateway/tls_record.h"

#include <doctest/doctest.h>

#include <vector>

using namespace fortros;
using namespace fortros::gateway;

static std::size_t size_of(std::vector<std::uint8_t> beginning) {
    return first_record_size(beginning);
}

// A client would get its turn before its first message is whole, and hold it while the rest comes.
TEST_CASE("tls record: a handshake's first record is waited for, its head first") {
    CHECK(size_of({}) == 5);
    CHECK(size_of({22}) == 5);
    CHECK(size_of({22, 3, 1, 0}) == 5);
    CHECK(size_of({22, 3, 1, 0, 222}) == 227);
    CHECK(size_of({22, 3, 1, 1, 0}) == 261);
    CHECK(size_of({22, 3, 1, 1, 0, 1, 2, 3}) == 261);  // whatever follows
}

// A client that can be refused at once would be waited for, up to 64 KiB.
TEST_CASE("tls record: what no handshake begins with is not waited for") {
    CHECK(size_of({'G'}) == 1);
    CHECK(size_of({'G', 'E', 'T', ' ', '/'}) == 5);
    CHECK(size_of({21, 3, 1, 0, 2}) == 5);
    CHECK(size_of({22, 3, 1, 0, 0}) == 5);  // empty
    CHECK(size_of({22, 3, 1, 0x40, 0}) == 5 + tls_record_limit);
    CHECK(size_of({22, 3, 1, 0x40, 1}) == 5);  // longer than any may be
    CHECK(size_of({22, 3, 1, 0xff, 0xff}) == 5);
}
