#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace finer {

enum class PickleKind {
  kNone,
  kBool,     // number
  kInt,      // number
  kText,     // text
  kTuple,    // items
  kList,     // items
  kDict,     // items: key, value, key, value, ...
  kGlobal,   // text: "module.name", one of the allowed ones
  kCall,     // items: global, arguments (a tuple); never carried out
  kStorage,  // items: the persistent id (a tuple)
  kOther,    // a value that no tensor needs: a float, bytes, a long integer
};

struct PickleNode {
  PickleKind kind = PickleKind::kNone;
  int64_t number = 0;
  std::string_view text;        // within the pickle's bytes, or static
  std::vector<uint32_t> items;  // indices of nodes
};

/// What a pickle describes, as a table of nodes. Items are indices, so that shared and even
/// circular parts cost nothing and need no recursion.
struct Pickle {
  std::vector<PickleNode> nodes;
  uint32_t root = 0;
};

/// Reads the part of pickle, protocols 2 to 5, that torch.save writes for dictionaries of tensors.
///
/// Nothing is imported, called or built: a global is text that must be on a list of seven kinds
/// (ordered dictionaries, the two functions that rebuild tensors and parameters, torch.Size, the
/// storage types), a call is a node. Memory is bounded by the number of opcodes.
///
/// where  begins the messages: the file
/// bytes  outlive the result
/// Throws: CheckpointError; a global that is not allowed is named.
/// Source: the comments in CPython 3.11's Lib/pickletools.py (opcodes).
Pickle read_pickle(const std::string& where, std::string_view bytes);

}  // namespace finer
