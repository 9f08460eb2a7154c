#include "data/mixture/hold_out.h"

#include "data/attributes.h"
#include "data/mixture/set_scan.h"
#include "data/unified.h"
#include "finer/core/error.h"

#include <algorithm>

namespace finer::data {

HoldOut::HoldOut(const MixtureConfig& config) : keys_(config.hold_out) {
  for (const auto& set : config.sets) {
    const auto found = std::find(keys_.begin(), keys_.end(), set.key);
    if (found == keys_.end()) continue;
    const auto number = static_cast<size_t>(found - keys_.begin());
    const size_t before = images_.size();
    for_each_unified(set.records, [&](UnifiedRecord&& record) {
      images_.emplace(output_image(set, record.img_path), number);
      for (const auto& label : record.fine) {
        std::string name = normalised_label(label);
        if (!name.empty()) names_.emplace(std::move(name), set.key + ": " + label);
      }
    });
    if (images_.size() == before) {
      throw DataError(set.records + ": has no record of its own; expected those of the set " +
                      set.key + ", which is held out");
    }
  }
}

bool HoldOut::holds(const std::string& set_key) const {
  return std::find(keys_.begin(), keys_.end(), set_key) != keys_.end();
}

const std::string* HoldOut::owner_of_image(const std::string& image) const {
  const auto found = images_.find(image);
  return found == images_.end() ? nullptr : &keys_[found->second];
}

std::string HoldOut::concept_of(const std::vector<std::string>& fine_labels) const {
  for (const auto& label : fine_labels) {
    const auto found = names_.find(normalised_label(label));
    if (found != names_.end()) return found->second;
  }
  return "";
}

}  // namespace finer::data
