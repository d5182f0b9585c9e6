#include "core/ini.h"

#include <doctest/doctest.h>

using namespace fortros;
using namespace std::literals;

static std::string error_of(std::string_view text) {
    const auto entries = parse_ini(text, "f.conf");
    if (entries) return "none";
    CHECK(entries.error().code == ErrorCode::InvalidSettings);
    return entries.error().text();
}

// A file that systemd's own tools would read must mean the same here.
TEST_CASE("sections, keys and values are read with their lines") {
    const auto entries = parse_ini(
        "# a comment\n"
        "\n"
        "[First]\n"
        "  ; another = comment\n"
        "Key = a value = with # and ; in it \n"
        "Empty=\n"
        "\t[Second part]\r\n"
        "Key=last line without an end",
        "f.conf");
    REQUIRE(entries);
    CHECK(*entries == std::vector<IniEntry>{
                          {"First", "", "", 3},
                          {"First", "Key", "a value = with # and ; in it", 5},
                          {"First", "Empty", "", 6},
                          {"Second part", "", "", 7},
                          {"Second part", "Key", "last line without an end", 8},
                      });
    CHECK(parse_ini("", "f.conf")->empty());
}

// A line that is silently skipped is a setting that its author believes in.
TEST_CASE("a line that means nothing is an error with its number") {
    CHECK(error_of("[S]\nKey\n") == "f.conf:2: neither [Section], Key=value nor a # comment");
    CHECK(error_of("\nKey=1\n") == "f.conf:2: a key before the first [Section]");
    CHECK(error_of("[S]\n\n=1\n") == "f.conf:3: a value without a key");
    CHECK(error_of("[S\n") == "f.conf:1: a section without ']'");
    CHECK(error_of("[S] # note\n") == "f.conf:1: a section without ']'");
    CHECK(error_of("[]\n") == "f.conf:1: not a section's name");
    CHECK(error_of("[[S]]\n") == "f.conf:1: not a section's name");
}

// systemd joins such lines; read as two, the second half of a list would be lost.
TEST_CASE("a line continuation is an error") {
    CHECK(error_of("[S]\nKey=a \\\n  b\n") ==
          "f.conf:2: a line can't be continued: write the key again");
}

// A binary file given by mistake must end with a sentence, and never reach the terminal as it is.
TEST_CASE("control characters are errors") {
    CHECK(error_of("[S]\nKey=a\x1b[31m\n") == "f.conf:2: a control character");
    CHECK(error_of("[S]\nKey=a\rb\n") == "f.conf:2: a control character");
    CHECK(error_of("[S]\nKey=a\x7f\n") == "f.conf:2: a control character");
    CHECK(error_of("[S]\nKey=a\0b\n"sv) == "f.conf:2: a control character");
    CHECK(error_of("[S]\nKey=a\tb \xc3\xbc\n") == "none");
    CHECK(error_of("[S]\n# \x1b\nKey=a\n") == "none");
}

// The whole file is in memory in an initramfs: what is not a settings file must not fill it.
TEST_CASE("size, line length and number of settings are bounded") {
    CHECK(error_of("[S]\nKey=" + std::string(4092, 'x')) == "none");
    CHECK(error_of("[S]\nKey=" + std::string(4093, 'x')) ==
          "f.conf:2: a line of more than 4096 bytes");
    CHECK(error_of(std::string(64 * 1024, '\n')) == "none");
    CHECK(error_of(std::string(64 * 1024 + 1, '\n')) == "f.conf: larger than 64 KiB");
    std::string many = "[S]\n";
    for (int i = 0; i < 1023; ++i) many += "K=\n";
    CHECK(error_of(many) == "none");
    CHECK(error_of(many + "K=\n") == "f.conf:1025: too many settings");
}

namespace {

struct Sample {
    std::string seen;
};

constexpr IniKey<Sample> sample_keys[] = {
    {"S", "Key",
     [](Sample& sample, std::string_view text) -> Status {
         if (text == "bad") return fail(ErrorCode::InvalidSettings, "is bad");
         sample.seen += text;
         return {};
     }},
    {"T", "Other", [](Sample&, std::string_view) -> Status { return {}; }},
};

}  // namespace

static std::string read(std::string_view text) {
    Sample sample;
    const Status status = read_ini<Sample>(text, "f.conf", sample_keys, sample);
    return status ? sample.seen : status.error().text();
}

// A misspelt key would otherwise be a policy that nobody applies.
TEST_CASE("values reach their keys in order, and nothing is left over") {
    CHECK(read("[S]\nKey=1\n[T]\nOther=x\n[S]\nKey=2\n") == "12");
    CHECK(read("[S]\nKey=1\nKye=2\n") == "f.conf:3: [S] Kye=: unknown key");
    CHECK(read("[S]\nOther=1\n") == "f.conf:2: [S] Other=: unknown key");
    CHECK(read("[S]\nkey=1\n") == "f.conf:2: [S] key=: unknown key");
    CHECK(read("[S]\n[U]\n") == "f.conf:2: [U]: unknown section");
    CHECK(read("[S]\n\nKey=bad\n") == "f.conf:3: [S] Key=: is bad");
    CHECK(read("[\xff]\n") == "f.conf:1: [?]: unknown section");
}
