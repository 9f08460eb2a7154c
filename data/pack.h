#pragma once

#include "data/sampler.h"
#include "finer/text/conversation.h"

#include <cstdint>
#include <string>
#include <vector>

namespace finer::data {

/// A sample ready to be packed: image mark widened to its positions, cut to the limit.
struct ReadySample {
  SampleRef ref;
  std::string id;
  std::vector<int64_t> input_ids;  // image positions hold 0
  std::vector<int64_t> labels;     // kIgnoreLabel at image positions
  int64_t image_begin = -1;        // first image position, -1 without a picture
  int64_t image_positions = 0;     // how many there are (P), 0 without a picture
  int64_t num_label_tokens = 0;    // labels that are targets of a shifted prediction (labels[1..])
  double loss_weight = 1.0;
  std::vector<float> pixels;  // [3, H, W], empty without a picture
};

/// Rows of tokens without padding: what one device pass works on. See docs/architecture.md,
/// "packing".
struct PackedBatch {
  std::vector<int64_t> input_ids;  // [T], image positions hold 0
  std::vector<int64_t>
      labels;  // [T], not shifted: the target of position t is labels[t+1] of the same sequence
  std::vector<int64_t> positions;  // [T], 0.. within each sequence
  std::vector<int32_t> bounds;     // [S+1], first position of each sequence and T
  std::vector<int64_t>
      image_slots;            // [N * P], positions that image features fill, picture after picture
  std::vector<float> pixels;  // [N, 3, H, W]
  std::vector<float> loss_weights;  // [S], factor on the loss of each sequence's targets
  std::vector<SampleRef> refs;      // [S]
  std::vector<std::string> ids;     // [S]
  int64_t shared_prefix = 0;        // tokens that begin every sequence and may be computed once
  int64_t num_images = 0;           // N
  int64_t num_label_tokens = 0;     // targets after the shift
  double label_weight = 0;          // targets times their loss weight: the divisor of the loss

  int64_t num_tokens() const { return static_cast<int64_t>(input_ids.size()); }
  int64_t num_sequences() const { return static_cast<int64_t>(refs.size()); }
};

enum class OverLength { kCutText, kDrop, kError };
OverLength over_length(const std::string& name);  // throws DataError with the nearest name

/// Length once the image mark is widened, before any limit.
int64_t ready_length(const TokenizedSample& tokens, int64_t image_positions);

/// Widens the image mark to `image_positions` slots and applies the length limit.
///
/// kCutText cuts at the end, never inside the picture's positions: a sample whose picture does not
/// fit whole is an error. Fills input_ids, labels and the counts of `out`; ref, id, loss_weight and
/// pixels are the caller's. Returns false when the sample is to be dropped. Throws: DataError with
/// the reason.
bool make_ready(const TokenizedSample& tokens, int64_t image_positions, int64_t max_tokens,
                OverLength policy, ReadySample& out);

/// Appends the samples, in order, to one packed row.
PackedBatch pack(std::vector<ReadySample> samples);

/// Tokens that all sequences have in common at their beginning, before any picture and any position
/// with a target, and fewer than the shortest has; 0 where sharing them would save less than a
/// twentieth of the tokens.
int64_t shareable_prefix(const PackedBatch& batch);

/// Splits a step's samples, in their order, into device passes of at most `device_tokens` tokens (a
/// longer sample stands alone). Returns the number of samples of each pass.
std::vector<int64_t> split_by_tokens(const std::vector<int64_t>& lengths, int64_t device_tokens);

}  // namespace finer::data
