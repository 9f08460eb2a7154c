#include "finer/train/memory_full.h"

#include "finer/train/readable.h"

#include <algorithm>

namespace finer {

namespace {

// "Tried to allocate 20.00 MiB" of the allocator's line, or nothing.
std::string asked_for(const std::string& text) {
  const std::string before = "Tried to allocate ";
  const auto at = text.find(before);
  if (at == std::string::npos) return "";
  const auto value = text.find_first_not_of("0123456789.", at + before.size());  // behind it: unit
  const auto end = text.find_first_of(".\n", value);
  return ", " + text.substr(at + before.size(), end - at - before.size()) + " more were asked for";
}

}  // namespace

std::string memory_full_text(const data::StepBatch& batch, const Recipe& recipe, int64_t peak_bytes,
                             const std::string& allocator_text) {
  int64_t tokens = 0, longest = 0;
  for (const auto& pass : batch.passes) {
    if (pass.num_tokens() < tokens) continue;
    tokens = pass.num_tokens();
    longest = 0;
    for (size_t s = 0; s + 1 < pass.bounds.size(); ++s)
      longest = std::max<int64_t>(longest, pass.bounds[s + 1] - pass.bounds[s]);
  }
  std::string fix;
  const auto add = [&](const std::string& what) { fix += (fix.empty() ? "" : " or ") + what; };
  if (longest < tokens)
    add("batch.device_tokens below " + std::to_string(recipe.batch.device_tokens));
  if (recipe.train.recompute == "none") add("train.recompute: full");
  if (longest == tokens)
    add("data.max_tokens below " + std::to_string(longest) +
        " (one sample fills the pass; longer ones are then cut or left out)");
  return "step " + std::to_string(batch.step + 1) +
         ": the device's memory is full; its largest pass has " + readable_count(tokens) +
         " tokens, the longest sample of it " + readable_count(longest) + " (" +
         readable_bytes(peak_bytes) + " were held" + asked_for(allocator_text) +
         "); expected a pass that fits: " + fix;
}

}  // namespace finer
