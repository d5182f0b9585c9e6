// Any text as a kernel command line: it never allows what the settings file does not.
#include "core/settings.h"

using namespace fortros;

static constexpr std::string_view file =
    "[Organisation]\nGatewayName=gw.example.org\n[Discovery]\nSources=cached public-dns\n"
    "[Network]\nInterfaces=eth*\n";

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto before = parse_settings(file, "preboot.conf");
    ASSERT(before.has_value());
    const auto after = narrow_by_command_line(*before, as_text({data, size}));
    if (!after) return 0;
    ASSERT(!after->sources.empty());
    ASSERT((after->sources & before->sources) == after->sources);
    ASSERT(!interface_allowed(*after, "wlan0"));
    ASSERT(after->gateway_name == before->gateway_name);
    ASSERT(after->ca_file == before->ca_file);
    ASSERT(after->gateways == before->gateways);
    return 0;
}
