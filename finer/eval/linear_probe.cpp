#include "finer/eval/linear_probe.h"

#include "finer/core/atomic_file.h"
#include "finer/core/error.h"
#include "finer/core/joined.h"
#include "finer/core/log.h"
#include "finer/core/quote.h"
#include "finer/core/rng.h"
#include "finer/core/scalar_text.h"
#include "finer/eval/tap_features.h"
#include "finer/train/readable.h"

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/grad_mode.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>

namespace finer {

namespace {

namespace fs = std::filesystem;

// To be raised when a head is fitted in another way, so that what was kept before is not taken.
constexpr int kHeadVersion = 1;

// The label that a record has at a level: a fine class, or the first of its labels.
std::string label_of(const data::UnifiedRecord& record, Level level) {
  if (level == Level::kHighCoarse) return record.superordinate;
  return joined(level == Level::kCoarse ? record.coarse : record.fine);
}

at::Tensor labels_of(const EvalSet& set, Level level, std::map<std::string, int64_t>& numbers,
                     bool adds) {
  std::vector<int64_t> y;
  for (const size_t place : set.chosen) {
    const auto label = label_of(set.records[place], level);
    if (adds) numbers.emplace(label, static_cast<int64_t>(numbers.size()));
    const auto at = numbers.find(label);
    if (at == numbers.end()) {
      throw DataError(set.file.string() + ": idx " + std::to_string(set.records[place].idx) +
                      " is of " + quote(label, 60) +
                      ", which no record to fit is; a linear probe can only tell what it has seen");
    }
    y.push_back(at->second);
  }
  return at::tensor(y, at::kLong);
}

// What one probe's heads learn from and are measured on, a tap after another.
struct ProbeData {
  std::vector<at::Tensor> fit_x, test_x;  // [N, D] float32, a tap each
  at::Tensor fit_y, test_y;               // int64 [N]
  int64_t num_classes = 0;
};

// None: stopped.
std::optional<ProbeData> probe_data(const EvalRecipe& recipe, OpenModel& model,
                                    const EvalLinearConfig& c, const std::function<bool()>& stop) {
  const Level level = parse_level(c.level);
  const auto fit = open_eval_set({.name = "fit", .records = c.fit_records, .images = c.images},
                                 recipe.subset, {level});
  const auto test = open_eval_set({.name = "test", .records = c.test_records, .images = c.images},
                                  recipe.subset, {level});
  ProbeData data;
  std::map<std::string, int64_t> numbers;
  data.fit_y = labels_of(fit, level, numbers, true);
  data.test_y = labels_of(test, level, numbers, false);
  data.num_classes = static_cast<int64_t>(numbers.size());
  data.fit_x = features_of(recipe, model, fit, c, stop);
  if (data.fit_x.empty()) return std::nullopt;
  data.test_x = features_of(recipe, model, test, c, stop);
  if (data.test_x.empty()) return std::nullopt;
  return data;
}

std::string hash_of(const at::Tensor& x) {
  return hash_text(hash_bytes({static_cast<const char*>(x.const_data_ptr()), x.nbytes()}));
}

// Models that share a frozen tower have the same features, hence the same head.
std::string features_hash(const ProbeData& data, size_t tap) {
  return hash_of(data.fit_x[tap]) + hash_of(data.test_x[tap]);
}

// Of everything that a head's accuracy depends on.
std::string head_key(const EvalLinearConfig& c, const ProbeData& data, size_t tap) {
  std::string text = std::to_string(kHeadVersion) + " " + features_hash(data, tap) +
                     hash_of(data.fit_y) + hash_of(data.test_y) + c.head;
  for (const int64_t number : {c.hidden, c.epochs, c.batch, static_cast<int64_t>(c.seed)})
    text += " " + std::to_string(number);
  return hash_text(hash_bytes(text + " " + real_text(c.lr) + " " + real_text(c.weight_decay)));
}

std::optional<double> read_accuracy(const fs::path& file) {
  std::ifstream in(file);
  if (!in) return std::nullopt;
  try {
    const double accuracy = nlohmann::json::parse(in).at("accuracy");
    if (accuracy >= 0 && accuracy <= 1) return accuracy;
  } catch (const nlohmann::json::exception&) {  // torn by a crash: fitted anew
  }
  log::info(file.string() + ": is not whole, and is made anew");
  return std::nullopt;
}

// Accuracy of the head behind a tap: from its file, or fitted and kept. None: stopped.
std::optional<double> head_accuracy(const EvalRecipe& recipe, const EvalLinearConfig& c,
                                    const ProbeData& data, size_t tap,
                                    const std::function<bool()>& stop) {
  const auto file =
      fs::path(recipe.output) / "probes" / "heads" / (head_key(c, data, tap) + ".json");
  if (const auto known = read_accuracy(file)) return known;
  const auto accuracy = probe_accuracy(c, data.fit_x[tap], data.fit_y, data.test_x[tap],
                                       data.test_y, data.num_classes, stop);
  if (!accuracy) return std::nullopt;
  fs::create_directories(file.parent_path());
  atomic_write(file, nlohmann::json{{"accuracy", *accuracy}, {"tap", c.taps[tap]}}.dump() + "\n");
  return accuracy;
}

}  // namespace

std::optional<double> probe_accuracy(const EvalLinearConfig& config, const at::Tensor& fit_x,
                                     const at::Tensor& fit_y, const at::Tensor& test_x,
                                     const at::Tensor& test_y, int64_t num_classes,
                                     const std::function<bool()>& stop) {
  const auto mean = fit_x.mean(0), scale = fit_x.std(0, false).clamp_min(1e-6);
  const auto standard = [&](const at::Tensor& x) { return (x - mean) / scale; };
  const auto x = standard(fit_x);
  const int64_t width = x.size(1);
  // Weights drawn from the seed by value, on any machine.
  Rng rng(mix_seed(config.seed, 1));
  const auto matrix = [&](int64_t out, int64_t in) {
    std::vector<float> values(static_cast<size_t>(out * in));
    const double bound = 1 / std::sqrt(static_cast<double>(in));
    for (auto& value : values) value = static_cast<float>((2 * rng.uniform() - 1) * bound);
    return at::tensor(values).view({out, in}).set_requires_grad(true);
  };
  std::vector<at::Tensor> weights;
  if (config.head == "mlp") {
    weights = {matrix(config.hidden, width), at::zeros({config.hidden}).set_requires_grad(true),
               matrix(num_classes, config.hidden),
               at::zeros({num_classes}).set_requires_grad(true)};
  } else {
    weights = {matrix(num_classes, width), at::zeros({num_classes}).set_requires_grad(true)};
  }
  const auto logits = [&](const at::Tensor& in) {
    auto h = at::linear(in, weights[0], weights[1]);
    return weights.size() == 2 ? h : at::linear(at::gelu(h), weights[2], weights[3]);
  };
  std::vector<at::Tensor> first, second;
  for (const auto& w : weights) {
    first.push_back(at::zeros_like(w));
    second.push_back(at::zeros_like(w));
  }
  constexpr double kBeta1 = 0.9, kBeta2 = 0.999, kEps = 1e-8;
  int64_t step = 0;
  for (int64_t epoch = 0; epoch < config.epochs; ++epoch) {
    if (stop()) return std::nullopt;
    const auto order =
        permutation(x.size(0), mix_seed(config.seed, 100 + static_cast<uint64_t>(epoch)));
    const auto order_N = at::tensor(order, at::kLong);
    for (int64_t at = 0; at < x.size(0); at += config.batch) {
      const auto rows = order_N.narrow(0, at, std::min(config.batch, x.size(0) - at));
      std::vector<at::Tensor> gradients;
      {
        const at::AutoGradMode with_gradients(true);
        const auto loss =
            at::cross_entropy_loss(logits(x.index_select(0, rows)), fit_y.index_select(0, rows));
        gradients = torch::autograd::grad({loss}, weights);
      }
      const at::NoGradGuard no_gradients;
      ++step;
      for (size_t i = 0; i < weights.size(); ++i) {
        auto& w = weights[i];
        w.mul_(1 - config.lr * config.weight_decay);
        first[i].mul_(kBeta1).add_(gradients[i], 1 - kBeta1);
        second[i].mul_(kBeta2).addcmul_(gradients[i], gradients[i], 1 - kBeta2);
        const double one = 1 - std::pow(kBeta1, step), two = 1 - std::pow(kBeta2, step);
        w.addcdiv_(first[i], (second[i] / two).sqrt_().add_(kEps), -config.lr / one);
      }
    }
  }
  const at::NoGradGuard no_gradients;
  const auto right = logits(standard(test_x)).argmax(1).eq(test_y);
  return right.to(at::kDouble).mean().item<double>();
}

bool keep_linear_probes(const EvalRecipe& recipe, OpenModel& model,
                        const std::function<bool()>& stop) {
  for (const auto& c : recipe.probes.linear) {
    const auto data = probe_data(recipe, model, c, stop);
    if (!data) return false;
    for (size_t t = 0; t < c.taps.size(); ++t) {
      if (!head_accuracy(recipe, c, *data, t, stop)) return false;
    }
  }
  return true;
}

bool run_linear_probes(const EvalRecipe& recipe, OpenModel& model,
                       const std::function<bool()>& stop, EvalResults& results) {
  for (size_t i = 0; i < recipe.probes.linear.size(); ++i) {
    const auto& c = recipe.probes.linear[i];
    const auto data = probe_data(recipe, model, c, stop);
    if (!data) return false;
    for (size_t t = 0; t < c.taps.size(); ++t) {
      const auto accuracy = head_accuracy(recipe, c, *data, t, stop);
      if (!accuracy) return false;
      results.extra["linear"].push_back({{"model", model.name()},
                                         {"probe", i},
                                         {"fit_records", c.fit_records},
                                         {"test_records", c.test_records},
                                         {"tap", c.taps[t]},
                                         {"features", features_hash(*data, t)},
                                         {"pool", c.pool},
                                         {"head", c.head},
                                         {"level", c.level},
                                         {"classes", data->num_classes},
                                         {"fit", data->fit_y.size(0)},
                                         {"test", data->test_y.size(0)},
                                         {"accuracy", *accuracy}});
      log::info(model.name() + ": linear probe of " + c.taps[t] + ": accuracy " +
                readable_fixed(100 * *accuracy, 1) + "%");
    }
  }
  return true;
}

void add_linear_section(EvalResults& results) {
  if (!results.extra.contains("linear")) return;
  ReportSection section{.title = "What a linear probe finds in the features"};
  section.paragraphs = {
      "A small head learns to tell the labels from frozen features. What is lost between two taps "
      "is lost for the language model, too."};
  ReportTable table;
  table.columns = {{"model"}, {"tap"},           {"measured on"},   {"level"},
                   {"head"},  {"classes", true}, {"records", true}, {"accuracy", true}};
  for (const auto& row : results.extra["linear"]) {
    table.rows.push_back(
        {text_cell(row["model"]),
         text_cell(row["tap"].get<std::string>() + ", " + row["pool"].get<std::string>()),
         text_cell(fs::path(row["test_records"].get<std::string>()).filename().string()),
         text_cell(row["level"]), text_cell(row["head"]),
         text_cell(readable_count(row["classes"].get<int64_t>())),
         text_cell(readable_count(row["test"].get<int64_t>())),
         text_cell(readable_fixed(100 * row["accuracy"].get<double>(), 1))});
  }
  section.tables = {table};
  results.sections.push_back(std::move(section));
}

}  // namespace finer
