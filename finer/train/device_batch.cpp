#include "finer/train/device_batch.h"

namespace finer {

namespace {

at::Tensor long_tensor(const std::vector<int64_t>& values, at::Device device) {
  return at::tensor(values, at::kLong).to(device);
}

}  // namespace

DeviceBatch to_device(const data::PackedBatch& batch, const Llava& model) {
  const auto device = model.options().device();
  DeviceBatch out;
  out.input.packing =
      Packing::from_bounds({batch.bounds.begin(), batch.bounds.end()}, device, batch.shared_prefix);
  const auto& packing = out.input.packing;
  const bool shares = packing.shared_prefix > 0;
  const auto in_stream = [&](const at::Tensor& positions) {
    return shares ? packing.expand_T.index_select(0, positions) : positions;
  };
  out.input.ids_T = long_tensor(batch.input_ids, device);
  if (shares) out.input.ids_T = out.input.ids_T.index_select(0, packing.kept);
  if (batch.num_images > 0) {
    const int64_t side = model.config().vision.image_side_px;
    out.input.image_slots = in_stream(long_tensor(batch.image_slots, device));
    out.input.pixels =
        at::tensor(batch.pixels, at::kFloat).view({batch.num_images, 3, side, side}).to(device);
  }
  std::vector<int64_t> rows, targets;
  std::vector<float> weights;
  for (size_t s = 0; s + 1 < batch.bounds.size(); ++s) {
    for (int64_t t = batch.bounds[s]; t + 1 < batch.bounds[s + 1]; ++t) {
      const int64_t label = batch.labels[static_cast<size_t>(t + 1)];
      if (label == kIgnoreLabel) continue;
      rows.push_back(t);
      targets.push_back(label);
      weights.push_back(batch.loss_weights[s]);
    }
  }
  out.rows = in_stream(long_tensor(rows, device));
  out.targets = long_tensor(targets, device);
  out.weights = at::tensor(weights, at::kFloat).to(device);
  return out;
}

}  // namespace finer
