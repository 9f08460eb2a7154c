#pragma once

#include "data/loader.h"
#include "finer/train/optim.h"
#include "finer/train/trainable.h"
#include "lora/attach.h"
#include "tests/model/tiny_llava.h"

#include <ATen/Parallel.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace finer {

/// One sample for the tiny LLaVA: ids whose last `num_targets` are targets; kTinyImageId marks the
/// picture.
inline data::ReadySample tiny_sample(const std::vector<int64_t>& ids, int64_t num_targets,
                                     const at::Tensor& pixels = {}, double loss_weight = 1) {
  data::ReadySample sample;
  sample.loss_weight = loss_weight;
  sample.num_label_tokens = num_targets;
  for (size_t i = 0; i < ids.size(); ++i) {
    const bool is_image = ids[i] == kTinyImageId;
    if (is_image && sample.image_begin < 0) sample.image_begin = static_cast<int64_t>(i);
    sample.image_positions += is_image ? 1 : 0;
    sample.input_ids.push_back(is_image ? 0 : ids[i]);
    sample.labels.push_back(i + static_cast<size_t>(num_targets) < ids.size() ? kIgnoreLabel
                                                                              : ids[i]);
  }
  if (pixels.defined()) {
    const auto flat = pixels.contiguous();
    sample.pixels.assign(flat.const_data_ptr<float>(), flat.const_data_ptr<float>() + flat.numel());
  }
  return sample;
}

/// The two samples of tests/golden/model, with the targets that make_train.py gives them.
inline std::vector<data::ReadySample> golden_samples() {
  const auto g = golden("model/logits.safetensors");
  const auto ids = [&](const std::string& name) {
    const auto& t = g.at(name);
    return std::vector<int64_t>(t.const_data_ptr<int64_t>(),
                                t.const_data_ptr<int64_t>() + t.numel());
  };
  return {tiny_sample(ids("picture.ids"), 4, g.at("picture.pixels")),
          tiny_sample(ids("text.ids"), 3)};
}

/// Four samples of unequal length, two of them with a picture.
inline std::vector<data::ReadySample> four_samples() {
  auto samples = golden_samples();
  samples.push_back(tiny_sample({1, 30, 31, 32, 33, 34, 35, 36, 37, 2}, 7));
  samples.push_back(tiny_sample({1, 63, 63, 63, 63, 50, 51, 2}, 2, drawn({3, 8, 8}, 12)));
  return samples;
}

/// A step of these device passes.
inline data::StepBatch step_of(std::vector<std::vector<data::ReadySample>> passes) {
  data::StepBatch batch;
  for (auto& samples : passes) {
    batch.num_samples += static_cast<int64_t>(samples.size());
    batch.passes.push_back(data::pack(std::move(samples)));
    batch.num_tokens += batch.passes.back().num_tokens();
    batch.num_label_tokens += batch.passes.back().num_label_tokens;
    batch.label_weight += batch.passes.back().label_weight;
  }
  batch.num_passes = static_cast<int64_t>(batch.passes.size());
  return batch;
}

/// The tiny LLaVA, ready to train.
struct TinyRun {
  explicit TinyRun(const TrainConfig& train = {}, double dropout = 0, OptimConfig optim = fast())
      : model(tiny_llava()) {
    at::set_num_threads(1);  // tensors of a few hundred numbers: a second thread only costs
    const lora::AttachParts parts{train.language == "lora", train.vision == "lora"};
    if (parts.language || parts.vision) {
      lora::LoraConfig config;
      config.rank = 3;
      config.alpha = 6;
      config.dropout = dropout;
      config.targets = {"q_proj", "v_proj", "o_proj", "up_proj", "down_proj"};
      if (parts.vision) config.targets.emplace_back("fc1");
      if (!parts.language) config.targets = {"fc1", "v_proj"};
      lora::attach(*model, config, parts, 5);
    }
    optimizer = std::make_unique<Optimizer>(prepare_training(*model, train), optim);
    // B is zero at first, which hides half of the gradients
    const at::NoGradGuard no_gradients;
    uint64_t seed = 100;
    for (const auto& t : optimizer->trainables()) {
      if (t.is_adapter) at::Tensor(t.leaf).add_(drawn(t.leaf.sizes(), ++seed) * 0.1);
    }
  }

  static OptimConfig fast() {
    OptimConfig optim;
    optim.lr = 1e-2;
    return optim;
  }

  Tensors leaves() const {
    Tensors out;
    for (const auto& t : optimizer->trainables()) out[t.name] = t.leaf.detach().clone();
    return out;
  }
  Tensors gradients() const {
    Tensors out;
    for (const auto& t : optimizer->trainables()) {
      if (t.leaf.grad().defined()) out[t.name] = t.leaf.grad().clone();
    }
    return out;
  }

  std::unique_ptr<Llava> model;
  std::unique_ptr<Optimizer> optimizer;
};

}  // namespace finer
