#pragma once

#include "data/loader.h"
#include "finer/dist/agreement.h"
#include "finer/dist/grad_reducer.h"
#include "finer/dist/process_group.h"
#include "finer/dist/watch.h"
#include "finer/recipe/recipe.h"
#include "finer/train/checkpoint.h"
#include "finer/train/eval_hook.h"
#include "finer/train/step.h"
#include "finer/train/trainable.h"

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace finer {

/// This process among the ranks of its job, for as long as the run lasts. A run of one rank has
/// none of it.
class Ranks {
 public:
  /// Forms the group; program and recipe must be the same on all ranks. Throws: ConfigError,
  /// ReportedError.
  Ranks(const dist::Launch& launch, const Recipe& recipe);
  /// The same for another kind of recipe, as YAML.
  Ranks(const dist::Launch& launch, const std::string& yaml, double timeout_s);
  ~Ranks();
  Ranks(const Ranks&) = delete;
  Ranks& operator=(const Ranks&) = delete;

  /// Runs the body; what it throws ends all ranks, and one of them tells: the error comes out of
  /// that rank's call with the rank's name, and out of the others' as ReportedError.
  int run(const std::function<int()>& body);

  bool is_first() const { return group_->rank() == 0; }
  dist::ProcessGroup& group() { return *group_; }
  dist::Watch& watch() { return *watch_; }
  /// The run's log file of this rank.
  std::string log_name() const { return "rank-" + std::to_string(group_->rank()) + ".log"; }

  /// The recipe with this rank's own device and threads: cuda means the local rank's card; the
  /// machine's cores are shared by its ranks.
  Recipe own_recipe(const Recipe& recipe) const;
  /// Runs `load`, one rank a machine at a time where the recipe says so.
  void load_in_turn(bool in_turn, const std::function<void()>& load);
  /// Rank 0's choice for all. Empty: a new run. Throws: CheckpointError where this rank does not
  /// see rank 0's.
  std::optional<std::filesystem::path> same_checkpoint(
      const std::optional<std::filesystem::path>& own);
  /// Rank 0 does something to the run's files while the others wait.
  void first_does(const std::string& what, const std::function<void()>& body);

  /// device: of own_recipe. Throws: ConfigError where two ranks have one card.
  void check_cards(const std::string& device);
  /// Compares data, base model and what trains; then all ranks begin with rank 0's values.
  void start(const RunState& state, const Recipe& recipe, at::Device device,
             const std::vector<Trainable>& trainables);
  EvalShare eval_share();
  StepRanks for_step() { return {*group_, *reducer_, *watch_}; }
  /// "4 ranks over gloo, started by torchrun, on host-a and host-b".
  std::string text() const;
  /// What the sums of gradients took, into the log files.
  void tell_traffic() const;

  /// What all ranks know at the beginning of a step.
  struct Meeting {
    int signal = 0;            // SIGINT or SIGTERM that any rank has got
    int faulty_rank = -1;      // whose loader threw
    bool has_picture = false;  // in any rank's passes
    int64_t peak_bytes = 0;    // of the rank with the most
  };
  /// The batch's sums become those of all ranks. batch: null at the end, and where the loader
  /// threw.
  Meeting meet(data::StepBatch* batch, bool is_faulty, int signal, int64_t own_peak_bytes,
               int64_t max_bad_records);
  /// All wait for each other.
  void wait_for_all(const std::string& what);
  /// The last meeting: from here on ranks may end one by one.
  void leave();

 private:
  std::unique_ptr<dist::ProcessGroup> group_;
  std::unique_ptr<dist::Watch> watch_;
  std::unique_ptr<dist::GradReducer> reducer_;
  data::LoaderCounts own_counts_, counts_;
};

}  // namespace finer
