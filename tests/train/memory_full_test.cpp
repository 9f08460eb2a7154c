#include "finer/train/memory_full.h"

#include <catch2/catch.hpp>

namespace {

finer::data::StepBatch batch_of(std::vector<std::vector<int32_t>> bounds) {
  finer::data::StepBatch batch;
  batch.step = 6;
  for (auto& each : bounds) {
    finer::data::PackedBatch pass;
    pass.input_ids.resize(static_cast<size_t>(each.back()));
    pass.bounds = std::move(each);
    batch.passes.push_back(std::move(pass));
  }
  return batch;
}

}  // namespace

TEST_CASE("a full memory is explained by the largest pass and what makes it smaller", "[memory]") {
  finer::Recipe recipe;
  recipe.batch.device_tokens = 4096;
  const auto batch = batch_of({{0, 100}, {0, 700, 4000}, {0, 50}});
  CHECK(finer::memory_full_text(batch, recipe, int64_t{3} << 30,
                                "CUDA out of memory. Tried to allocate 20.50 MiB. GPU 0 has a") ==
        "step 7: the device's memory is full; its largest pass has 4,000 tokens, the longest "
        "sample of it 3,300 (3.0 "
        "GiB "
        "were held, 20.50 MiB more were asked for); expected a pass that fits: batch.device_tokens "
        "below 4096 or train.recompute: full");
}

TEST_CASE("where one sample fills the pass, its length is what is left to lower", "[memory]") {
  finer::Recipe recipe;
  recipe.train.recompute = "full";
  const auto text = finer::memory_full_text(batch_of({{0, 2048}}), recipe, 1 << 20, "no such line");
  CHECK(text.find("(1.0 MiB were held); expected a pass that fits: data.max_tokens below 2048 (one "
                  "sample fills the pass; ") != std::string::npos);
}
