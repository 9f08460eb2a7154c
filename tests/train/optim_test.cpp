#include "finer/train/optim.h"

#include "finer/core/error.h"
#include "tests/tensors.h"

#include <catch2/catch.hpp>

#include <limits>

namespace finer {

namespace {

using Catch::Matchers::Equals;

OptimConfig golden_settings() {
  OptimConfig config;
  config.lr = 0.02;
  config.projector_lr = 0.005;
  config.weight_decay = 0.1;
  config.beta2 = 0.95;
  config.clip_norm = 1.5;
  config.warmup_steps = 2;
  return config;
}

std::vector<Trainable> golden_leaves(const Tensors& g) {
  return {{"matrix", "language", true, leaf(g.at("start/matrix"))},
          {"vector", "language", false, leaf(g.at("start/vector"))},
          {"projector", "projector", false, leaf(g.at("start/projector"))}};
}

void give_gradients(const Optimizer& optimizer, const Tensors& g, int step) {
  for (const auto& t : optimizer.trainables()) {
    at::Tensor leaf = t.leaf;
    leaf.mutable_grad() = g.at("grad" + std::to_string(step) + "/" + t.name).clone();
  }
}

void take_step(Optimizer& optimizer, const Tensors& g, int step) {
  give_gradients(optimizer, g, step);
  optimizer.clip();
  optimizer.step(schedule_factor(golden_settings(), step, 6));
}

}  // namespace

// Tolerance: torch's own loop and ATen's fused kernel order the same float32 products differently.
TEST_CASE("six steps of AdamW, clipping and cosine are torch's and transformers'", "[train]") {
  const auto g = golden("train/adamw.safetensors");
  Optimizer optimizer(golden_leaves(g), golden_settings());
  for (int step = 0; step < 6; ++step) {
    INFO("step " << step);
    give_gradients(optimizer, g, step);
    CHECK(optimizer.clip() == Approx(g.at("norms")[step].item<double>()).epsilon(1e-6));
    optimizer.step(schedule_factor(golden_settings(), step, 6));
    for (const auto& t : optimizer.trainables()) {
      INFO(t.name);
      CHECK(difference(t.leaf, g.at("after" + std::to_string(step) + "/" + t.name)) < 2e-7);
    }
  }
}

// Copies of a leaf in 16 bits are made anew when its version has changed (RoundedLeaf).
TEST_CASE("every update counts up the version of the leaves it writes", "[train]") {
  const auto g = golden("train/adamw.safetensors");
  for (const char* matrices : {"adamw", "muon"}) {
    auto config = golden_settings();
    config.matrices = matrices;
    auto leaves = golden_leaves(g);
    leaves[2].matrix_rows = {leaves[2].leaf.size(0)};
    Optimizer optimizer(leaves, config);
    std::vector<int64_t> before;
    for (const auto& t : optimizer.trainables()) before.push_back(t.leaf._version());
    give_gradients(optimizer, g, 0);
    optimizer.step(1.0);
    for (size_t i = 0; i < before.size(); ++i)
      CHECK(optimizer.trainables()[i].leaf._version() > before[i]);
  }
}

TEST_CASE("schedules are transformers', beyond the last step too", "[train]") {
  const auto g = golden("train/schedules.safetensors");
  CHECK(g.size() == 12);
  for (const auto& [name, factors] : g) {
    INFO(name);
    const auto first = name.find('/'), second = name.rfind('/');
    OptimConfig config;
    config.schedule = name.substr(0, first);
    config.warmup_steps = std::stoll(name.substr(second + 1));
    config.warmup_ratio = 0;
    const int64_t total = std::stoll(name.substr(first + 1, second - first - 1));
    for (int64_t step = 0; step < factors.size(0); ++step) {
      INFO("step " << step);
      CHECK(schedule_factor(config, step, total) ==
            Approx(factors[step].item<double>()).margin(1e-12));
    }
  }
}

// Tolerance: products of other sizes and order; five Newton-Schulz steps double an error a few
// times.
TEST_CASE("six steps of Muon are torch's, for a leaf of one matrix and of two", "[train]") {
  const auto g = golden("train/muon.safetensors");
  OptimConfig config;
  config.lr = 7;  // nothing here is AdamW's
  config.matrices = "muon";
  config.muon_lr = 0.02;
  config.projector_lr = 0.005;
  config.muon_momentum = 0.9;
  config.weight_decay = 0.1;
  // The tall matrix twice, one below the other, as a fused layer has its parts.
  const auto twice = [&](const std::string& name) {
    return at::cat({g.at(name + "/tall"), g.at(name + "/tall")});
  };
  Optimizer optimizer({{"wide", "language", false, leaf(g.at("start/wide")), {4}},
                       {"tall", "vision", false, leaf(twice("start")), {10, 10}},
                       {"square", "projector", false, leaf(g.at("start/square")), {5}}},
                      config);
  const auto& t = optimizer.trainables();
  for (int step = 0; step < 6; ++step) {
    INFO("step " << step);
    const auto grad = "grad" + std::to_string(step), after = "after" + std::to_string(step);
    for (const size_t i : {0, 2}) {
      at::Tensor leaf = t[i].leaf;
      leaf.mutable_grad() = g.at(grad + "/" + t[i].name).clone();
    }
    at::Tensor fused = t[1].leaf;
    fused.mutable_grad() = twice(grad);
    optimizer.step(1);
    CHECK(difference(t[0].leaf, g.at(after + "/wide")) < 2e-6);
    CHECK(difference(t[1].leaf, twice(after)) < 2e-6);
    CHECK(difference(t[2].leaf, g.at(after + "/square")) < 2e-6);
  }
  CHECK(optimizer.state().size() == 6);  // a momentum and a value each
}

TEST_CASE("adapters, vectors and embeddings stay with AdamW beside Muon", "[train]") {
  const auto g = golden("train/adamw.safetensors");
  auto config = golden_settings();
  config.matrices = "muon";
  Optimizer with(golden_leaves(g), config), without(golden_leaves(g), golden_settings());
  take_step(with, g, 0);
  take_step(without, g, 0);
  take_step(with, g, 1);
  take_step(without, g, 1);
  for (size_t i = 0; i < 3; ++i)
    CHECK(at::equal(with.trainables()[i].leaf, without.trainables()[i].leaf));
}

TEST_CASE("an optimizer with Muon goes on from its state to the same bits", "[train]") {
  const auto g = golden("train/muon.safetensors");
  OptimConfig config;
  config.matrices = "muon";
  config.lr = 0.02;
  const auto leaves = [](const at::Tensor& wide, const at::Tensor& square) {
    return std::vector<Trainable>{{"wide", "language", false, leaf(wide), {4}},
                                  {"square", "language", false, leaf(square)}};
  };
  const auto step = [&](Optimizer& optimizer, int number) {
    give_gradients(optimizer, g, number);
    optimizer.step(0.5);
  };
  Optimizer one(leaves(g.at("start/wide"), g.at("start/square")), config);
  for (int i = 0; i < 3; ++i) step(one, i);
  Tensors state;
  for (const auto& [name, tensor] : one.state()) state[name] = tensor.clone();
  CHECK(state.count("exp_avg/wide") == 1);
  CHECK(state.count("exp_avg_sq/wide") == 0);
  CHECK(state.count("exp_avg_sq/square") == 1);
  Optimizer two(leaves(at::zeros({4, 9}), at::zeros({5, 5})), config);
  two.load_state(state, "optimizer.safetensors");
  for (int i = 3; i < 6; ++i) {
    step(one, i);
    step(two, i);
  }
  for (size_t i = 0; i < 2; ++i)
    CHECK(at::equal(one.trainables()[i].leaf, two.trainables()[i].leaf));
}

TEST_CASE("an update that breaks off is known by it", "[train]") {
  const auto g = golden("train/muon.safetensors");
  OptimConfig config;
  config.matrices = "muon";
  const auto value = leaf(g.at("start/wide"));
  Optimizer optimizer({{"wide", "language", false, value, {value.size(0)}}}, config);
  value.mutable_grad() = g.at("grad0/wide").clone();
  optimizer.step(1.0);
  CHECK_FALSE(optimizer.is_updating());
  const auto gather = [](const at::Tensor&, const at::Tensor&) {
    throw std::runtime_error("gone");
  };
  CHECK_THROWS_AS(optimizer.step(1.0, {0, 2, gather}), std::runtime_error);
  CHECK(optimizer.is_updating());
}

TEST_CASE("ranks that share out Muon's matrices make the update of one", "[train]") {
  const auto g = golden("train/muon.safetensors");
  const std::vector<std::string> names = {"wide", "tall", "square"};
  // What each rank has made, gather by gather, in an earlier call.
  std::vector<std::vector<at::Tensor>> given(3);
  const auto update = [&](int rank, int size, int64_t bucket_values) {
    std::vector<MuonMatrix> matrices;
    for (const auto& name : names) {
      const auto value = g.at("start/" + name).clone();
      matrices.push_back({value, g.at("grad0/" + name), at::zeros_like(value), 0.1, 0.1});
    }
    std::vector<at::Tensor> made;
    const auto gather = [&](const at::Tensor& own, const at::Tensor& all) {
      for (int r = 0; r < size; ++r) {
        const auto& parts = given[static_cast<size_t>(r)];
        const auto place = all.narrow(0, r * own.size(0), own.size(0));
        place.copy_(made.size() < parts.size() ? parts[made.size()] : at::zeros_like(own));
      }
      made.push_back(own.clone());
    };
    muon_step(matrices, 0.95, 5, {rank, size, gather}, bucket_values);
    given[static_cast<size_t>(rank)] = made;
    std::vector<at::Tensor> out;
    for (const auto& m : matrices) out.push_back(m.value);
    return out;
  };
  const auto alone = update(0, 1, 1000);
  // Buckets for two ranks: all three (121 values); the wide and the tall one; each alone.
  for (const auto& [size, bucket_values, buckets] : std::vector<std::tuple<int, int64_t, size_t>>{
           {2, 1000, 1}, {3, 1000, 1}, {2, 50, 2}, {2, 5, 3}, {1, 5, 0}}) {
    INFO(size << " ranks, " << bucket_values << " values a bucket");
    given.assign(3, {});
    for (int rank = 0; rank < size; ++rank) {
      update(rank, size, bucket_values);
      CHECK(given[static_cast<size_t>(rank)].size() == buckets);
      // in one bucket each rank has something to make
      if (buckets == 1) CHECK(given[static_cast<size_t>(rank)][0].any().item<bool>());
    }
    for (int rank = 0; rank < size; ++rank) {
      const auto shared = update(rank, size, bucket_values);
      for (size_t i = 0; i < names.size(); ++i) CHECK(difference(shared[i], alone[i]) < 1e-6);
    }
  }
}

TEST_CASE("orthogonalized matrices have singular values about 1", "[train]") {
  at::manual_seed(3);
  const auto x = at::randn({2, 12, 30});
  for (const auto& made :
       {orthogonalize(x, 5), orthogonalize(x.transpose(1, 2), 5).transpose(1, 2)}) {
    const auto values = at::linalg_svdvals(made);
    CHECK(values.min().item<float>() > 0.6F);
    CHECK(values.max().item<float>() < 1.3F);
    // And the directions are x's: the product with the exact one is about the rank.
    const auto [u, s, vh] = at::linalg_svd(x, false);
    const auto exact = at::bmm(u, vh);
    CHECK((made * exact).sum({1, 2}).min().item<float>() > 12 * 0.8F);
  }
  CHECK(at::equal(orthogonalize(at::zeros({1, 3, 4}), 5), at::zeros({1, 3, 4})));
}

TEST_CASE("a warm-up ratio is rounded up to whole steps, as the Trainer does", "[train]") {
  OptimConfig config;
  config.warmup_ratio = 0.03;
  CHECK(schedule_factor(config, 3, 101) == Approx(0.75));  // ceil(3.03) = 4 steps
  CHECK(schedule_factor(config, 4, 101) == Approx(1.0));
  config.warmup_steps = 8;  // goes before the ratio
  CHECK(schedule_factor(config, 2, 101) == Approx(0.25));
}

TEST_CASE("min_lr_ratio is where cosine and linear end", "[train]") {
  OptimConfig config;
  config.warmup_ratio = 0;
  config.min_lr_ratio = 0.1;
  for (const std::string schedule : {"cosine", "linear"}) {
    config.schedule = schedule;
    CHECK(schedule_factor(config, 0, 10) == Approx(1.0));
    CHECK(schedule_factor(config, 5, 10) == Approx(0.55));
    CHECK(schedule_factor(config, 10, 10) == Approx(0.1));
  }
  config.schedule = "constant";
  CHECK(schedule_factor(config, 10, 10) == 1.0);
}

TEST_CASE("a part has its own rate where the recipe names one", "[train]") {
  OptimConfig config;
  config.lr = 3;
  CHECK(base_lr(config, "projector") == 3);
  CHECK(base_lr(config, "vision") == 3);
  config.projector_lr = 2;
  config.vision_lr = 1;
  CHECK(base_lr(config, "projector") == 2);
  CHECK(base_lr(config, "vision") == 1);
  CHECK(base_lr(config, "language") == 3);
  CHECK(muon_lr(config, "language") == 3);
  config.muon_lr = 4;
  CHECK(base_lr(config, "language") == 3);
  CHECK(muon_lr(config, "language") == 4);
  CHECK(muon_lr(config, "vision") == 1);
}

TEST_CASE("a tensor without a gradient is passed over, its decay and step count included",
          "[train]") {
  const auto g = golden("train/adamw.safetensors");
  Optimizer optimizer(golden_leaves(g), golden_settings());
  at::Tensor matrix = optimizer.trainables()[0].leaf;
  matrix.mutable_grad() = g.at("grad0/matrix").clone();
  optimizer.step(1);
  CHECK_FALSE(at::equal(matrix, g.at("start/matrix")));
  CHECK(at::equal(optimizer.trainables()[2].leaf, g.at("start/projector")));
  CHECK(optimizer.state().at("step/matrix").item<float>() == 1);
  CHECK(optimizer.state().at("step/projector").item<float>() == 0);
  optimizer.zero_grad();
  CHECK_FALSE(matrix.grad().defined());
  CHECK(optimizer.clip() == 0);
}

TEST_CASE("clipping leaves short gradients, and those that are not finite, as they are",
          "[train]") {
  const auto g = golden("train/adamw.safetensors");
  OptimConfig config = golden_settings();
  const auto clipped = [&](const at::Tensor& gradient) {
    Optimizer optimizer({{"matrix", "language", true, leaf(g.at("start/matrix"))}}, config);
    at::Tensor matrix = optimizer.trainables()[0].leaf;
    matrix.mutable_grad() = gradient.clone();
    const double norm = optimizer.clip();
    return std::pair(norm, matrix.grad());
  };
  auto gradient = at::zeros({5, 4});
  gradient[0][0] = 3;
  gradient[4][3] = 4;
  CHECK(clipped(gradient).first == Approx(5));
  CHECK(difference(clipped(gradient).second, gradient * (1.5 / 5)) < 1e-6);
  CHECK(at::equal(clipped(gradient * 0.1).second, gradient * 0.1));
  config.clip_norm = 0;
  CHECK(at::equal(clipped(gradient).second, gradient));
  config.clip_norm = 1.5;
  gradient[1][1] = std::numeric_limits<float>::infinity();
  CHECK_FALSE(std::isfinite(clipped(gradient).first));
  CHECK(at::equal(clipped(gradient).second, gradient));
}

TEST_CASE("an optimizer filled with another's state goes on to the same bits", "[train]") {
  const auto g = golden("train/adamw.safetensors");
  Optimizer one(golden_leaves(g), golden_settings());
  for (int step = 0; step < 3; ++step) take_step(one, g, step);
  Tensors state;
  for (const auto& [name, tensor] : one.state()) state[name] = tensor.clone();
  CHECK(state.count("leaf/vector") == 1);
  CHECK(state.count("leaf/matrix") == 0);  // an adapter: its file holds it

  auto leaves = golden_leaves(g);
  leaves[0].leaf = leaf(one.trainables()[0].leaf);
  Optimizer two(leaves, golden_settings());
  two.load_state(state, "optimizer.safetensors");
  for (int step = 3; step < 6; ++step) {
    take_step(one, g, step);
    take_step(two, g, step);
  }
  for (size_t i = 0; i < 3; ++i)
    CHECK(at::equal(one.trainables()[i].leaf, two.trainables()[i].leaf));
}

TEST_CASE("a state that does not fit is refused by name", "[train]") {
  const auto g = golden("train/adamw.safetensors");
  Optimizer optimizer(golden_leaves(g), golden_settings());
  auto state = optimizer.state();
  const auto refusal = [&] {
    try {
      optimizer.load_state(state, "here");
    } catch (const CheckpointError& error) {
      return std::string(error.what());
    }
    return std::string("(nothing)");
  };
  CHECK(refusal() == "(nothing)");
  state["exp_avg_sq/vector"] = at::zeros({8});
  CHECK_THAT(refusal(), Equals("here: exp_avg_sq/vector has another shape"));
  state.erase("exp_avg_sq/vector");
  CHECK_THAT(refusal(), Equals("here: lacks exp_avg_sq/vector"));
}

}  // namespace finer
