#include "base/secret.h"

#include <doctest/doctest.h>

#include <concepts>
#include <string>
#include <type_traits>

using namespace fortros;

// A copy that nobody remembers is a key that stays in memory, or in a core dump.
TEST_CASE("secrets are not copied, compared or printed") {
    static_assert(!std::is_copy_constructible_v<Secret<32>>);
    static_assert(!std::is_copy_assignable_v<Secret<32>>);
    static_assert(!std::is_copy_constructible_v<SecretBytes>);
    static_assert(!std::is_copy_assignable_v<SecretBytes>);
    static_assert(!std::equality_comparable<Secret<32>>);
    static_assert(!std::equality_comparable<SecretBytes>);
    static_assert(!std::is_convertible_v<SecretBytes, std::string>);
    static_assert(!std::is_convertible_v<std::string_view, SecretBytes>);
}

// What a key has moved out of must not keep it.
TEST_CASE("a moved secret leaves zeros behind") {
    const ByteArray<4> bytes{1, 2, 3, 4};
    const ByteArray<4> zeros{};
    Secret<4> first(bytes);
    Secret<4> second(std::move(first));
    CHECK(std::ranges::equal(first.view(), zeros));  // NOLINT(bugprone-use-after-move)
    CHECK(std::ranges::equal(second.view(), bytes));
    Secret<4> third;
    third = std::move(second);
    CHECK(std::ranges::equal(second.view(), zeros));  // NOLINT(bugprone-use-after-move)
    CHECK(std::ranges::equal(third.view(), bytes));
    Secret<4>& same = third;
    third = std::move(same);
    CHECK(std::ranges::equal(third.view(), bytes));
    CHECK(std::ranges::equal(third.duplicate().view(), bytes));
    third.clear();
    CHECK(std::ranges::equal(third.view(), zeros));
}

// The stack below a function that held a key is read by the next one that forgets to initialise.
TEST_CASE("a secret that ends is wiped") {
    alignas(Secret<8>) std::uint8_t memory[sizeof(Secret<8>)] = {};
    auto* secret = new (memory) Secret<8>(ByteArray<8>{1, 2, 3, 4, 5, 6, 7, 8});
    CHECK(memory[7] == 8);
    secret->~Secret<8>();
    for (std::uint8_t byte : memory) CHECK(byte == 0);
}

// An invite must not stay behind where it was read.
TEST_CASE("secret bytes move as a whole and can be cleared") {
    SecretBytes first("invite");
    CHECK(first.text() == "invite");
    CHECK(first.size() == 6);
    SecretBytes second(std::move(first));
    CHECK(first.empty());  // NOLINT(bugprone-use-after-move)
    CHECK(first.view().empty());
    CHECK(second.text() == "invite");
    SecretBytes third("other");
    third = std::move(second);
    CHECK(second.empty());  // NOLINT(bugprone-use-after-move)
    CHECK(third.text() == "invite");
    SecretBytes& same = third;
    third = std::move(same);
    CHECK(third.text() == "invite");
    third.writable()[0] = 'I';
    CHECK(third.text() == "Invite");
    third.clear();
    CHECK(third.empty());
    CHECK(third.text() == "");
    CHECK(SecretBytes(std::size_t{3}).text() == std::string(3, '\0'));
    CHECK(SecretBytes().empty());
    CHECK(SecretBytes(ByteView{}).empty());
}
