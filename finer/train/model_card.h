#pragma once

#include "finer/train/run_facts.h"

#include <string>
#include <vector>

namespace finer {

/// What RUN/adapter/README.md says. Empty parts are left out.
struct ModelCard {
  std::string title;  // the run's name
  std::string
      base_model;  // directory or hub id that the adapter belongs to, as the recipe names it
  std::string base_hub_id;  // "org/name" where known: hubs link to it; empty: no such line
  std::vector<TrainedPart> parts;
  std::vector<RunFact> settings;  // rank, alpha, learning rate, samples a step, conversation, ...
  std::vector<TrainedSet> sets;
  std::vector<RunFact> metrics;      // last loss, scores
  std::vector<RunFact> environment;  // finer's version and commit, LibTorch, device
};

/// The card as Markdown with the YAML head that model hubs read, and how PEFT loads the adapter.
///
/// Texts are escaped: a file's name makes neither markup nor a table cell.
std::string render(const ModelCard& card);

}  // namespace finer
