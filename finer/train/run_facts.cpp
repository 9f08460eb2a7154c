#include "finer/train/run_facts.h"

#include "finer/train/readable.h"

namespace finer {

std::string rate_text(const TrainedPart& part) {
  std::string out;
  if (part.trainable > part.by_muon) out = readable_number(part.lr, 4);
  if (part.by_muon > 0) {
    if (!out.empty()) out += ", ";
    out += "by Muon " + readable_number(part.muon_lr, 4);
  }
  return out;
}

}  // namespace finer
