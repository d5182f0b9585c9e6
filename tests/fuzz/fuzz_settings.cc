// Any text as a settings file: it is refused with its file's name, or it can work.
#include "core/settings.h"

using namespace fortros;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto settings = parse_settings(as_text({data, size}), "preboot.conf");
    if (settings) {
        ASSERT(check_settings(*settings).has_value());
        ASSERT(!settings->gateway_name.empty());
        interface_allowed(*settings, "enp0s16");
    } else {
        ASSERT(settings.error().code == ErrorCode::InvalidSettings);
        ASSERT(settings.error().text().starts_with("preboot.conf:"));
    }
    return 0;
}
