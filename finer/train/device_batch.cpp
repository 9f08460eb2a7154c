#include "finer/train/device_batch.h"

namespace finer {

namespace {

constexpr size_t kNoTarget = static_cast<size_t>(-1);

at::Tensor long_tensor(const std::vector<int64_t>& values, at::Device device) {
  return at::tensor(values, at::kLong).to(device);
}

}  // namespace

DeviceBatch to_device(const data::PackedBatch& batch, const Llava& model) {
  const auto device = model.options().device();
  DeviceBatch out;
  out.input.packing =
      Packing::from_bounds({batch.bounds.begin(), batch.bounds.end()}, device, batch.shared);
  const auto& packing = out.input.packing;
  const bool shares = packing.is_shared();
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
  std::vector<size_t> before, found;  // target of each position of a sequence, of the one before
  for (size_t s = 0; s + 1 < batch.bounds.size(); ++s) {
    const int64_t shared = batch.shared.empty() ? 0 : batch.shared[s];
    before.swap(found);
    found.assign(static_cast<size_t>(batch.bounds[s + 1] - batch.bounds[s]), kNoTarget);
    for (int64_t t = batch.bounds[s]; t + 1 < batch.bounds[s + 1]; ++t) {
      const auto place = static_cast<size_t>(t - batch.bounds[s]);
      const bool is_shared = static_cast<int64_t>(place) < shared;
      if (is_shared) found[place] = before[place];
      const int64_t label = batch.labels[static_cast<size_t>(t + 1)];
      if (label == kIgnoreLabel) continue;
      if (is_shared) {  // the same target from the same row: counted twice, computed once
        weights[found[place]] += batch.loss_weights[s];
        continue;
      }
      found[place] = targets.size();
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
