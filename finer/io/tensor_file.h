#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace finer {

/// What a file says of one tensor, without reading it.
struct TensorInfo {
  at::ScalarType dtype =
      at::kFloat;  // Undefined: one that read() refuses by name (FP8, unsigned, ...)
  std::vector<int64_t> shape;
};

/// A file of named tensors: safetensors, or torch.save's zip form (`.bin`, `.pt`, `.pth`).
///
/// The file is mapped; read() gives a tensor over the map (no copy) that keeps it alive, with the
/// strides it was saved with (torch.save keeps transposed ones). It is read-only memory: copy it
/// before writing. The kind is told from the first bytes, never from the name.
class TensorFile {
 public:
  virtual ~TensorFile() = default;
  /// Name to description, in name order.
  virtual const std::map<std::string, TensorInfo>& tensors() const = 0;
  /// Throws: CheckpointError naming file and tensor.
  virtual at::Tensor read(const std::string& name) const = 0;
  virtual const std::filesystem::path& path() const = 0;
  /// `__metadata__` of a safetensors file; empty for others.
  virtual const std::map<std::string, std::string>& metadata() const = 0;
};

/// Throws: CheckpointError "FILE: ..." for a missing, truncated or inconsistent file, overlapping
/// or out-of-range offsets, a pickle that names a global which is not allowed (named), the form
/// before torch 1.6 (with the way out).
std::unique_ptr<TensorFile> open_tensor_file(const std::filesystem::path& path);

/// All files of a model directory: `model.safetensors`, `model.safetensors.index.json` and its
/// shards, `pytorch_model.bin` or its index, in this order of preference; or one file when `path`
/// is a file. Every shard that the index names must be there, as a plain name in the same folder,
/// and hold what the index says; a tensor that the index forgets is warned about, not left out.
/// Throws: CheckpointError.
std::vector<std::filesystem::path> find_weight_files(const std::filesystem::path& path);

/// Writes a safetensors file: contiguous CPU tensors (others are brought there one at a time), via
/// atomic_write. Equal, byte for byte, to what the reference library writes (for one metadata key;
/// it leaves the order of several to chance, here it is by name).
void save_safetensors(const std::filesystem::path& path,
                      const std::map<std::string, at::Tensor>& tensors,
                      const std::map<std::string, std::string>& metadata = {});

}  // namespace finer
