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
  std::string picture;        // its file; the same text is the same picture, "" is like no other
  std::vector<float> pixels;  // [3, H, W], empty without a picture; see pack() for another case
};

/// Rows of tokens without padding: what one device pass works on. See docs/architecture.md,
/// "packing".
struct PackedBatch {
  std::vector<int64_t> input_ids;  // [T], image positions hold 0
  std::vector<int64_t>
      labels;  // [T], not shifted: the target of position t is labels[t+1] of the same sequence
  std::vector<int64_t> positions;  // [T], 0.. within each sequence
  std::vector<int32_t> bounds;     // [S+1], first position of each sequence and T
  // [N * P], positions that image features fill, picture after picture; where samples share their
  // picture, those of the first of them
  std::vector<int64_t> image_slots;
  std::vector<float> pixels;        // [N, 3, H, W]
  std::vector<float> loss_weights;  // [S], factor on the loss of each sequence's targets
  std::vector<SampleRef> refs;      // [S]
  std::vector<std::string> ids;     // [S]
  // [S], tokens that each sequence has in common with the one before it and that are computed once;
  // empty: none
  std::vector<int64_t> shared;
  int64_t num_images = 0;        // N
  int64_t num_label_tokens = 0;  // targets after the shift
  double label_weight = 0;       // targets times their loss weight: the divisor of the loss

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

/// Appends the samples, in order, to one packed row. With `shares`, what shareable() finds is
/// computed once, a picture of several samples included. A sample with a picture may come without
/// pixels behind one of the same picture: it has that one's.
PackedBatch pack(std::vector<ReadySample> samples, bool shares = false);

/// Tokens that each sample has in common with the one before it, from the beginning on: fewer than
/// either has, whole pictures or nothing of them, and no token whose successor is a target in this
/// sample and not the same one in that. Empty where computing them once would save less than a
/// twentieth of all tokens.
std::vector<int64_t> shareable(const std::vector<ReadySample>& samples);

/// Splits a step's samples, in their order, into device passes of at most `device_tokens` tokens (a
/// longer sample stands alone). Returns the number of samples of each pass.
std::vector<int64_t> split_by_tokens(const std::vector<int64_t>& lengths, int64_t device_tokens);

}  // namespace finer::data
