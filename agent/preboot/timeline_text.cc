// A boot's timeline for a terminal, which in a rescue shell may be a serial line that knows ASCII only.
#include <algorithm>

#include "base/text.h"
#include "core/exit_status.h"
#include "preboot/timeline.h"

namespace fortros {

namespace {

using Look = BootTimeline::Look;

constexpr std::size_t name_limit = 44;
constexpr std::size_t took_width = 9;

struct Glyph {
    std::string_view plain;
    std::string_view block;
    std::string_view colour;  // SGR parameters
};

Glyph glyph_of(Look look) {
    switch (look) {
        case Look::Work: return {"=", "█", "34"};
        case Look::Reaching: return {".", "░", "2"};
        case Look::Won: return {"#", "█", "1;32"};
        case Look::Good: return {"=", "█", "32"};
        case Look::Failed: return {"x", "▒", "31"};
        case Look::Cancelled: return {"-", "▒", "2"};
        case Look::Pause: return {"_", "·", "2"};
    }
    return {" ", " ", ""};
}

class Drawing {
public:
    Drawing(const BootTimeline& timeline, const TextStyle& style)
        : m_timeline(timeline), m_style(style) {
        for (const auto& row : timeline.rows) m_names = std::max(m_names, row.name.size());
        m_names = std::min(m_names, name_limit) + 4;
        m_chart = std::clamp<std::size_t>(style.width * 3 / 10, 16, 64);
    }

    std::string draw() {
        head();
        axis();
        std::optional<BootTimeline::Group> group;
        for (const auto& row : m_timeline.rows) {
            if (row.group != group) m_out += "\n" + in_colour("1", name_of(row.group)) + "\n";
            group = row.group;
            draw(row);
        }
        troubles();
        legend();
        foot();
        return std::move(m_out);
    }

private:
    std::string in_colour(std::string_view sgr, std::string_view text) const {
        if (!m_style.colour || sgr.empty()) return std::string(text);
        return "\x1b[" + std::string(sgr) + "m" + std::string(text) + "\x1b[0m";
    }

    // Cut to what is left of a line from `column` on.
    std::string fitting(std::string_view text, std::size_t column) const {
        const std::size_t room = m_style.width > column ? m_style.width - column : 8;
        if (text.size() <= room) return std::string(text);
        return std::string(text.substr(0, room > 3 ? room - 3 : 0)) + "...";
    }

    std::size_t cell_of(Duration at) const {
        if (m_timeline.took <= Duration{}) return 0;
        const double share =
            static_cast<double>(at.count()) / static_cast<double>(m_timeline.took.count());
        return std::min(m_chart - 1,
                        static_cast<std::size_t>(share * static_cast<double>(m_chart)));
    }

    void head() {
        m_out += in_colour(
            "1", m_timeline.gateway_name.empty() ? "the last boot" : m_timeline.gateway_name);
        for (const auto& part : {m_timeline.time, m_timeline.agent})
            if (!part.empty()) m_out += "  " + part;
        m_out += "\n";
    }

    // Each label begins at its line, as long as there is room for it.
    void axis() {
        std::string line(m_names, ' ');
        for (const auto& [at, label] : ticks_of(m_timeline.took, m_chart / 10)) {
            const std::size_t column = m_names + cell_of(at);
            if (column < line.size() && at != Duration{}) continue;
            if (column + label.size() > m_names + m_chart + took_width) break;
            line.resize(column, ' ');
            line += label + " ";
        }
        m_out += in_colour("2", trim_end(std::move(line))) + "\n";
    }

    static std::string trim_end(std::string line) {
        line.erase(line.find_last_not_of(' ') + 1);
        return line;
    }

    void draw(const BootTimeline::Row& row) {
        std::string name = "  " + row.name;
        if (name.size() > m_names - 1) name.resize(m_names - 1);
        name.resize(m_names, ' ');
        std::vector<std::optional<Look>> cells(m_chart);
        for (const auto& bar : row.bars) {
            const std::size_t first = cell_of(bar.begin);
            // A bar that ends where the next cell begins has no part in that cell.
            const std::size_t last =
                std::max(first, cell_of(std::max(bar.begin, bar.end - Duration{1})));
            for (std::size_t i = first; i <= last; ++i) cells[i] = bar.look;
        }
        std::string chart;
        for (std::size_t i = 0; i < cells.size();) {
            std::size_t end = i;
            std::string run;
            for (; end < cells.size() && cells[end] == cells[i]; ++end)
                run += !cells[i]         ? std::string_view(" ")
                       : m_style.unicode ? glyph_of(*cells[i]).block
                                         : glyph_of(*cells[i]).plain;
            chart += cells[i] ? in_colour(glyph_of(*cells[i]).colour, run) : run;
            i = end;
        }
        std::string took = to_fine_text(row.took);
        took.insert(0, took.size() < took_width ? took_width - took.size() : 0, ' ');
        m_out += name + chart + took + "  " +
                 fitting(row.note, m_names + m_chart + took_width + 2) + "\n";
    }

    void troubles() {
        if (!m_timeline.troubles.empty()) m_out += "\n" + in_colour("1", "warnings") + "\n";
        for (const auto& trouble : m_timeline.troubles) {
            std::string at = to_fine_text(trouble.at);
            at.insert(0, at.size() < took_width ? took_width - at.size() : 0, ' ');
            m_out += at + "  " + fitting(trouble.text, took_width + 2) + "\n";
        }
    }

    void legend() {
        m_out += "\n";
        std::string_view separator = "";
        for (const auto& [look, words] :
             {std::pair{Look::Reaching, "not heard yet"}, std::pair{Look::Won, "won"},
              std::pair{Look::Failed, "failed"}, std::pair{Look::Cancelled, "not needed any more"},
              std::pair{Look::Pause, "pause"}}) {
            const Glyph glyph = glyph_of(look);
            m_out += std::string(separator) +
                     in_colour(glyph.colour, m_style.unicode ? glyph.block : glyph.plain) + " " +
                     words;
            separator = "   ";
        }
        m_out += "\n";
    }

    void foot() {
        std::vector<const BootTimeline::Row*> stages;
        for (const auto& row : m_timeline.rows)
            if (row.group == BootTimeline::Group::Stages) stages.push_back(&row);
        std::ranges::stable_sort(stages, std::greater{}, &BootTimeline::Row::took);
        if (stages.size() > 3) stages.resize(3);
        std::string longest;
        for (const auto* stage : stages)
            longest +=
                (longest.empty() ? "" : ", ") + stage->name + " " + to_fine_text(stage->took);
        m_out += "\nwaited longest for " + longest + " of " + to_fine_text(m_timeline.took) + "\n";
        if (m_timeline.bars_left_out > 0)
            m_out += std::to_string(m_timeline.bars_left_out) + " more are not drawn\n";
        if (m_timeline.lines_left_out > 0)
            m_out += std::to_string(m_timeline.lines_left_out) + " lines are not understood\n";
        if (!m_timeline.status)
            m_out += "it has not ended, or was cut off\n";
        else
            m_out +=
                in_colour(*m_timeline.status == 0 ? "1;32" : "1;31", m_timeline.verdict) + "\n";
    }

    const BootTimeline& m_timeline;
    const TextStyle& m_style;
    std::size_t m_names = 8;
    std::size_t m_chart = 40;
    std::string m_out;
};

}  // namespace

std::string to_text(const BootTimeline& timeline, const TextStyle& style) {
    return Drawing(timeline, style).draw();
}

}  // namespace fortros
