#include "finer/train/device_batch.h"

#include "finer/nn/upload.h"

#include <numeric>

namespace finer {

namespace {

constexpr size_t kNoTarget = static_cast<size_t>(-1);

at::Tensor long_tensor(const std::vector<int64_t>& values, at::Device device) {
  return upload(at::tensor(values, at::kLong), device);
}

// Tokens that bring `count` to a multiple of `multiple`.
int64_t missing(int64_t count, int64_t multiple) {
  return (multiple - count % multiple) % multiple;
}

// Positions of the packed row that are no target's and stand in the stream: what weight-0 targets
// are taken from.
std::vector<int64_t> spare_positions(const data::PackedBatch& batch,
                                     const std::vector<int64_t>& rows, int64_t count) {
  std::vector<int64_t> out;
  size_t next = 0;  // of rows, which ascend
  for (size_t s = 0; s + 1 < batch.bounds.size(); ++s) {
    const int64_t shared = batch.shared.empty() ? 0 : batch.shared[s];
    for (int64_t t = batch.bounds[s] + shared; t < batch.bounds[s + 1]; ++t) {
      if (static_cast<int64_t>(out.size()) == count) return out;
      while (next < rows.size() && rows[next] < t) ++next;
      if (next == rows.size() || rows[next] != t) out.push_back(t);
    }
  }
  return out;
}

}  // namespace

DeviceBatch to_device(const data::PackedBatch& batch, const Llava& model) {
  constexpr int64_t kOnCuda = 128;
  return to_device(batch, model, model.options().device().is_cuda() ? kOnCuda : 1);
}

DeviceBatch to_device(const data::PackedBatch& batch, const Llava& model, int64_t row_multiple) {
  const auto device = model.options().device();
  DeviceBatch out;
  std::vector<int64_t> bounds(batch.bounds.begin(), batch.bounds.end());
  auto shared_tokens = batch.shared;
  auto ids = batch.input_ids;
  const int64_t in_common = std::accumulate(shared_tokens.begin(), shared_tokens.end(), int64_t{0});
  if (const int64_t more = missing(batch.num_tokens() - in_common, row_multiple); more > 0) {
    bounds.push_back(bounds.back() + more);
    if (!shared_tokens.empty()) shared_tokens.push_back(0);
    ids.resize(ids.size() + static_cast<size_t>(more), ids.front());
  }
  out.input.packing = Packing::from_bounds(std::move(bounds), device, shared_tokens);
  const auto& packing = out.input.packing;
  const bool shares = packing.is_shared();
  const auto in_stream = [&](const at::Tensor& positions) {
    return shares ? packing.expand_T.index_select(0, positions) : positions;
  };
  out.input.ids_T = long_tensor(ids, device);
  if (shares) out.input.ids_T = out.input.ids_T.index_select(0, packing.kept);
  if (batch.num_images > 0) {
    const int64_t side = model.config().vision.image_side_px;
    out.input.image_slots = in_stream(long_tensor(batch.image_slots, device));
    out.input.pixels = upload(
        at::tensor(batch.pixels, at::kFloat).view({batch.num_images, 3, side, side}), device);
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
  if (const auto more = missing(static_cast<int64_t>(rows.size()), row_multiple); more > 0) {
    const auto spare = spare_positions(batch, rows, more);
    rows.insert(rows.end(), spare.begin(), spare.end());
    targets.resize(rows.size(), 0);
    weights.resize(rows.size(), 0.0F);
  }
  out.rows = in_stream(long_tensor(rows, device));
  out.targets = long_tensor(targets, device);
  out.weights = upload(at::tensor(weights, at::kFloat), device);
  return out;
}

}  // namespace finer
