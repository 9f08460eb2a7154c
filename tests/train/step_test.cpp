#include "finer/train/step.h"

#include "finer/io/weight_names.h"
#include "finer/train/device_batch.h"
#include "finer/train/loss.h"
#include "tests/train/small_steps.h"

#include <catch2/catch.hpp>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <limits>
#include <set>

namespace finer {

namespace {

using Samples = std::vector<data::ReadySample>;

TrainConfig parts(const std::string& language, const std::string& projector,
                  const std::string& vision) {
  TrainConfig config;
  config.language = language;
  config.projector = projector;
  config.vision = vision;
  return config;
}

OptimConfig unclipped() {
  auto optim = TinyRun::fast();
  optim.clip_norm = 0;
  return optim;
}

struct Outcome {
  StepResult result;
  Tensors gradients, leaves;
};

Outcome take(const data::StepBatch& batch, const TrainConfig& train = {}, double dropout = 0,
             const LossConfig& loss = {}, uint64_t seed = 1) {
  TinyRun run(train, dropout, unclipped());
  const auto result = train_step(*run.model, *run.optimizer, batch, loss, 1, seed);
  return {result, run.gradients(), run.leaves()};
}

void check_same(const Tensors& found, const Tensors& expected, double tolerance) {
  CHECK(found.size() == expected.size());
  for (const auto& [name, value] : expected) {
    INFO(name);
    REQUIRE(found.count(name) == 1);
    CHECK(difference(found.at(name), value) <= tolerance);
  }
}

// Packed with what they share computed once, samples give the losses and gradients of before.
void check_shared(const Samples& samples, const std::vector<int64_t>& shared) {
  const auto apart = step_of({samples});
  auto together = apart;
  together.passes = {data::pack(samples, true)};
  REQUIRE(together.passes[0].shared == shared);
  for (const auto& train : {parts("lora", "full", "frozen"), parts("full", "full", "full")}) {
    const auto want = take(apart, train), got = take(together, train);
    CHECK(got.result.loss == Approx(want.result.loss).epsilon(1e-6));
    check_same(got.gradients, want.gradients, 2e-5);
  }
}

}  // namespace

// Tolerance: back through four layers in float32.
TEST_CASE("loss and gradients of full tuning are transformers', weight by weight", "[train]") {
  const auto g = golden("train/full_gradients.safetensors");
  TinyRun run(parts("full", "full", "full"), 0, unclipped());
  const auto result = train_step(*run.model, *run.optimizer, step_of({golden_samples()}), {}, 1, 1);
  CHECK(result.loss == Approx(g.at("loss").item<double>()).epsilon(1e-6));
  double square = 0;
  for (const auto& [name, gradient] : g) {
    if (name != "loss") square += std::pow(gradient.norm().item<double>(), 2);
  }
  CHECK(result.grad_norm == Approx(std::sqrt(square)).epsilon(1e-5));

  // gradients into the leaves' place, so that the model names them
  for (const auto& t : run.optimizer->trainables()) {
    INFO(t.name);
    REQUIRE(t.leaf.grad().defined());
    const at::NoGradGuard no_gradients;
    at::Tensor(t.leaf).copy_(t.leaf.grad());
  }
  auto found = weights_of(*run.model);
  for (const auto& [name, gradient] : g) {
    if (name == "loss") continue;
    const auto canonical = canonical_weight_name(name.substr(2)).value_or("(unknown)");
    INFO(canonical);
    REQUIRE(found.count(canonical) == 1);
    // a bias of the keys moves no softmax: its gradient is 0, and what is found is rounding
    if (gradient.abs().max().item<float>() < 1e-6F) {
      CHECK(found.at(canonical).abs().max().item<float>() < 1e-6F);
    } else {
      CHECK(difference(found.at(canonical), gradient) < 2e-5);
    }
    found.erase(canonical);
  }
  CHECK(found.empty());
}

TEST_CASE("a packed batch and its samples one by one give the same losses and gradients",
          "[train]") {
  const auto samples = four_samples();
  for (const auto& train : {parts("lora", "full", "frozen"), parts("full", "full", "full")}) {
    const auto together = take(step_of({samples}), train);
    double loss = 0, targets = 0;
    Tensors sum;
    for (const auto& sample : samples) {
      const auto alone = take(step_of({{sample}}), train);
      const auto count = static_cast<double>(sample.num_label_tokens);
      loss += alone.result.loss * count;
      targets += count;
      for (const auto& [name, gradient] : alone.gradients) {
        sum[name] = sum.count(name) ? sum[name] + gradient * count : gradient * count;
      }
    }
    for (auto& [name, gradient] : sum) gradient = gradient / targets;
    CHECK(together.result.loss == Approx(loss / targets).epsilon(1e-6));
    check_same(together.gradients, sum, 2e-5);
  }
}

TEST_CASE(
    "a beginning that all samples share is computed once, and changes no more than a rounding",
    "[train]") {
  std::vector<data::ReadySample> samples = {
      tiny_sample({1, 7, 8, 9, 30, 31, 32}, 2),
      tiny_sample({1, 7, 8, 9, 63, 63, 63, 63, 50, 2}, 2, drawn({3, 8, 8}, 12)),
      tiny_sample({1, 7, 8, 9, 40, 2}, 1)};
  check_shared(samples, {0, 4, 4});
}

TEST_CASE("a picture that several samples show is encoded and read once, and changes no more",
          "[train]") {
  const auto bird = drawn({3, 8, 8}, 12), fish = drawn({3, 8, 8}, 13);
  // the second one's first answer is the first one's; the third has other words behind the picture
  auto samples = std::vector<data::ReadySample>{
      tiny_sample({1, 7, 63, 63, 63, 63, 50, 51, 33, 2}, 3, bird),
      tiny_sample({1, 7, 63, 63, 63, 63, 50, 51, 34, 35, 2}, 4, bird, 0.5),
      tiny_sample({1, 7, 63, 63, 63, 63, 52, 36, 2}, 2, bird),
      tiny_sample({1, 7, 63, 63, 63, 63, 52, 37, 2}, 2, fish)};
  for (size_t i = 0; i < 4; ++i) samples[i].picture = i < 3 ? "bird.png" : "fish.png";
  check_shared(samples, {0, 7, 6, 2});
  samples[1].pixels = {};  // the one before it brings them
  samples[2].pixels = {};
  const auto batch = data::pack(samples, true);
  CHECK(batch.num_images == 2);
  CHECK(batch.pixels.size() == 2 * 3 * 8 * 8);
}

TEST_CASE("what may be shared ends before other pictures, other targets and a sample's end",
          "[train]") {
  const auto shared = [](const data::ReadySample& before, const data::ReadySample& sample) {
    const auto found = data::shareable({before, sample});
    return found.empty() ? 0 : found.at(1);
  };
  const auto of = [](const char* file, data::ReadySample sample) {
    sample.picture = file;
    return sample;
  };
  CHECK(shared(tiny_sample({1, 7, 8, 9, 10}, 1), tiny_sample({1, 7, 8, 9, 11}, 1)) == 3);
  CHECK(shared(tiny_sample({1, 7, 8, 9, 10}, 1), tiny_sample({1, 7, 8, 9, 10}, 1)) == 4);
  CHECK(shared(tiny_sample({1, 7, 8, 9, 10}, 1), tiny_sample({1, 7, 8}, 1)) == 1);
  CHECK(shared(tiny_sample({1, 7, 8, 9, 10}, 1), tiny_sample({1, 7, 8, 9, 10}, 3)) == 1);
  CHECK(shared(tiny_sample({1, 7, 8, 9, 10}, 3), tiny_sample({1, 7, 8, 9, 10}, 1)) == 4);
  const auto one = tiny_sample({1, 63, 63, 63, 63, 5, 2}, 1, drawn({3, 8, 8}, 1));
  CHECK(shared(one, one) == 1);  // pictures of unknown files are never the same
  CHECK(shared(of("a", one), of("b", one)) == 1);
  CHECK(shared(of("a", one), of("a", one)) == 6);
  const auto caption = tiny_sample({1, 63, 63, 63, 63, 5, 2}, 2, drawn({3, 8, 8}, 1));
  const auto other = tiny_sample({1, 63, 63, 63, 63, 6, 2}, 2, drawn({3, 8, 8}, 1));
  CHECK(shared(of("a", caption), of("a", other)) == 1);  // its last position predicts: not in part
  CHECK(data::shareable({tiny_sample({1, 7, 8}, 1)}).empty());
  CHECK(shared(tiny_sample({1, 7, 8}, 1), tiny_sample({2, 7, 8}, 1)) == 0);
}

TEST_CASE("4 micro-batches equal 1, to a rounding, in loss, gradients and update", "[train]") {
  const auto s = four_samples();
  for (const auto& train : {parts("lora", "full", "frozen"), parts("full", "full", "full")}) {
    const auto one = take(step_of({s}), train);
    for (const auto& batch :
         {step_of({{s[0]}, {s[1]}, {s[2]}, {s[3]}}), step_of({{s[0], s[1], s[2]}, {s[3]}})}) {
      const auto many = take(batch, train);
      CHECK(many.result.loss == Approx(one.result.loss).epsilon(1e-6));
      CHECK(many.result.grad_norm == Approx(one.result.grad_norm).epsilon(1e-5));
      check_same(many.gradients, one.gradients, 2e-5);
      // AdamW's first update is the gradient's sign: entries about zero may go either way
      for (const auto& [name, value] : one.leaves) {
        const auto is_clear = one.gradients.count(name) ? one.gradients.at(name).abs() > 1e-5
                                                        : at::ones_like(value).gt(0);
        CHECK(difference(many.leaves.at(name).where(is_clear, 0), value.where(is_clear, 0)) < 1e-4);
      }
    }
  }
}

TEST_CASE("Muon gets the weight matrices of linear layers, each part of a fused one", "[train]") {
  OptimConfig muon;
  muon.matrices = "muon";
  TinyRun run(parts("full", "full", "full"), 0, muon);
  int64_t matrices = 0;
  for (const auto& t : run.optimizer->trainables()) {
    INFO(t.name);
    const bool is_layer = t.name.find("layers.") != std::string::npos ||
                          t.name.find("multi_modal_projector") != std::string::npos;
    const bool is_weight = is_layer && t.name.find(".weight") != std::string::npos;
    CHECK(takes_muon(muon, t) == is_weight);
    CHECK_FALSE(takes_muon(OptimConfig(), t));
    if (!is_weight) continue;
    int64_t rows = 0;
    for (const int64_t r : t.matrix_rows) rows += r;
    CHECK(rows == t.leaf.size(0));
    if (t.name.find("q_proj") != std::string::npos) CHECK(t.matrix_rows.size() == 3);
    if (t.name.find("gate_proj") != std::string::npos) CHECK(t.matrix_rows.size() == 2);
    matrices += static_cast<int64_t>(t.matrix_rows.size());
  }
  CHECK(matrices >= 7 + 6 + 2);
  for (const auto& t : prepare_training(*TinyRun(parts("lora", "full", "lora")).model,
                                        parts("lora", "full", "lora"))) {
    CHECK(takes_muon(muon, t) == (t.part == "projector" && t.leaf.dim() == 2));
  }
}

TEST_CASE("recomputing the layers changes no bit, dropout on", "[train]") {
  auto train = parts("lora", "full", "frozen");
  const auto batch = step_of({four_samples(), golden_samples()});
  const auto kept = take(batch, train, 0.3);
  train.recompute = "full";
  const auto again = take(batch, train, 0.3);
  CHECK(kept.result.loss == again.result.loss);
  CHECK(kept.result.grad_norm == again.result.grad_norm);
  check_same(again.gradients, kept.gradients, 0);
  check_same(again.leaves, kept.leaves, 0);

  train.recompute = "none";
  CHECK(take(batch, train, 0).result.loss != kept.result.loss);  // dropout was on
}

TEST_CASE("dropout masks are drawn anew by seed, step and pass", "[train]") {
  const auto train = parts("lora", "frozen", "frozen");
  auto batch = step_of({{four_samples()[2]}});
  const auto loss = [&](uint64_t seed) { return take(batch, train, 0.5, {}, seed).result.loss; };
  const double first = loss(1);
  CHECK(first == loss(1));
  CHECK(first != loss(2));
  batch.step = 1;
  CHECK(first != loss(1));
  // two passes of the same sample: their mean would be the first pass's loss if masks were shared
  CHECK(take(step_of({{four_samples()[2]}, {four_samples()[2]}}), train, 0.5).result.loss != first);
}

TEST_CASE("frozen weights do not move, and every trainable does", "[train]") {
  for (const auto& train : {parts("lora", "full", "frozen"), parts("lora", "frozen", "lora"),
                            parts("full", "frozen", "frozen"), parts("frozen", "full", "frozen"),
                            parts("frozen", "frozen", "lora"), parts("full", "full", "full")}) {
    INFO("language " << train.language << ", projector " << train.projector << ", vision "
                     << train.vision);
    TinyRun run(train);
    const auto before = weights_of(*run.model), leaves = run.leaves();
    const auto batch = step_of({four_samples()});
    for (int step = 0; step < 2; ++step) {
      REQUIRE_FALSE(train_step(*run.model, *run.optimizer, batch, {}, 1, 1).skipped);
    }
    for (const auto& [name, value] : run.leaves()) {
      INFO(name);
      CHECK_FALSE(at::equal(value, leaves.at(name)));
    }
    for (const auto& [name, value] : weights_of(*run.model)) {
      INFO(name);
      const auto& part = name.rfind("language_model.", 0) == 0 ? train.language
                         : name.rfind("vision_tower.", 0) == 0 ? train.vision
                                                               : train.projector;
      CHECK(at::equal(value, before.at(name)) == (part != "full"));
    }
  }
}

TEST_CASE("what trains is float32, listed once, under one name each", "[train]") {
  auto config = tiny_model();
  config.dtype = "bfloat16";
  for (const auto& train : {parts("lora", "full", "lora"), parts("full", "full", "full"),
                            parts("frozen", "frozen", "frozen")}) {
    const auto model = load_llava(config, at::kCPU, 0);
    lora::LoraConfig lora;
    lora.targets = {"q_proj", "fc1"};
    if (train.language == "lora") lora::attach(*model, lora, {true, true}, 0);
    std::set<std::string> names;
    std::set<void*> places;
    int64_t count = 0;
    const auto trainables = prepare_training(*model, train);
    for (const auto& t : trainables) {
      INFO(t.name);
      CHECK(t.leaf.scalar_type() == at::kFloat);
      CHECK(t.leaf.is_leaf());
      CHECK(t.leaf.requires_grad());
      CHECK(t.is_adapter == (t.name.find("lora_") != std::string::npos));
      names.insert(t.name);
      places.insert(t.leaf.data_ptr());
      count += t.leaf.numel();
    }
    CHECK(names.size() == trainables.size());
    CHECK(places.size() == trainables.size());
    int64_t total = 0;
    model->visit_weights(
        [&](const std::string&, const at::Tensor& slot) { total += slot.numel(); });
    if (train.language == "full") CHECK(count == total);
    if (train.language == "frozen") CHECK(trainables.empty());
  }
}

TEST_CASE("a loss that is not finite gives a skipped step without an update", "[train]") {
  TinyRun run(parts("lora", "full", "frozen"));
  const auto good = step_of({four_samples()});
  train_step(*run.model, *run.optimizer, good, {}, 1, 1);
  const auto leaves = run.leaves(), weights = weights_of(*run.model);
  Tensors state;
  for (const auto& [name, tensor] : run.optimizer->state()) state[name] = tensor.clone();

  auto bad =
      step_of({{four_samples()[1]}, {four_samples()[0]}});  // the second pass is the broken one
  bad.passes[1].pixels[5] =
      GENERATE(std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity());
  const auto result = train_step(*run.model, *run.optimizer, bad, {}, 1, 1);
  CHECK(result.skipped);
  CHECK_FALSE(std::isfinite(result.loss));
  check_same(run.leaves(), leaves, 0);
  check_same(weights_of(*run.model), weights, 0);
  check_same(run.optimizer->state(), state, 0);

  // and the next good step is as if nothing had been
  TinyRun other(parts("lora", "full", "frozen"));
  train_step(*other.model, *other.optimizer, good, {}, 1, 1);
  CHECK(train_step(*run.model, *run.optimizer, good, {}, 1, 1).loss ==
        train_step(*other.model, *other.optimizer, good, {}, 1, 1).loss);
  check_same(run.leaves(), other.leaves(), 0);
}

TEST_CASE("gradients that are not finite skip the step though the loss is finite", "[train]") {
  TinyRun run(parts("lora", "full", "frozen"));
  // values at the end of float32's range: the loss is weighed so that its gradient overflows on the
  // way back
  auto batch = step_of({four_samples()});
  for (auto& weight : batch.passes[0].loss_weights) weight = 3e38F;
  batch.label_weight = 1;
  const auto leaves = run.leaves();
  CHECK(train_step(*run.model, *run.optimizer, batch, {}, 1, 1).skipped);
  check_same(run.leaves(), leaves, 0);
}

TEST_CASE("a scaled loss gives the same bits, and an overflow halves the scale", "[train]") {
  const auto batch = step_of({four_samples()});
  TinyRun plain, scaled;
  LossScaler scaler;
  const auto a = train_step(*plain.model, *plain.optimizer, batch, {}, 1, 1);
  const auto b = train_step(*scaled.model, *scaled.optimizer, batch, {}, 1, 1, &scaler);
  CHECK(a.loss == Approx(b.loss).epsilon(1e-7));
  CHECK(a.grad_norm == Approx(b.grad_norm).epsilon(1e-6));
  check_same(scaled.leaves(), plain.leaves(), 1e-6);
  auto bad = batch;
  bad.passes[0].pixels[0] = std::numeric_limits<float>::infinity();
  CHECK(train_step(*scaled.model, *scaled.optimizer, bad, {}, 1, 1, &scaler).skipped);
  CHECK(scaler.scale() == 32768);
}

TEST_CASE("the loss of a step is weighed by tokens, or by passes where the recipe says so",
          "[train]") {
  const auto s = four_samples();
  const double first = take(step_of({{s[1]}})).result.loss,
               second = take(step_of({{s[2]}})).result.loss;
  const auto batch = step_of({{s[1]}, {s[2]}});  // 3 and 7 targets
  CHECK(take(batch).result.loss == Approx((3 * first + 7 * second) / 10).epsilon(1e-6));
  LossConfig by_pass;
  by_pass.norm = "micro_batch";
  CHECK(take(batch, {}, 0, by_pass).result.loss == Approx((first + second) / 2).epsilon(1e-6));
}

TEST_CASE("a set's loss weight counts in sum and divisor", "[train]") {
  auto s = four_samples();
  const double first = take(step_of({{s[1]}})).result.loss,
               second = take(step_of({{s[2]}})).result.loss;
  s[1].loss_weight = 2;
  CHECK(take(step_of({{s[1], s[2]}})).result.loss ==
        Approx((2 * 3 * first + 7 * second) / (2 * 3 + 7)).epsilon(1e-6));
}

TEST_CASE("a pass without a target is passed over", "[train]") {
  const auto s = four_samples();
  const auto without = tiny_sample({1, 5, 6}, 0);
  const auto one = take(step_of({{s[1]}})), two = take(step_of({{s[1]}, {without}}));
  CHECK(one.result.loss == two.result.loss);
  check_same(two.leaves, one.leaves, 0);
}

TEST_CASE("the chunk of the loss changes no more than a rounding", "[train]") {
  LossConfig small, large;
  small.chunk_tokens = 1;
  large.chunk_tokens = 4096;
  const auto batch = step_of({four_samples()});
  const auto a = take(batch, {}, 0, small), b = take(batch, {}, 0, large);
  CHECK(a.result.loss == Approx(b.result.loss).epsilon(1e-6));
  check_same(a.gradients, b.gradients, 1e-5);
}

TEST_CASE("a device pass predicts the next token within each sequence only", "[train]") {
  const auto model = tiny_llava();
  // every token is a target; the first of a sequence has nothing before it
  const auto batch = data::pack({tiny_sample({1, 5, 6}, 3), tiny_sample({7, 8}, 2, {}, 0.5)});
  const auto device = to_device(batch, *model);
  CHECK(at::equal(device.rows, at::tensor({0, 1, 3}, at::kLong)));
  CHECK(at::equal(device.targets, at::tensor({5, 6, 8}, at::kLong)));
  CHECK(at::equal(device.weights, at::tensor({1.0F, 1.0F, 0.5F})));
  CHECK(at::equal(device.input.ids_T, at::tensor({1, 5, 6, 7, 8}, at::kLong)));
  CHECK(device.input.packing.bounds == std::vector<int64_t>{0, 3, 5});
  CHECK_FALSE(device.input.pixels.defined());

  const auto pictures = to_device(data::pack(four_samples()), *model);
  CHECK(pictures.input.pixels.sizes() == at::IntArrayRef({2, 3, 8, 8}));
  CHECK(at::equal(pictures.input.image_slots, at::tensor({3, 4, 5, 6, 30, 31, 32, 33}, at::kLong)));
}

TEST_CASE("rows that only bring a pass to a multiple change no loss and no gradient", "[train]") {
  for (const bool shares : {false, true}) {
    auto batch = data::pack(four_samples());
    if (shares) batch.shared = {0, 1, 1, 1};  // all begin with token 1
    struct Pass {
      double loss;
      Tensors gradients;
      int64_t stream, targets;
    };
    const auto pass_of = [&](int64_t multiple) {
      TinyRun run;
      const auto device = to_device(batch, *run.model, multiple);
      const auto hidden = run.model->forward(device.input, device.rows);
      const auto loss =
          head_loss(hidden, run.model->language().head(), device.targets, device.weights, 256);
      torch::autograd::backward({loss}, {});
      return Pass{loss.item<double>(), run.gradients(), device.input.ids_T.size(0),
                  device.rows.size(0)};
    };
    const auto plain = pass_of(1), padded = pass_of(16);
    CHECK(padded.stream == (plain.stream + 15) / 16 * 16);
    CHECK(padded.stream > plain.stream);
    CHECK(padded.targets == (plain.targets + 15) / 16 * 16);
    CHECK(padded.loss == Approx(plain.loss).epsilon(1e-6));
    check_same(padded.gradients, plain.gradients, 1e-5);
  }
}

}  // namespace finer
