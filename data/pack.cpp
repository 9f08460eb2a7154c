#include "data/pack.h"

#include "finer/core/error.h"
#include "finer/core/near_miss.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>

namespace finer::data {

OverLength over_length(const std::string& name) {
  if (name == "cut_text") return OverLength::kCutText;
  if (name == "drop") return OverLength::kDrop;
  if (name == "error") return OverLength::kError;
  throw DataError("data.over_length: \"" + name + "\" is not known" +
                  did_you_mean(name, {"cut_text", "drop", "error"}));
}

int64_t ready_length(const TokenizedSample& tokens, int64_t image_positions) {
  const auto marks = std::count(tokens.input_ids.begin(), tokens.input_ids.end(), kImageToken);
  return static_cast<int64_t>(tokens.input_ids.size()) + marks * (image_positions - 1);
}

bool make_ready(const TokenizedSample& tokens, int64_t image_positions, int64_t max_tokens,
                OverLength policy, ReadySample& out) {
  FINER_CHECK(tokens.input_ids.size() == tokens.labels.size(), "a label for each id");
  const auto begin = tokens.input_ids.begin(), end = tokens.input_ids.end();
  const auto mark = std::find(begin, end, kImageToken);
  const bool has_image = mark != end;
  if (has_image && std::find(mark + 1, end, kImageToken) != end) {
    throw DataError("has more than one <image>; expected one picture a sample");
  }
  if (has_image && image_positions <= 0) {
    throw DataError("has a picture, but the model has no vision encoder; expected samples of text");
  }
  const int64_t length = ready_length(tokens, image_positions);
  const int64_t image_begin = has_image ? mark - begin : -1;
  if (length > max_tokens) {
    if (policy == OverLength::kDrop) return false;
    if (policy == OverLength::kError) {
      throw DataError("has " + std::to_string(length) + " tokens, more than data.max_tokens (" +
                      std::to_string(max_tokens) +
                      "); raise it, or set data.over_length to cut_text or drop");
    }
    if (has_image && image_begin + image_positions > max_tokens) {
      throw DataError("its picture fills positions " + std::to_string(image_begin) + " to " +
                      std::to_string(image_begin + image_positions - 1) +
                      ", past data.max_tokens (" + std::to_string(max_tokens) +
                      "), and a picture is never cut; raise data.max_tokens");
    }
  }

  const auto widen = [&](const std::vector<int64_t>& from, int64_t at_image) {
    std::vector<int64_t> to;
    to.reserve(static_cast<size_t>(length));
    const auto split = has_image ? from.begin() + image_begin : from.end();
    to.insert(to.end(), from.begin(), split);
    if (has_image) {
      to.insert(to.end(), static_cast<size_t>(image_positions), at_image);
      to.insert(to.end(), split + 1, from.end());
    }
    to.resize(static_cast<size_t>(std::min(length, max_tokens)));
    return to;
  };
  out.input_ids = widen(tokens.input_ids, 0);
  out.labels = widen(tokens.labels, kIgnoreLabel);
  out.image_begin = image_begin;
  out.image_positions = has_image ? image_positions : 0;
  out.num_label_tokens = static_cast<int64_t>(out.labels.size()) -
                         std::count(out.labels.begin(), out.labels.end(), kIgnoreLabel);
  if (!out.labels.empty() && out.labels.front() != kIgnoreLabel) --out.num_label_tokens;
  return true;
}

PackedBatch pack(std::vector<ReadySample> samples, bool shares) {
  PackedBatch batch;
  if (shares) batch.shared = shareable(samples);
  size_t tokens = 0, floats = 0;
  for (const auto& sample : samples) {
    tokens += sample.input_ids.size();
    floats += sample.pixels.size();
  }
  FINER_CHECK(tokens <= static_cast<size_t>(std::numeric_limits<int32_t>::max()),
              "fewer than 2^31 tokens a pass");
  batch.input_ids.reserve(tokens);
  batch.labels.reserve(tokens);
  batch.positions.reserve(tokens);
  batch.pixels.reserve(floats);
  batch.bounds.push_back(0);
  size_t pixels_begin = 0;  // of the last picture that was laid down
  std::string picture;
  for (size_t s = 0; s < samples.size(); ++s) {
    auto& sample = samples[s];
    const auto first = static_cast<int64_t>(batch.input_ids.size());
    const auto length = static_cast<int64_t>(sample.input_ids.size());
    batch.input_ids.insert(batch.input_ids.end(), sample.input_ids.begin(), sample.input_ids.end());
    batch.labels.insert(batch.labels.end(), sample.labels.begin(), sample.labels.end());
    for (int64_t t = 0; t < length; ++t) batch.positions.push_back(t);
    batch.bounds.push_back(static_cast<int32_t>(first + length));
    const int64_t shared = batch.shared.empty() ? 0 : batch.shared[s];
    if (sample.image_begin >= shared) {  // has one, and it is not shared
      FINER_CHECK(sample.image_begin + sample.image_positions <= length,
                  "a picture that ends within its sample");
      for (int64_t p = 0; p < sample.image_positions; ++p)
        batch.image_slots.push_back(first + sample.image_begin + p);
      const size_t begin = batch.pixels.size();
      if (sample.pixels.empty() && !picture.empty() && sample.picture == picture) {
        batch.pixels.resize(2 * begin - pixels_begin);
        std::copy_n(batch.pixels.begin() + static_cast<int64_t>(pixels_begin), begin - pixels_begin,
                    batch.pixels.begin() + static_cast<int64_t>(begin));
      } else {
        batch.pixels.insert(batch.pixels.end(), sample.pixels.begin(), sample.pixels.end());
      }
      sample.pixels = {};  // pictures are most of the memory: hold each of them once
      pixels_begin = begin;
      picture = sample.picture;
      ++batch.num_images;
    }
    batch.loss_weights.push_back(static_cast<float>(sample.loss_weight));
    batch.refs.push_back(sample.ref);
    batch.ids.push_back(std::move(sample.id));
    batch.num_label_tokens += sample.num_label_tokens;
    batch.label_weight += static_cast<double>(sample.num_label_tokens) * sample.loss_weight;
  }
  return batch;
}

std::vector<int64_t> split_by_tokens(const std::vector<int64_t>& lengths, int64_t device_tokens) {
  std::vector<int64_t> counts;
  int64_t room = 0;
  for (const int64_t length : lengths) {
    if (counts.empty() || length > room) {
      counts.push_back(0);
      room = device_tokens;
    }
    ++counts.back();
    room -= length;
  }
  return counts;
}

namespace {

int64_t length_of(const ReadySample& sample) {
  return static_cast<int64_t>(sample.input_ids.size());
}

bool is_image_at(const ReadySample& sample, int64_t t) {
  return sample.image_begin >= 0 && t >= sample.image_begin &&
         t < sample.image_begin + sample.image_positions;
}

int64_t shared_with(const ReadySample& before, const ReadySample& sample) {
  const bool same_picture = !sample.picture.empty() && sample.picture == before.picture;
  const int64_t most = std::min(length_of(before), length_of(sample)) - 1;
  int64_t t = 0;
  for (; t < most; ++t) {
    const auto at = static_cast<size_t>(t);
    const bool is_image = is_image_at(sample, t);
    if (sample.input_ids[at] != before.input_ids[at] || is_image != is_image_at(before, t)) break;
    if (is_image && !same_picture) break;
    const int64_t target = sample.labels[at + 1];
    if (target != kIgnoreLabel && target != before.labels[at + 1]) break;
  }
  const bool is_within = t > 0 && is_image_at(sample, t - 1) && is_image_at(sample, t);
  return is_within ? sample.image_begin : t;
}

}  // namespace

std::vector<int64_t> shareable(const std::vector<ReadySample>& samples) {
  std::vector<int64_t> shared;
  int64_t saved = 0, tokens = 0;
  for (size_t s = 0; s < samples.size(); ++s) {
    shared.push_back(s > 0 ? shared_with(samples[s - 1], samples[s]) : 0);
    saved += shared.back();
    tokens += length_of(samples[s]);
  }
  const bool is_worth_it = saved > 0 && saved * 20 >= tokens;
  return is_worth_it ? shared : std::vector<int64_t>{};
}

}  // namespace finer::data
