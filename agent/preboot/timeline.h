// The last boot as a drawing: the events that it left (os/log_sink.h) as rows of bars, and these as text
// or as SVG. Pure; it never fails for what a boot did, only where there is no boot to be seen. The events
// are in /run, where whoever is root may have written anything: all of it is bounded and made printable.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace fortros {

inline constexpr std::size_t events_size_limit = std::size_t{8} * 1024 * 1024;
inline constexpr std::size_t timeline_rows_limit = 96;
inline constexpr std::size_t timeline_bars_limit = 4096;  // in all rows together
inline constexpr std::size_t timeline_troubles_limit = 24;

struct BootTimeline {
    // The order in which they are drawn.
    enum class Group { Stages, Links, Rounds, Sources, Candidates, Overlay };
    enum class Look {
        Work,       // under way
        Reaching,   // waits for somebody who has not been heard yet
        Won,        // ended the race
        Good,       // came to what was wanted
        Failed,     //
        Cancelled,  // was not needed any more
        Pause,      // nothing was under way
    };
    // From the beginning of the boot; begin <= end.
    struct Bar {
        Duration begin{};
        Duration end{};
        Look look = Look::Work;
    };
    struct Row {
        Group group = Group::Stages;
        std::string name{};
        std::string note{};  // what came of it, the latest
        Duration took{};     // all bars but the pauses
        std::vector<Bar> bars{};
    };
    struct Trouble {
        Duration at{};
        std::string text{};
    };

    std::string agent{};
    std::string boot_id{};
    std::string time{};  // when it began, as the clock had it then
    std::string gateway_name{};
    std::optional<int> status{};  // absent: it has not ended, or was cut off
    std::string verdict{};        // its last word
    Duration took{};
    std::vector<Row> rows{};
    std::vector<Trouble> troubles{};  // warnings, the first ones
    std::size_t lines_left_out = 0;   // not understood
    std::size_t bars_left_out = 0;    // beyond the bounds above
};

std::string_view name_of(BootTimeline::Group group);

// The last boot in a file of events: InvalidData where there is none in it. What is not understood is
// left out and counted: a power cut may have ended the file anywhere.
Result<BootTimeline> read_timeline(std::string_view events);

struct TextStyle {
    std::size_t width = 100;  // of a line; what is longer is cut
    bool unicode = false;     // block characters instead of letters
    bool colour = false;
};
std::string to_text(const BootTimeline& timeline, const TextStyle& style);

// A picture that stands alone, on a light or a dark ground as the viewer likes it.
std::string to_svg(const BootTimeline& timeline);

// As to_text() of base/time.h, with tenths of milliseconds where there are few: "0.4 ms".
std::string to_fine_text(Duration span);

// Where to draw lines across, and what to write at them: at most `most` of them, at round times.
std::vector<std::pair<Duration, std::string>> ticks_of(Duration whole, std::size_t most);

}  // namespace fortros
