#pragma once

#include "finer/dist/launch.h"

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace finer::dist {

/// What c10d threw while this rank waited for others: somebody else is the cause. The watch
/// (watch.h) finds out who.
class LinkError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Small texts that all ranks see, in the job's TCPStore, which rank 0 or the launcher's agent
/// holds. Keys of another start of the same job are not seen. Throws: LinkError when the store is
/// gone. Threads: one a client.
class Store {
 public:
  virtual ~Store() = default;
  virtual void set(const std::string& key, const std::string& value) = 0;
  /// None where nobody has set it. Does not wait for it to be set.
  virtual std::optional<std::string> get(const std::string& key) = 0;
  /// The values of keys that are all set.
  virtual std::vector<std::string> get_all(const std::vector<std::string>& keys) = 0;
  /// Sets the key unless it is set; whether it did.
  virtual bool claim(const std::string& key, const std::string& value) = 0;
};

/// Tensors of all ranks that are under way.
class Pending {
 public:
  virtual ~Pending() = default;
  /// Until the result is in the tensor (on CUDA: until what is queued behind it will see it there).
  /// Throws: LinkError.
  virtual void wait() = 0;
};

/// The ranks of a job. The only file that sees c10d: TCPStore and Gloo for control and for tensors
/// on the CPU, NCCL (libfiner_nccl.so, opened when it is asked for) for tensors on CUDA.
///
/// Collectives are called by all ranks in the same order. Threads: one, but all_reduce may be
/// called from autograd's.
class ProcessGroup {
 public:
  /// Connects to the store and tells who is there; returns once all ranks are. Throws: ConfigError
  /// naming the ranks that did not come within timeout_s, or the address that does not answer.
  static std::unique_ptr<ProcessGroup> form(const Launch& launch, double timeout_s);
  virtual ~ProcessGroup() = default;

  virtual const Launch& launch() const = 0;
  int rank() const { return launch().rank; }
  int size() const { return launch().size; }
  /// The machine of each rank.
  virtual const std::vector<std::string>& hosts() const = 0;
  virtual Store& store() = 0;
  /// Another client of the store, for another thread.
  virtual std::unique_ptr<Store> connect() const = 0;

  /// Every rank's values, in order of rank; all give equally many.
  virtual std::vector<std::vector<double>> gather(const std::vector<double>& own) = 0;

  /// Makes collectives on this device possible: NCCL for CUDA. Throws: ConfigError where it cannot
  /// be had.
  virtual void open_device(at::Device device) = 0;
  /// "gloo" or "nccl": what tensors go through.
  virtual std::string backend() const = 0;
  /// Adds the ranks' tensors, of equal size and contiguous, in place.
  virtual std::unique_ptr<Pending> all_reduce(const at::Tensor& tensor) = 0;
  /// Puts every rank's `own` [n] into `all` [size * n], in order of rank; both contiguous, of one
  /// dtype, and not the same memory.
  virtual std::unique_ptr<Pending> all_gather(const at::Tensor& own, const at::Tensor& all) = 0;
  /// Both wait until the tensor is on its way, or here.
  virtual void send(const at::Tensor& tensor, int to) = 0;
  virtual void receive(const at::Tensor& tensor, int from) = 0;
};

}  // namespace finer::dist
