// Any file as an invite: what is taken needs no escapes in JSON, in a shell or in a log.
#include "base/bytes.h"
#include "base/text.h"
#include "core/messages.h"

using namespace fortros;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text = as_text({data, size});
    const auto invite = parse_invite(text);
    if (!invite) {
        // Whatever it is, it may be a secret: it is not repeated.
        ASSERT(invite.error().text() == parse_invite("").error().text());
        return 0;
    }
    ASSERT(invite->text() == trim(text) &&
           Json(invite->text()).dump().size() == invite->size() + 2);
    return 0;
}
