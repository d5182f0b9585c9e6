#include "base/bytes.h"

#include <doctest/doctest.h>

using namespace fortros;

// Attestations and the remembered state are laid out with this: the order is part of the protocol.
TEST_CASE("fields are written and read big-endian") {
    ByteWriter writer;
    writer.u8(0x01).u16(0x0203).u32(0x04050607).u64(0x08090a0b0c0d0e0f).bytes(Bytes{0xff});
    writer.text("ab");
    CHECK(writer.view() ==
          Bytes{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0xff, 'a', 'b'});
    ByteReader reader(writer.view());
    CHECK(reader.u8() == 0x01);
    CHECK(reader.u16() == 0x0203);
    CHECK(reader.u32() == 0x04050607);
    CHECK(reader.u64() == 0x08090a0b0c0d0e0f);
    CHECK(reader.array<1>() == ByteArray<1>{0xff});
    CHECK(as_text(reader.take(2)) == "ab");
    CHECK(reader.ok());
    CHECK(reader.left() == 0);
    CHECK(writer.take().size() == 18);
}

// A truncated message must be an error once, whatever is read after its end, and never a crash.
TEST_CASE("after a short read everything reads as zero") {
    const Bytes bytes{1, 2, 3};
    ByteReader reader(bytes);
    CHECK(reader.u16() == 0x0102);
    CHECK(reader.u16() == 0);
    CHECK_FALSE(reader.ok());
    CHECK(reader.left() == 0);
    CHECK(reader.u8() == 0);
    CHECK(reader.take(1).empty());
    CHECK(reader.array<2>() == ByteArray<2>{});
    CHECK_FALSE(reader.ok());
}

// A length from outside may be anything up to the largest number there is.
TEST_CASE("a length beyond the end gives nothing") {
    const Bytes bytes{1, 2, 3};
    ByteReader reader(bytes);
    CHECK(reader.take(SIZE_MAX).empty());
    CHECK_FALSE(reader.ok());
    ByteReader empty(ByteView{});
    CHECK(empty.take(0).empty());
    CHECK(empty.ok());
    CHECK(empty.u8() == 0);
    CHECK_FALSE(empty.ok());
}

// Proofs are compared with this: a prefix that counts as equal would be a proof of anything.
TEST_CASE("equal in constant time is equal") {
    const Bytes a{1, 2, 3};
    CHECK(equal_in_constant_time(a, Bytes{1, 2, 3}));
    CHECK_FALSE(equal_in_constant_time(a, Bytes{1, 2, 4}));
    CHECK_FALSE(equal_in_constant_time(a, Bytes{0x81, 2, 3}));
    CHECK_FALSE(equal_in_constant_time(a, Bytes{1, 2}));
    CHECK_FALSE(equal_in_constant_time(Bytes{1, 2}, a));
    CHECK_FALSE(equal_in_constant_time({}, a));
    CHECK_FALSE(equal_in_constant_time(a, {}));
    CHECK(equal_in_constant_time({}, {}));
}

// Text and bytes are two views of the same memory, for every byte.
TEST_CASE("text and bytes are the same") {
    CHECK(as_text(as_bytes("a\xff")) == "a\xff");
    CHECK(as_bytes("").empty());
}
