// Any text as the gateway's settings and as the org's file: refused with the file's name, or sound.
#include "gateway/settings.h"

#include "base/bytes.h"

using namespace fortros;
using namespace fortros::gateway;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text = as_text({data, size});
    if (const auto settings = parse_gateway_settings(text, "/etc/fortros/gateway.conf")) {
        ASSERT(!settings->endpoints.empty() && !settings->listen.empty());
        ASSERT(settings->ca.starts_with('/') && settings->private_key.starts_with('/'));
    } else {
        ASSERT(settings.error().code == ErrorCode::InvalidSettings);
        ASSERT(settings.error().text().contains("/etc/fortros/gateway.conf"));
    }
    const auto org = parse_org_settings(text, "org.conf");
    if (!org) ASSERT(org.error().text().contains("org.conf"));
    return 0;
}
