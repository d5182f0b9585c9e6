// A boot's timeline as a picture: one SVG file without a script, a font or anything else from outside.
#include <algorithm>
#include <cstdio>

#include "preboot/timeline.h"

namespace fortros {

namespace {

using Look = BootTimeline::Look;

// All in pixels.
constexpr int width = 1400;
constexpr int margin = 28;
constexpr int chart_left = 340;
constexpr int chart_width = 540;
constexpr int note_left = chart_left + chart_width + 84;
constexpr int row_height = 24;
constexpr int bar_height = 14;
constexpr int head_height = 96;
constexpr int group_height = 34;
constexpr double least_bar = 2.5;
constexpr std::size_t name_size = 44;  // of characters
constexpr std::size_t note_size = 52;
constexpr std::size_t trouble_size = 150;

constexpr std::string_view style = R"(<style>
  svg { font: 13px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
  .ground { fill: #ffffff; } .stripe { fill: #f4f6f9; } text { fill: #1c2733; }
  .title { font-size: 19px; font-weight: 600; } .group { font-weight: 600; }
  .dim { fill: #6b7a8c; } .end { text-anchor: end; } .mid { text-anchor: middle; }
  .tick { stroke: #dde3ea; } .bad { fill: #b3261e; } .fine { fill: #18794e; }
  .Work { fill: #3b76c4; } .Reaching { fill: #b9cbe3; } .Won { fill: #1f9d63; }
  .Good { fill: #6bb58f; } .Failed { fill: #d9534f; } .Cancelled { fill: #b5bdc7; }
  .Pause { fill: none; stroke: #9aa7b5; stroke-dasharray: 3 3; }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #12171e; } .stripe { fill: #1a212b; } text { fill: #e4e9ef; }
    .dim { fill: #92a0b0; } .tick { stroke: #2b3542; } .bad { fill: #ff8a80; } .fine { fill: #6fd3a3; }
    .Reaching { fill: #35506f; } .Cancelled { fill: #525d6a; }
  }
</style>
)";

std::string_view class_of(Look look) {
    switch (look) {
        case Look::Work: return "Work";
        case Look::Reaching: return "Reaching";
        case Look::Won: return "Won";
        case Look::Good: return "Good";
        case Look::Failed: return "Failed";
        case Look::Cancelled: return "Cancelled";
        case Look::Pause: return "Pause";
    }
    return "";
}

std::string escaped(std::string_view text) {
    std::string out;
    for (const char c : text) {
        switch (c) {
            case '&': out += "&amp;"; break;
            case '<': out += "&lt;"; break;
            case '>': out += "&gt;"; break;
            case '"': out += "&quot;"; break;
            default: out += c;
        }
    }
    return out;
}

std::string shortened(std::string_view text, std::size_t limit) {
    if (text.size() <= limit) return std::string(text);
    return std::string(text.substr(0, limit - 3)) + "...";
}

std::string pixels(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.1f", value);
    return text;
}

class Picture {
public:
    explicit Picture(const BootTimeline& timeline) : m_timeline(timeline) {}

    std::string draw() {
        m_y = head_height;
        std::optional<BootTimeline::Group> group;
        for (const auto& row : m_timeline.rows) {
            if (row.group != group) begin_group(row.group);
            group = row.group;
            draw(row);
        }
        const int chart_bottom = m_y + 6;
        m_y += 16;
        legend();
        troubles();
        const int height = m_y + margin;
        std::string out =
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" + std::to_string(width) +
            "\" height=\"" + std::to_string(height) + "\" viewBox=\"0 0 " + std::to_string(width) +
            " " + std::to_string(height) + "\">\n<title>" + escaped(title()) + "</title>\n" +
            std::string(style) + "<rect class=\"ground\" width=\"100%\" height=\"100%\"/>\n";
        return out + m_stripes + head() + axis(chart_bottom) + m_body + "</svg>\n";
    }

private:
    static std::string text(int x, int y, std::string_view look, std::string_view words) {
        return "<text x=\"" + std::to_string(x) + "\" y=\"" + std::to_string(y) + "\" class=\"" +
               std::string(look) + "\">" + escaped(words) + "</text>\n";
    }

    double x_of(Duration at) const {
        const double whole = std::max<double>(1, static_cast<double>(m_timeline.took.count()));
        return chart_left + chart_width * static_cast<double>(at.count()) / whole;
    }

    std::string title() const {
        return "Boot into " +
               (m_timeline.gateway_name.empty() ? "the overlay" : m_timeline.gateway_name);
    }

    std::string head() const {
        std::string facts;
        for (const auto& part : {m_timeline.time, m_timeline.agent, m_timeline.boot_id})
            if (!part.empty()) facts += (facts.empty() ? "" : "  ·  ") + part;
        const bool is_fine = m_timeline.status == 0;
        const std::string verdict =
            m_timeline.status ? m_timeline.verdict : "it has not ended, or was cut off";
        return text(margin, 36, "title", title()) + text(margin, 57, "dim", facts) + "<text x=\"" +
               std::to_string(width - margin) + "\" y=\"36\" class=\"title end " +
               (is_fine ? "fine" : "bad") + "\">" + escaped(to_fine_text(m_timeline.took)) +
               "</text>\n" + "<text x=\"" + std::to_string(width - margin) +
               "\" y=\"57\" class=\"end\">" + escaped(shortened(verdict, 110)) + "</text>\n";
    }

    std::string axis(int bottom) const {
        std::string out;
        for (const auto& [at, label] : ticks_of(m_timeline.took, 8)) {
            const std::string x = pixels(x_of(at));
            out += "<line class=\"tick\" x1=\"" + x + "\" x2=\"" + x + "\" y1=\"" +
                   std::to_string(head_height) + "\" y2=\"" + std::to_string(bottom) + "\"/>\n" +
                   "<text class=\"dim mid\" x=\"" + x + "\" y=\"" +
                   std::to_string(head_height - 8) + "\">" + escaped(label) + "</text>\n";
        }
        return out;
    }

    void begin_group(BootTimeline::Group group) {
        m_y += group_height;
        m_body += text(margin, m_y - 8, "group", name_of(group));
        m_striped = false;
    }

    void draw(const BootTimeline::Row& row) {
        m_striped = !m_striped;
        if (m_striped)
            m_stripes += "<rect class=\"stripe\" x=\"" + std::to_string(margin - 10) + "\" y=\"" +
                         std::to_string(m_y) + "\" width=\"" +
                         std::to_string(width - 2 * margin + 20) + "\" height=\"" +
                         std::to_string(row_height) + "\"/>\n";
        const int baseline = m_y + 16;
        m_body += "<g><title>" +
                  escaped(row.name + ", " + to_fine_text(row.took) + ": " + row.note) +
                  "</title>\n" + text(margin + 10, baseline, "", shortened(row.name, name_size));
        for (const auto& bar : row.bars) {
            const double left = std::min(x_of(bar.begin), chart_left + chart_width - least_bar);
            const double wide = std::max(least_bar, x_of(bar.end) - left);
            m_body += "<rect class=\"" + std::string(class_of(bar.look)) + "\" x=\"" +
                      pixels(left) + "\" y=\"" +
                      std::to_string(m_y + (row_height - bar_height) / 2) + "\" width=\"" +
                      pixels(wide) + "\" height=\"" + std::to_string(bar_height) + "\" rx=\"" +
                      (wide < 6 ? "1" : "3") + "\"/>\n";
        }
        m_body += text(note_left - 14, baseline, "dim end", to_fine_text(row.took)) +
                  text(note_left, baseline, "", shortened(row.note, note_size)) + "</g>\n";
        m_y += row_height;
    }

    void legend() {
        int x = chart_left;
        m_y += 14;
        for (const auto& [look, words] :
             {std::pair{Look::Work, "under way"}, std::pair{Look::Reaching, "not heard yet"},
              std::pair{Look::Won, "won"}, std::pair{Look::Good, "answered"},
              std::pair{Look::Failed, "failed"}, std::pair{Look::Cancelled, "not needed any more"},
              std::pair{Look::Pause, "pause"}}) {
            m_body += "<rect class=\"" + std::string(class_of(look)) + "\" x=\"" +
                      std::to_string(x) + "\" y=\"" + std::to_string(m_y - 10) +
                      "\" width=\"14\" height=\"11\" rx=\"2\"/>\n" +
                      text(x + 20, m_y, "dim", words);
            x += 48 + 7 * static_cast<int>(std::string_view(words).size());
        }
    }

    void troubles() {
        if (m_timeline.troubles.empty()) return;
        m_y += group_height;
        m_body += text(margin, m_y, "group", "warnings");
        for (const auto& trouble : m_timeline.troubles) {
            m_y += row_height - 4;
            m_body += text(margin + 80, m_y, "dim end", to_fine_text(trouble.at)) +
                      text(margin + 94, m_y, "", shortened(trouble.text, trouble_size));
        }
    }

    const BootTimeline& m_timeline;
    std::string m_stripes;
    std::string m_body;
    bool m_striped = false;
    int m_y = 0;
};

}  // namespace

std::string to_svg(const BootTimeline& timeline) { return Picture(timeline).draw(); }

}  // namespace fortros
