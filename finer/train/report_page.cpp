#include "finer/train/report_page.h"

#include "finer/core/error.h"
#include "finer/train/html_text.h"
#include "finer/train/report_assets.h"

#include <cstdint>

namespace finer {
namespace {

constexpr int kTinyPixels = 128;  // smaller pictures are shown with hard pixels instead of blurred

// Nothing may be loaded from anywhere, even if an escape were forgotten.
constexpr char kContentPolicy[] =
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

// A PNG's width and height stand at fixed places of its first chunk.
bool is_tiny_png(const std::string& bytes, const std::string& mime) {
  if (mime != "image/png" || bytes.size() < 24) return false;
  const auto number = [&](size_t at) {
    uint32_t value = 0;
    for (size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<uint8_t>(bytes[at + i]);
    return value;
  };
  return number(16) < kTinyPixels && number(20) < kTinyPixels;
}

}  // namespace

std::string page_html(const ReportPage& page) {
  const std::string title = html_text(page.title);
  return "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
         "<meta http-equiv=\"Content-Security-Policy\" content=\"" +
         std::string(kContentPolicy) +
         "\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>" +
         title + " - finer</title>\n<link rel=\"icon\" href=\"data:,\">\n<style>" + kReportStyle +
         page.style + "</style>\n</head>\n<body>\n<main>\n<header><p class=\"kicker\">" +
         html_text(page.kicker) + "</p><h1><bdi>" + title + "</bdi></h1>" + page.under_html +
         "</header>\n" + page.body_html +
         "<footer>One file, no requests: it can be sent as it is.</footer>\n</main>\n<script>" +
         page.script + "</script>\n</body>\n</html>\n";
}

std::string tile_html(const std::string& name, const std::string& value, const std::string& more) {
  return "<li class=\"card\"><p class=\"name\">" + html_text(name) + "</p><p class=\"value\">" +
         html_text(value) + "</p>" +
         (more.empty() ? "" : "<p class=\"more\">" + html_text(more) + "</p>") + "</li>\n";
}

std::string facts_html(const std::string& title, const std::vector<RunFact>& facts) {
  if (facts.empty()) return "";
  std::string html = "<section><h2>" + html_text(title) +
                     "</h2>\n<div class=\"card\"><table class=\"facts\"><tbody>\n";
  for (const auto& fact : facts) {
    html += "<tr><th scope=\"row\">" + html_text(fact.name) + "</th><td><bdi>" +
            html_text(fact.value) + "</bdi></td></tr>\n";
  }
  return html + "</tbody></table></div></section>\n";
}

std::string picture_html(const std::string& bytes, const std::string& mime,
                         const std::string& name) {
  FINER_CHECK(
      mime == "image/png" || mime == "image/jpeg" || mime == "image/webp" || mime == "image/gif",
      "a picture's mime, not " + mime);
  const std::string text = html_text(name);
  return "<div class=\"picture\"><img" +
         std::string(is_tiny_png(bytes, mime) ? " class=\"tiny\"" : "") + " alt=\"" + text +
         "\" title=\"" + text + "\" src=\"data:" + mime + ";base64," + base64(bytes) + "\"></div>";
}

std::string recipe_html(const std::string& yaml) {
  if (yaml.empty()) return "";
  return "<details class=\"card\"><summary>Recipe, resolved: this repeats the run</summary><pre>" +
         html_text(yaml) + "</pre></details>\n";
}

}  // namespace finer
