#pragma once

#include "finer/dist/process_group.h"

#include <string>
#include <vector>

namespace finer::dist {

/// Something that must be the same on all ranks; texts of several lines are compared line by line.
struct Fact {
  std::string name;  // "recipe"
  std::string text;
};

/// Compares every rank's facts with rank 0's. `stage` names the comparison, once a job. Throws: on
/// rank 0 ConfigError with the first difference, as "rank 2 (host-b) differs from rank 0 (host-a):
/// recipe: ..."; on the others ReportedError.
void agree(ProcessGroup& group, const std::string& stage, const std::vector<Fact>& own);

/// The first difference of two ranks' facts; empty where there is none.
std::string difference(const std::vector<Fact>& first, const std::vector<Fact>& other);

/// Rank 0's text on every rank. `key` once a job.
std::string from_first(ProcessGroup& group, const std::string& key, const std::string& own);

/// Waits until the key is set.
std::string wait_for(ProcessGroup& group, const std::string& key);

}  // namespace finer::dist
