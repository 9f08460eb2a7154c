#include "finer/train/model_card.h"

#include <catch2/catch.hpp>

namespace {

finer::ModelCard small_card() {
  finer::ModelCard card;
  card.title = "finer-7b";
  card.base_model = "models/llava-1.5-7b-hf";
  card.parts = {{"language", "lora", 319815680, 7058231296, 2e-4},
                {"vision", "frozen", 0, 303507456, 0}};
  card.settings = {{"rank", "128"}};
  card.sets = {{"data/attr_seek_mix.json", "9f86d081884c7d65", 8912, 0.5}};
  card.metrics = {{"loss", "0.71"}};
  card.environment = {{"finer", "0.1.0"}};
  return card;
}

}  // namespace

TEST_CASE("the model card says base, what trained, settings, data and how PEFT loads it",
          "[train]") {
  const auto text = finer::render(small_card());
  CHECK(text.rfind("---\nlibrary_name: peft\n", 0) == 0);
  for (const std::string part :
       {"# finer-7b\n", "An adapter for `models/llava-1.5-7b-hf`",
        "from_pretrained(\"models/llava-1.5-7b-hf\")", "PeftModel.from_pretrained(base, ",
        "| language | lora | 319,815,680 | 7,058,231,296 | 0.0002 |",
        "| vision | frozen | 0 | 303,507,456 |  |", "| rank | 128 |",
        "| `data/attr_seek_mix.json` | 8,912 | 0.5 | `9f86d081884c7d65` |", "| loss | 0.71 |"}) {
    CHECK_THAT(text, Catch::Matchers::Contains(part));
  }
  CHECK(text.find("base_model:") ==
        std::string::npos);  // a local path is nothing a hub can link to
  auto card = small_card();
  card.base_hub_id = "llava-hf/llava-1.5-7b-hf";
  CHECK_THAT(finer::render(card),
             Catch::Matchers::Contains("base_model: \"llava-hf/llava-1.5-7b-hf\"\n") &&
                 Catch::Matchers::Contains("from_pretrained(\"llava-hf/llava-1.5-7b-hf\")"));
}

TEST_CASE("no text of the user becomes markup in the model card", "[train]") {
  auto card = small_card();
  card.title = "a\n---\n# b <script> [x](y) *c* snake_case _d_";
  card.base_model = "m\"); import os #\n```\n";
  card.sets = {{"a|b``c`", "`", 1, 1}};
  card.settings = {{"k|1", "v\n| x | y |"}};
  const auto text = finer::render(card);
  CHECK_THAT(text, Catch::Matchers::Contains(
                       "# a --- \\# b \\<script\\> \\[x\\](y) \\*c\\* snake_case \\_d\\_\n"));
  CHECK_THAT(text, Catch::Matchers::Contains("from_pretrained(\"m\\\"); import os # ``` \")\n"));
  CHECK_THAT(text, Catch::Matchers::Contains("| ``` a\\|b``c` ``` | 1 | 1 | `` ` `` |\n"));
  CHECK_THAT(text, Catch::Matchers::Contains("| k\\|1 | v \\| x \\| y \\| |\n"));
}
