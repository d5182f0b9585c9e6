#include "core/org_document.h"

#include <doctest/doctest.h>

#include "fakes/org.h"
#include "vectors.h"

using namespace fortros;
using fakes::FakeSigner;

static const WallTime now{std::chrono::seconds{1'800'000'000}};

static PublicKey key_of(unsigned seed) {
    SeededRandom random(seed);
    return *crypto::public_key_of(crypto::make_private_key(random));
}

static OrgDocument some_document() {
    return {.prefix = *OrgPrefix::parse("fd12:3456:789a::/48"),
            .serial = 7,
            .signers_since = now - one_day,
            .sources = SourceSet::only(Source::Cached),
            .revocation_number = 3,
            .domain = "example.org",
            .revoked = {key_of(1), key_of(2)}};
}

// Why a document is not believed, or nothing.
static std::string why_not(const FakeSigner& signer, ByteView bytes, WallTime at = now) {
    const auto checked = check_org_document(bytes, {signer.signer()}, at);
    return checked ? "" : checked.error().text();
}

TEST_CASE("a signed org document checks and reads back") {
    const FakeSigner signer(now - one_day);
    OrgDocument document = some_document();
    SUBCASE("with everything") {}
    SUBCASE("with next to nothing") {
        document.sources.reset();
        document.domain.clear();
        document.revoked.clear();
    }
    SUBCASE("as large as one may be") {
        document.domain = std::string(63, 'a') + "." + std::string(63, 'b');
        document.revoked.assign(document_revoked_limit, key_of(1));
    }
    const auto checked = check_org_document(signer.sign(document), {signer.signer()}, now);
    REQUIRE_MESSAGE(checked, (checked ? "" : checked.error().text()));
    document.signer = signer.signer().id;
    CHECK(*checked == document);
}

// Gateways in other languages sign documents; nodes must read them as they were meant.
TEST_CASE("org documents are those of the published vectors") {
    const Json vectors = read_vectors("org_document.json");
    REQUIRE(vectors.array()->size() >= 3);
    for (const Json& vector : *vectors.array()) {
        Signer signer{.not_before = now, .not_after = WallTime::max()};
        std::ranges::copy(bytes_of(vector, "signer_id"), signer.id.begin());
        std::ranges::copy(bytes_of(vector, "signer_key"), signer.key.begin());
        const auto number = [&](std::string_view name) {
            return static_cast<std::uint64_t>(*vector.find(name)->number());
        };
        const auto document = check_org_document(bytes_of(vector, "document"), {signer}, now);
        REQUIRE_MESSAGE(document, (document ? "" : document.error().text()));
        CHECK(document->prefix.text() == text_of(vector, "prefix"));
        CHECK(document->serial == number("serial"));
        CHECK(document->signers_since == WallTime{std::chrono::seconds{number("signers_since")}});
        CHECK((document->sources ? document->sources->text() : "") == text_of(vector, "sources"));
        CHECK(document->revocation_number == number("revocation_number"));
        CHECK(document->domain == text_of(vector, "domain"));
        const auto& revoked = *vector.find("revoked")->array();
        REQUIRE(document->revoked.size() == revoked.size());
        for (std::size_t i = 0; i < revoked.size(); ++i)
            CHECK(document->revoked[i].base64() == *revoked[i].string());
    }
}

// Policy that anybody can write is no policy.
TEST_CASE("an org document that no signer in force has signed is untrusted") {
    const FakeSigner signer(now - one_day, now + one_day);
    const Bytes bytes = signer.sign(some_document());
    CHECK(why_not(signer, bytes).empty());
    CHECK(why_not(FakeSigner(), bytes).contains("unknown signer"));
    CHECK(why_not(signer, bytes, now - 2 * one_day).contains("not valid at this time"));
    CHECK(why_not(signer, bytes, now + 2 * one_day).contains("not valid at this time"));
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        Bytes changed = bytes;
        changed[i] ^= 1;
        CHECK_MESSAGE(!why_not(signer, changed).empty(), "byte ", i);
    }
}

// A thief of a signer's key, whom its successor has disowned, could otherwise disown the successor.
TEST_CASE("no signer disowns its successors") {
    OrgDocument document = some_document();
    const FakeSigner old(document.signers_since - std::chrono::seconds{1});
    CHECK(why_not(old, old.sign(document)).contains("disowns itself"));
    const FakeSigner first_of_the_new(document.signers_since);
    CHECK(why_not(first_of_the_new, first_of_the_new.sign(document)).empty());
}

TEST_CASE("bytes that are no org document are said to be none") {
    const FakeSigner signer(now - one_day);
    const Bytes bytes = signer.sign(some_document());
    const auto why = [](Bytes of) { return parse_org_document(of).error().text(); };
    CHECK(why({}).contains("unknown format"));
    CHECK(why(Bytes(document_size_limit + 1)).contains("too large"));
    for (std::size_t size = 23; size < bytes.size(); ++size)
        CHECK(!parse_org_document(ByteView(bytes).first(size)));
    Bytes longer = bytes;
    longer.insert(longer.begin() + 150, 0);
    CHECK(!parse_org_document(longer));
    static constexpr std::size_t sources_at = 23 + 6 + 8 + 8;
    Bytes of_no_source = bytes;
    of_no_source[sources_at] = 0x80;
    CHECK(why(of_no_source).contains("cannot be"));
    Bytes upper_case = bytes;
    upper_case[sources_at + 1 + 8 + 8 + 1] = 'E';
    CHECK(why(upper_case).contains("cannot be"));
}
