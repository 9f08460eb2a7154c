#pragma once

#include "finer/io/mapped_file.h"
#include "finer/io/tensor_file.h"

#include <memory>

namespace finer {

/// True when the file begins like a zip archive, the form of torch.save since torch 1.6.
bool looks_like_zip(std::string_view bytes);

/// True when the file begins like a pickle, the form of torch.save before torch 1.6.
bool looks_like_pickle(std::string_view bytes);

/// Reads torch.save's zip form: a dictionary of names to tensors or parameters, or one that holds
/// it under "state_dict" or "model". What is not a tensor (a step count, a config) is passed by.
/// Tensors come with the strides they were saved with, and may share storage.
///
/// Throws: CheckpointError; see read_pickle for what a file may name.
/// Source: docs.pytorch.org/docs/2.11/notes/serialization.html (torch.save file format).
std::unique_ptr<TensorFile> open_torch_archive(std::shared_ptr<const MappedFile> map);

}  // namespace finer
