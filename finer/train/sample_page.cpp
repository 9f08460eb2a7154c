#include "finer/train/sample_page.h"

#include "finer/core/error.h"
#include "finer/image/decode.h"
#include "finer/train/html_text.h"
#include "finer/train/report_page.h"
#include "finer/train/thumbnail.h"

namespace finer {
namespace {

constexpr int64_t kSidePx = 320;

constexpr char kSamplePageStyle[] = R"css(
.samples { grid-template-columns: repeat(auto-fill, minmax(min(100%, 22rem), 1fr)); margin-top: 1.6rem; }
.samples .text { margin: 0; padding: .9rem 1rem; font-size: .92rem; white-space: pre-wrap; max-height: 26rem;
  overflow: auto; color: var(--soft); unicode-bidi: isolate; }
.samples mark { background: var(--good-tint); color: var(--good); font-weight: 600; border-radius: .2rem; padding: 0 .15em; }
.samples .mark { color: var(--accent); }
.samples .where { padding: .7rem 1rem 0; font-size: .78rem; color: var(--soft); }
.samples .small { padding: 0 1rem .9rem; font-size: .78rem; color: var(--soft); }
.samples .fault { padding: .9rem 1rem; color: var(--bad); }
)css";

std::string picture_of(const PageSample& sample) {
  if (sample.picture.empty()) return "";
  try {
    const Thumbnail small = make_thumbnail(decode_image(sample.picture), kSidePx);
    return picture_html(small.bytes, small.mime, sample.picture.filename().string());
  } catch (const DataError& error) {
    return "<p class=\"fault\">" + html_text(error.what()) + "</p>";
  }
}

std::string text_of(const PageSample& sample) {
  if (!sample.fault.empty()) return "<p class=\"fault\">" + html_text(sample.fault) + "</p>";
  std::string html = "<p class=\"text\">";
  for (const auto& run : sample.runs) {
    const char* const tag = run.is_image ? "span class=\"mark\"" : "mark";
    const bool has_tag = run.is_image || run.is_target;
    if (has_tag) html += std::string("<") + tag + ">";
    html += html_text(run.text);
    if (has_tag) html += run.is_image ? "</span>" : "</mark>";
  }
  return html + "</p>";
}

}  // namespace

std::string sample_page_html(const std::string& title, const std::string& under,
                             const std::vector<PageSample>& samples) {
  ReportPage page;
  page.kicker = "finer-data inspect";
  page.title = title;
  page.under_html = "<p class=\"under\">" + html_text(under) +
                    " <span>Learned: <mark class=\"key\">marked like this</mark>.</span></p>";
  page.style = kSamplePageStyle;
  page.style += ".key { background: var(--good-tint); color: var(--good); font-weight: 600; }\n";
  page.body_html = "<ul class=\"samples\">\n";
  for (const auto& sample : samples) {
    std::string facts;
    for (const auto& fact : sample.facts) {
      facts += (facts.empty() ? "" : "; ") + fact.name + " " + fact.value;
    }
    page.body_html += "<li class=\"card\">" + picture_of(sample) + "<p class=\"where\"><bdi>" +
                      html_text(sample.where) + "</bdi></p>" + text_of(sample) +
                      (facts.empty() ? "" : "<p class=\"small\">" + html_text(facts) + "</p>") +
                      "</li>\n";
  }
  page.body_html += "</ul>\n";
  return page_html(page);
}

}  // namespace finer
