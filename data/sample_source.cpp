#include "data/loader.h"
#include "finer/core/error.h"
#include "finer/core/near_miss.h"

#include <cmath>
#include <system_error>
#include <utility>

namespace finer::data {

namespace {

void check_choice(const char* key, const std::string& value,
                  const std::vector<std::string>& choices) {
  for (const auto& choice : choices) {
    if (value == choice) return;
  }
  throw RecipeError(std::string(key) + ": \"" + value + "\" is not known" +
                    did_you_mean(value, choices));
}

// Settings of another encoder, or ones that neither crop nor fix the size, would break the packed
// [N, 3, H, W].
void check_pixels(size_t count, int64_t side_px) {
  const auto expected = static_cast<size_t>(3 * side_px * side_px);
  if (side_px == 0 || count == expected) return;
  throw DataError("has " + std::to_string(count) +
                  " values after preprocessing; the vision encoder takes 3 x " +
                  std::to_string(side_px) + " x " + std::to_string(side_px) +
                  ": the model's preprocessor_config.json does not fit it");
}

std::filesystem::path image_root(const SetConfig& set) {
  return set.images.empty() ? std::filesystem::path(set.path).parent_path()
                            : std::filesystem::path(set.images);
}

}  // namespace

SampleSource::SampleSource(const DataConfig& config, const Tokenizer& tokenizer,
                           const InputSpec& spec)
    : config_(config),
      tokenizer_(tokenizer),
      spec_(spec),
      aspect_(finer::image_aspect(config.image_aspect)),
      over_length_(over_length(config.over_length)) {
  check_choice("data.zero_label", config_.zero_label, {"error", "drop", "allow"});
  check_choice("data.on_bad_record", config_.on_bad_record, {"stop", "skip"});
  if (config_.max_tokens < 2) {
    throw RecipeError("data.max_tokens: " + std::to_string(config_.max_tokens) +
                      "; expected 2 or more");
  }
  if (config_.sets.empty()) throw RecipeError("data.sets: is empty; expected at least one set");
  for (size_t i = 0; i < config_.sets.size(); ++i) {
    const SetConfig& set = config_.sets[i];
    const std::string key = "data.sets[" + std::to_string(i) + "]";
    if (!std::isfinite(set.loss_weight) || set.loss_weight < 0) {
      throw RecipeError(key + ".loss_weight: " + std::to_string(set.loss_weight) +
                        "; expected 0 or more");
    }
    std::error_code ignored;
    if (!set.images.empty() && !std::filesystem::is_directory(set.images, ignored)) {
      throw RecipeError(key + ".images: \"" + set.images + "\" is not a folder");
    }
    conversations_.push_back(
        conversation_kind(set.conversation.empty() ? config.conversation : set.conversation));
    datasets_.push_back(Dataset::open(set.path));
    if (datasets_.back().size() == 0) {
      throw DataError(set.path + ": holds no record; expected at least one");
    }
  }
}

std::vector<int64_t> SampleSource::sizes() const {
  std::vector<int64_t> sizes;
  for (const auto& dataset : datasets_) sizes.push_back(dataset.size());
  return sizes;
}

std::vector<double> SampleSource::weights() const {
  std::vector<double> weights;
  for (const auto& set : config_.sets) weights.push_back(set.weight);
  return weights;
}

std::vector<std::vector<int64_t>> SampleSource::groups() const {
  std::vector<std::vector<int64_t>> groups;
  if (config_.picture_group == 1) return groups;
  for (const auto& dataset : datasets_)
    groups.push_back(dataset.picture_groups(config_.picture_group));
  return groups;
}

Sample SampleSource::record(const SampleRef& ref) const {
  return datasets_.at(static_cast<size_t>(ref.set)).read(ref.index);
}

TokenizedSample SampleSource::tokens(const SampleRef& ref, const Sample& sample) const {
  try {
    return tokenize_conversation(tokenizer_, conversation(ref), sample.turns,
                                 sample.image.has_value());
  } catch (const DataError& error) {
    const Dataset& dataset = datasets_.at(static_cast<size_t>(ref.set));
    throw DataError(dataset.where(ref.index, sample.id) + ": " + error.what());
  }
}

std::filesystem::path SampleSource::image_path(const SampleRef& ref, const Sample& sample) const {
  FINER_CHECK(sample.image.has_value(), "a sample with a picture");
  try {
    return resolve_inside(image_root(config_.sets.at(static_cast<size_t>(ref.set))), *sample.image);
  } catch (const DataError& error) {
    const Dataset& dataset = datasets_.at(static_cast<size_t>(ref.set));
    throw DataError(dataset.where(ref.index, sample.id) + ": " + error.what());
  }
}

int64_t SampleSource::num_tokens(const SampleRef& ref) const {
  try {
    const TokenizedSample ids = tokens(ref, record(ref));
    const int64_t length = ready_length(ids, spec_.image_positions);
    if (length <= config_.max_tokens) return length;
    return over_length_ == OverLength::kCutText ? config_.max_tokens : 0;
  } catch (const std::exception&) {  // the rank whose share it is will tell
    return 0;
  }
}

SampleSource::Prepared SampleSource::prepare(const SampleRef& ref, bool with_pixels) const {
  if (config_.on_bad_record == "stop") return prepare_or_throw(ref, with_pixels);
  try {
    return prepare_or_throw(ref, with_pixels);
  } catch (const DataError& error) {
    Prepared prepared;
    prepared.outcome = Outcome::kBad;
    prepared.sample.ref = ref;
    prepared.reason = error.what();
    return prepared;
  }
}

// What costs least is looked at first: a sample that is dropped never has its picture decoded.
SampleSource::Prepared SampleSource::prepare_or_throw(const SampleRef& ref,
                                                      bool with_pixels) const {
  const Dataset& dataset = datasets_.at(static_cast<size_t>(ref.set));
  const Sample sample = record(ref);
  const TokenizedSample ids = tokens(ref, sample);
  Prepared prepared;
  ReadySample& ready = prepared.sample;
  ready.ref = ref;
  ready.id = sample.id;
  ready.loss_weight = config_.sets[static_cast<size_t>(ref.set)].loss_weight;
  const auto fault = [&](const std::string& reason) {
    return DataError(dataset.where(ref.index, sample.id) + ": " + reason);
  };

  const int64_t full_length = ready_length(ids, spec_.image_positions);
  try {
    if (!make_ready(ids, spec_.image_positions, config_.max_tokens, over_length_, ready)) {
      prepared.outcome = Outcome::kOverLength;
      return prepared;
    }
  } catch (const DataError& error) {
    throw fault(error.what());
  }
  prepared.was_cut = static_cast<int64_t>(ready.input_ids.size()) < full_length;

  if (ready.num_label_tokens == 0 && config_.zero_label != "allow") {
    if (config_.zero_label == "drop") {
      prepared.outcome = Outcome::kZeroLabel;
      return prepared;
    }
    throw fault("has no target token" +
                (prepared.was_cut
                     ? " left after cutting " + std::to_string(full_length) + " tokens to " +
                           std::to_string(config_.max_tokens) + "; raise data.max_tokens"
                     : std::string("; give it an answer")) +
                ", or set data.zero_label to drop or allow");
  }

  if (sample.image) {
    const std::filesystem::path path = image_path(ref, sample);
    ready.picture = path.string();
    try {
      if (with_pixels) {
        ready.pixels = preprocess(decode_image(path), spec_.preprocess, aspect_);
        check_pixels(ready.pixels.size(), spec_.image_side_px);
      } else {
        read_image_size(path);
      }
    } catch (const DataError& error) {
      throw fault("picture " + std::string(error.what()));
    }
  }
  return prepared;
}

}  // namespace finer::data
