// Writes SVG 1.1: shapes and text with a style each, nothing that needs a script or a font from elsewhere.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace fortros::meshsim {

struct Point {
    double x = 0;
    double y = 0;
};

enum class Anchor { Start, Middle, End };

struct TextStyle {
    double size = 13;
    std::string_view colour = "#333";
    Anchor anchor = Anchor::Start;
    bool bold = false;
};

class Svg {
public:
    Svg(double width, double height, std::string_view background);

    // Attributes as SVG has them: "stroke='#888' stroke-width='0.5'".
    void line(Point from, Point to, std::string_view attributes);
    // Bends to its left, by this share of its length.
    void arc(Point from, Point to, double bend, std::string_view attributes);
    void polyline(const std::vector<Point>& points, std::string_view attributes);
    void polygon(const std::vector<Point>& points, std::string_view attributes);
    void circle(Point centre, double radius, std::string_view attributes);
    void rectangle(Point corner, double width, double height, std::string_view attributes);
    void text(Point where, std::string_view what, const TextStyle& style = {});
    void begin_group(std::string_view attributes);
    void end_group();

    // The whole document; nothing can be added afterwards.
    std::string finish();

private:
    void points(const std::vector<Point>& points);

    std::string m_out;
};

// One decimal, or none where it would be a zero.
std::string short_number(double value);

}  // namespace fortros::meshsim
