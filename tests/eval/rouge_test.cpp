#include "finer/eval/rouge.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <fstream>

TEST_CASE("ROUGE equals the package rouge-score on 60 pairs", "[eval]") {
  std::ifstream in(std::string(FINER_SOURCE_DIR) + "/tests/golden/rouge.json");
  REQUIRE(in);
  const auto cases = nlohmann::json::parse(in);
  REQUIRE(cases.size() >= 50);
  for (const auto& one : cases) {
    const auto target = one["target"].get<std::string>();
    const auto prediction = one["prediction"].get<std::string>();
    const auto scores = finer::rouge_scores(target, prediction);
    INFO(target << " | " << prediction);
    CHECK(scores.rouge1 == Approx(one["rouge1"].get<double>()).margin(1e-6));
    CHECK(scores.rouge2 == Approx(one["rouge2"].get<double>()).margin(1e-6));
    CHECK(scores.rougeL == Approx(one["rougeL"].get<double>()).margin(1e-6));
  }
}

TEST_CASE("ROUGE's words are runs of ASCII letters and digits", "[eval]") {
  CHECK(finer::rouge_words("The Wing-bars: 2x") ==
        std::vector<std::string>{"the", "wing", "bars", "2x"});
  CHECK(finer::rouge_words("caf\u00e9s") == std::vector<std::string>{"caf", "s"});
  CHECK(finer::rouge_words("\xff ,.").empty());
}
