#include "data/pack.h"

#include "finer/core/error.h"
#include "tests/data/scratch.h"

namespace finer::data {

namespace {

using Ids = std::vector<int64_t>;
constexpr int64_t kNo = kIgnoreLabel;

const TokenizedSample kWithImage = {{1, 5, kImageToken, 6, 7, 8, 2}, {kNo, kNo, kNo, kNo, 7, 8, 2}};
const TokenizedSample kTextOnly = {{1, 5, 6, 2}, {1, kNo, 6, 2}};

std::string fault(const TokenizedSample& tokens, int64_t image_positions, int64_t max_tokens,
                  OverLength policy) {
  return thrown<DataError>([&] {
    ReadySample out;
    make_ready(tokens, image_positions, max_tokens, policy, out);
  });
}

}  // namespace

TEST_CASE("the image mark is widened to its positions", "[data]") {
  ReadySample out;
  REQUIRE(make_ready(kWithImage, 3, 100, OverLength::kError, out));
  CHECK(out.input_ids == Ids{1, 5, 0, 0, 0, 6, 7, 8, 2});
  CHECK(out.labels == Ids{kNo, kNo, kNo, kNo, kNo, kNo, 7, 8, 2});
  CHECK(out.image_begin == 2);
  CHECK(out.image_positions == 3);
  CHECK(out.num_label_tokens == 3);
  CHECK(ready_length(kWithImage, 3) == 9);
}

TEST_CASE("a label on the first token of a sequence is no target", "[data]") {
  ReadySample out;
  REQUIRE(make_ready(kTextOnly, 3, 100, OverLength::kError, out));
  CHECK(out.input_ids == kTextOnly.input_ids);
  CHECK(out.image_begin == -1);
  CHECK(out.image_positions == 0);
  CHECK(out.num_label_tokens == 2);
}

TEST_CASE("samples over the limit are cut, dropped or refused, at the limit they are not",
          "[data]") {
  ReadySample out;
  CHECK(make_ready(kWithImage, 3, 9, OverLength::kError, out));
  CHECK(make_ready(kWithImage, 3, 9, OverLength::kDrop, out));
  CHECK_FALSE(make_ready(kWithImage, 3, 8, OverLength::kDrop, out));
  CHECK(fault(kWithImage, 3, 8, OverLength::kError) ==
        "has 9 tokens, more than data.max_tokens (8); raise it, or set data.over_length to "
        "cut_text or drop");

  REQUIRE(make_ready(kWithImage, 3, 7, OverLength::kCutText, out));
  CHECK(out.input_ids == Ids{1, 5, 0, 0, 0, 6, 7});
  CHECK(out.labels == Ids{kNo, kNo, kNo, kNo, kNo, kNo, 7});
  CHECK(out.num_label_tokens == 1);
  REQUIRE(make_ready(kWithImage, 3, 5, OverLength::kCutText, out));
  CHECK(out.input_ids == Ids{1, 5, 0, 0, 0});
  CHECK(out.num_label_tokens == 0);
}

TEST_CASE("a picture is never cut", "[data]") {
  CHECK(fault(kWithImage, 3, 4, OverLength::kCutText) ==
        "its picture fills positions 2 to 4, past data.max_tokens (4), and a picture is never cut; "
        "raise "
        "data.max_tokens");
  CHECK(fault(kWithImage, 576, 500, OverLength::kCutText).find("positions 2 to 577") !=
        std::string::npos);
}

TEST_CASE("marks that the model cannot fill are refused", "[data]") {
  CHECK(fault(kWithImage, 0, 100, OverLength::kCutText) ==
        "has a picture, but the model has no vision encoder; expected samples of text");
  const TokenizedSample two = {{kImageToken, kImageToken}, {kNo, kNo}};
  CHECK(fault(two, 3, 100, OverLength::kCutText) ==
        "has more than one <image>; expected one picture a sample");
  ReadySample out;
  CHECK(make_ready(kTextOnly, 0, 100, OverLength::kCutText, out));
}

TEST_CASE("packing lays samples one after the other", "[data]") {
  std::vector<ReadySample> samples(3);
  REQUIRE(make_ready(kWithImage, 2, 100, OverLength::kError, samples[0]));
  REQUIRE(make_ready(kTextOnly, 2, 100, OverLength::kError, samples[1]));
  REQUIRE(make_ready(kWithImage, 2, 6, OverLength::kCutText, samples[2]));
  samples[0].pixels = {1, 2, 3};
  samples[2].pixels = {4, 5, 6};
  for (int i = 0; i < 3; ++i) {
    samples[static_cast<size_t>(i)].id = std::string(1, static_cast<char>('a' + i));
    samples[static_cast<size_t>(i)].ref = {i, 10 + i};
    samples[static_cast<size_t>(i)].loss_weight = i == 1 ? 0.5 : 1.0;
  }
  const PackedBatch batch = pack(samples);
  CHECK(batch.num_tokens() == 8 + 4 + 6);
  CHECK(batch.num_sequences() == 3);
  CHECK(batch.input_ids == Ids{1, 5, 0, 0, 6, 7, 8, 2, 1, 5, 6, 2, 1, 5, 0, 0, 6, 7});
  CHECK(batch.labels ==
        Ids{kNo, kNo, kNo, kNo, kNo, 7, 8, 2, 1, kNo, 6, 2, kNo, kNo, kNo, kNo, kNo, 7});
  CHECK(batch.positions == Ids{0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 0, 1, 2, 3, 4, 5});
  CHECK(batch.bounds == std::vector<int32_t>{0, 8, 12, 18});
  CHECK(batch.image_slots == Ids{2, 3, 14, 15});
  CHECK(batch.pixels == std::vector<float>{1, 2, 3, 4, 5, 6});
  CHECK(batch.num_images == 2);
  CHECK(batch.loss_weights == std::vector<float>{1, 0.5, 1});
  CHECK(batch.ids == std::vector<std::string>{"a", "b", "c"});
  CHECK(batch.refs[2].set == 2);
  CHECK(batch.refs[2].index == 12);
  CHECK(batch.num_label_tokens == 3 + 2 + 1);
  CHECK(batch.label_weight == 3 + 2 * 0.5 + 1);
}

TEST_CASE("a picture that is not shared is copied for the sample that came without it", "[data]") {
  // one picture behind different words
  const TokenizedSample other = {{1, 9, kImageToken, 6, 7, 2}, {kNo, kNo, kNo, kNo, 7, 2}};
  std::vector<ReadySample> samples(4);
  for (auto& sample : samples) {
    const auto& tokens = &sample == &samples[2] || &sample == &samples[3] ? other : kWithImage;
    REQUIRE(make_ready(tokens, 2, 100, OverLength::kError, sample));
    sample.picture = "a.png";
  }
  samples[0].picture = "b.png";
  samples[0].pixels = {7, 8, 9};
  samples[1].pixels = {1, 2, 3};
  for (const bool shares : {false, true}) {
    INFO("shares " << shares);
    const PackedBatch batch = pack(samples, shares);
    // the fourth shares what the third has
    CHECK(batch.num_images == (shares ? 3 : 4));
    std::vector<float> pixels = {7, 8, 9, 1, 2, 3, 1, 2, 3};
    if (!shares) pixels.insert(pixels.end(), {1, 2, 3});
    CHECK(batch.pixels == pixels);
    CHECK(batch.image_slots.size() == static_cast<size_t>(batch.num_images) * 2);
  }
}

TEST_CASE("packing nothing gives an empty row", "[data]") {
  const PackedBatch batch = pack({});
  CHECK(batch.num_tokens() == 0);
  CHECK(batch.bounds == std::vector<int32_t>{0});
}

TEST_CASE("passes are filled in order, and a long sample stands alone", "[data]") {
  using Counts = std::vector<int64_t>;
  CHECK(split_by_tokens({}, 10).empty());
  CHECK(split_by_tokens({4, 6, 1}, 10) == Counts{2, 1});
  CHECK(split_by_tokens({4, 7, 3, 10, 1}, 10) == Counts{1, 2, 1, 1});
  CHECK(split_by_tokens({3, 25, 3, 3}, 10) == Counts{1, 1, 2});
  CHECK(split_by_tokens({25, 25}, 10) == Counts{1, 1});
  CHECK(split_by_tokens({0, 10, 0}, 10) == Counts{3});
}

TEST_CASE("the length policy is known by name", "[data]") {
  CHECK(over_length("cut_text") == OverLength::kCutText);
  CHECK(over_length("drop") == OverLength::kDrop);
  CHECK(over_length("error") == OverLength::kError);
  CHECK(thrown<DataError>([] { over_length("cut_txt"); }) ==
        "data.over_length: \"cut_txt\" is not known; did you mean \"cut_text\"?");
}

}  // namespace finer::data
