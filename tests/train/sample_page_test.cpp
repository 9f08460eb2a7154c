#include "finer/train/sample_page.h"

#include <catch2/catch.hpp>

namespace finer {

TEST_CASE("a page of samples marks targets and escapes everything", "[train]") {
  PageSample good, bad;
  good.where = "mix.json: record 0";
  good.runs = {{"USER: ", false, false},
               {"<image>", false, true},
               {"what <b>?", false, false},
               {"a </mark>jay", true, false}};
  good.facts = {{"tokens", "7"}};
  good.picture = "no/such<script>.png";
  bad.fault = "is not <valid>";
  const std::string html = sample_page_html("mix<1>.json", "2 of 9 samples", {good, bad});
  CHECK(html.find("<mark>a &lt;/mark&gt;jay</mark>") != std::string::npos);
  CHECK(html.find("<span class=\"mark\">&lt;image&gt;</span>what &lt;b&gt;?") != std::string::npos);
  CHECK(html.find("<title>mix&lt;1&gt;.json") != std::string::npos);
  CHECK(html.find("is not &lt;valid&gt;") != std::string::npos);
  CHECK(html.find("tokens 7") != std::string::npos);
  CHECK(html.find("such&lt;script&gt;.png") != std::string::npos);  // why there is no picture
  CHECK(html.find("such<script>") == std::string::npos);
}

}  // namespace finer
