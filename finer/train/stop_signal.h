#pragma once

namespace finer {

/// While it lives, SIGINT and SIGTERM ask the run to end after its step, with a checkpoint, instead
/// of killing it.
///
/// A second signal ends the process at once with 128 + its number, without a checkpoint. One
/// exception: the other of the two signals within two seconds of the first counts as the first,
/// because launchers pass on as SIGTERM the Ctrl-C that the terminal has already sent to every
/// process. At most one may live at a time. Threads: any thread may ask.
class StopSignal {
 public:
  /// announces: the first signal is answered with a line on standard error (rank 0).
  /// Throws: std::logic_error when another one lives.
  explicit StopSignal(bool announces = true);
  ~StopSignal();  // puts the earlier handlers back
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  /// SIGINT or SIGTERM, whichever came first; 0 while none has come.
  int requested() const;
};

}  // namespace finer
