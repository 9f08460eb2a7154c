#pragma once

#include "finer/io/mapped_file.h"
#include "finer/io/tensor_file.h"

#include <memory>

namespace finer {

/// True when the file begins like a safetensors file: 8 bytes of length, then a JSON object.
bool looks_like_safetensors(std::string_view bytes);

/// Reads the header and checks all of it: every byte of the data belongs to exactly one tensor, and
/// as many as its shape and dtype need. Metadata and dtypes that finer does not compute with (FP8,
/// unsigned, complex) are listed; reading such a tensor is an error.
///
/// Throws: CheckpointError.
/// Source: https://huggingface.co/docs/safetensors (format).
std::unique_ptr<TensorFile> open_safetensors(std::shared_ptr<const MappedFile> map);

}  // namespace finer
