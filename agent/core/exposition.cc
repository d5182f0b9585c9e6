#include "core/exposition.h"

namespace fortros {

static constexpr std::string_view counter_suffix = "_total";

// Both forms escape these three in a label's value, and in a help text at most these.
static std::string escaped(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '\n')
            out += "\\n";
        else if (c == '\\' || c == '"')
            out.append("\\").push_back(c);
        else
            out.push_back(c);
    }
    return out;
}

static std::string labels_of(const MetricSample& sample) {
    std::string text;
    for (const auto& [name, value] : sample.labels)
        text.append(text.empty() ? "{" : ",").append(name) += "=\"" + escaped(value) + "\"";
    return text.empty() ? text : text + "}";
}

// OpenMetrics calls a counter's family by its name without the suffix, which its samples have.
static std::string_view family_name(const MetricFamily& family, Exposition form) {
    std::string_view name = family.name;
    if (form == Exposition::OpenMetrics && family.type == MetricType::Counter &&
        name.ends_with(counter_suffix))
        name.remove_suffix(counter_suffix.size());
    return name;
}

std::string to_text(std::span<const MetricFamily> families, Exposition form) {
    std::string text;
    for (const auto& family : families) {
        const std::string name(family_name(family, form));
        const char* type = family.type == MetricType::Counter ? "counter" : "gauge";
        text += "# HELP " + name + " " + family.help + "\n";
        text += "# TYPE " + name + " " + type + "\n";
        for (const auto& sample : family.samples)
            text += family.name + labels_of(sample) + " " + std::to_string(sample.value) + "\n";
    }
    if (form == Exposition::OpenMetrics) text += "# EOF\n";
    return text;
}

std::string_view content_type_of(Exposition form) {
    return form == Exposition::OpenMetrics
               ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
               : "text/plain; version=0.0.4; charset=utf-8";
}

Exposition exposition_for(std::string_view accept) {
    return accept.find("application/openmetrics-text") == std::string_view::npos
               ? Exposition::PrometheusText
               : Exposition::OpenMetrics;
}

}  // namespace fortros
