#include "data/mixture/set_scan.h"

#include "data/record.h"
#include "data/unified.h"
#include "finer/core/error.h"
#include "finer/core/quote.h"
#include "finer/core/rng.h"

#include <algorithm>

namespace finer::data {

namespace {

constexpr int64_t kStatusEveryRecords = 50000;

// Why nothing of a set is left.
std::string nothing_left(const SetScan& scan, const std::vector<MixtureClass>& classes) {
  const auto count = [&](bool MixtureClass::*flag) {
    return std::count_if(classes.begin(), classes.end(),
                         [&](const MixtureClass& c) { return c.*flag; });
  };
  return scan.set().records + ": none of the " +
         std::to_string(scan.total(&MixtureClass::records)) + " records of the set " +
         scan.set().key + " can be used: of its " + std::to_string(classes.size()) + " classes " +
         std::to_string(count(&MixtureClass::lacks_attributes)) + " have no attributes and " +
         std::to_string(count(&MixtureClass::is_left_out)) +
         " share their name with a held-out one, " +
         std::to_string(scan.total(&MixtureClass::without_coarse)) +
         " records have no coarse label";
}

}  // namespace

std::string output_image(const MixtureSet& set, const std::string& img_path) {
  const bool is_plain = img_path.find("./") == std::string::npos &&
                        img_path.find("//") == std::string::npos && img_path.front() != '/' &&
                        img_path.find('\0') == std::string::npos && !img_path.ends_with("..");
  std::string path = img_path;
  if (!is_plain) {
    resolve_inside("images", img_path);  // throws
    path = std::filesystem::path(img_path).lexically_normal().string();
  }
  if (set.image_prefix.empty()) return path;
  const std::string prefix = std::filesystem::path(set.image_prefix).lexically_normal().string();
  return prefix == "." ? path : prefix + (prefix.ends_with('/') ? "" : "/") + path;
}

SetScan::SetScan(const MixtureConfig& config, const MixtureSet& set,
                 const ConversationWriter& writer, const HoldOut& hold_out,
                 const std::function<void(const std::string&)>& status)
    : set_(set), seed_(config.seed) {
  const bool is_grouped =
      set.spread == "superordinate" || (set.spread == "auto" && set.key.starts_with("inaturalist"));
  spread_ = is_grouped ? "superordinate" : "fine";
  AttributeTable table;
  if (!set.attributes.empty()) {
    table = AttributeTable::load({set.attributes.begin(), set.attributes.end()});
    ambiguous_names_ = table.ambiguous_names();
  }

  std::vector<Candidate> candidates;
  std::vector<SelectionClass> selection_classes;
  std::vector<uint64_t> group_ranks;
  std::unordered_map<std::string, uint32_t> group_by_name;
  int64_t ordinal = 0;
  for_each_unified(set.records, [&](UnifiedRecord&& record) {
    const int64_t at = ordinal++;
    if (ordinal % kStatusEveryRecords == 0) {
      status("set " + set.key + ": read " + std::to_string(ordinal) + " records");
    }
    const uint32_t number = class_of(record);
    auto& it = classes_[number];
    if (number == selection_classes.size()) {  // a new class
      const std::string group_name = is_grouped ? record.superordinate : std::string();
      const auto [group, is_new] =
          group_by_name.emplace(group_name, static_cast<uint32_t>(group_ranks.size()));
      if (is_new) group_ranks.push_back(class_seed(config.seed, set.key, group_name));
      selection_classes.push_back({group->second, it.seed});
      it.attributes = writer.attribute_text(table.find(record.fine));
      it.lacks_attributes = writer.needs_attributes() && it.attributes.empty();
      it.shared_with = hold_out.concept_of(record.fine);
      it.is_left_out = config.strict_hold_out && !it.shared_with.empty();
    }
    ++it.records;
    if (!hold_out.is_empty()) {
      const std::string image = output_image(set, record.img_path);
      if (const std::string* owner = hold_out.owner_of_image(image); owner != nullptr) {
        if (!config.strict_hold_out) {
          throw DataError(set.records + ": idx " + std::to_string(record.idx) + ": the picture " +
                          quote(image) + " is in the held-out set " + *owner +
                          ", too; strict_hold_out leaves such pictures out");
        }
        ++it.held_pictures;
        return;
      }
    }
    if (writer.needs_coarse() && record.coarse.empty()) {
      ++it.without_coarse;
      return;
    }
    if (it.lacks_attributes || it.is_left_out) return;
    ++it.available;
    candidates.push_back({number, record_seed(it.seed, record.img_path), at});
  });
  if (ordinal == 0) throw DataError(set.records + ": has no records");
  if (candidates.empty()) throw DataError(nothing_left(*this, classes_));
  taken_ = select_evenly(std::move(candidates), selection_classes, group_ranks, config.cap);

  for (const auto& candidate : taken_) ++classes_[candidate.class_index].taken;
}

uint32_t SetScan::class_of(const UnifiedRecord& record) {
  const auto number = static_cast<uint32_t>(classes_.size());
  const auto [found, is_new] = class_by_key_.emplace(class_key(record), number);
  if (is_new) {
    MixtureClass it;
    it.name = class_name(record);
    it.labels = record.fine;
    it.seed = class_seed(seed_, set_.key, found->first);
    classes_.push_back(std::move(it));
  }
  return found->second;
}

void SetScan::for_each_taken(
    const std::function<void(const UnifiedRecord&, const MixtureClass&)>& visit) const {
  int64_t ordinal = 0;
  size_t next = 0;
  for_each_unified(set_.records, [&](UnifiedRecord&& record) {
    if (next == taken_.size() || ordinal++ != taken_[next].ordinal) return;
    visit(record, classes_[taken_[next++].class_index]);
  });
}

int64_t SetScan::total(int64_t MixtureClass::*count) const {
  int64_t sum = 0;
  for (const auto& it : classes_) sum += it.*count;
  return sum;
}

}  // namespace finer::data
